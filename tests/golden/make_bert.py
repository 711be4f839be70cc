"""Golden numbers of a tiny BERT, and small PyTorch checkpoints, from the libraries that the field uses.

    python make_bert.py        writes bert_tiny.*.safetensors and checkpoint_*.{pth,bin,pt} beside this script

Made with Python 3.10, torch 1.12.1, transformers 4.26.1, numpy 1.26.4, safetensors 0.8.0 (CPU, one thread); each
safetensors file names the versions that wrote it. Weights are random and so are norms and biases, so that a swapped
tensor shows. A run with other versions may differ in the last bits.

bert_tiny.weights   Hugging Face's names (BertForPreTraining; the decoder's weight is tied and stored twice)
bert_tiny.io        in.input_ids, in.token_type_ids, in.attention_mask (B, S), in.causal_mask (B, S, S): row may see column
                    out.embeddings, out.layer0, out.layer1 (B, S, H), out.attention0, out.attention1 (B, heads, S, S),
                    out.pooled (B, H), out.mlm_logits (B, S, V), out.mlm_loss (labels: in.mlm_labels, -100 = not asked);
                    out.causal.* the same under in.causal_mask
checkpoint_*        one small state dict in the forms that torch.save has written: zip, legacy (its bytes hold memory
                    addresses and differ from run to run, its values do not), and nested with `module.`;
                    checkpoint_expanded.pt declares 4 MB of one stored number, and must be refused
"""

import platform
from pathlib import Path

import numpy
import safetensors
import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
BATCH, LENGTH, VOCABULARY = 2, 11, 50
CONFIG = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=24,
    type_vocab_size=2,
    hidden_act="gelu",
    layer_norm_eps=1e-12,
)
VERSIONS = (
    f"python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}, "
    f"numpy {numpy.__version__}, safetensors {safetensors.__version__}"
)


def randomise(model, generator):
    """Every parameter random: norms near 1, the rest small enough that no activation saturates."""
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.3 if parameter.dim() > 1 else 0.2
            parameter.copy_(noise * scale + (1.0 if name.endswith("LayerNorm.weight") else 0.0))


def run(model, inputs, mask, prefix):
    """Named intermediates of one forward pass."""
    with torch.no_grad():
        out = model.bert(**inputs, attention_mask=mask, output_hidden_states=True, output_attentions=True)
        logits = model.cls.predictions(out.last_hidden_state)
    named = {"embeddings": out.hidden_states[0], "pooled": out.pooler_output, "mlm_logits": logits}
    for layer, (hidden, attention) in enumerate(zip(out.hidden_states[1:], out.attentions)):
        named[f"layer{layer}"], named[f"attention{layer}"] = hidden, attention
    return {f"out.{prefix}{name}": tensor for name, tensor in named.items()}


def save(name, tensors):
    # One metadata key only: the library writes several in random order, and the file would differ from run to run.
    tensors = {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}
    save_file(tensors, HERE / name, metadata={"versions": VERSIONS})


def make_bert():
    generator = torch.Generator().manual_seed(7)
    model = transformers.BertForPreTraining(transformers.BertConfig(**CONFIG)).eval()
    randomise(model, generator)

    ids = torch.randint(5, VOCABULARY, (BATCH, LENGTH), generator=generator)
    types = (torch.arange(LENGTH) >= 5).long().repeat(BATCH, 1)
    mask = torch.ones(BATCH, LENGTH, dtype=torch.long)
    mask[1, 8:] = 0
    # Sequence to sequence: the first 5 columns are seen by all rows, the rest by rows from there on up to themselves.
    row, column = torch.arange(LENGTH)[:, None], torch.arange(LENGTH)[None, :]
    causal = ((column < 5) | ((row >= 5) & (column <= row))).long()[None] * mask[:, None, :]
    labels = torch.full((BATCH, LENGTH), -100)
    labels[0, [2, 7]], labels[1, 5] = torch.tensor([9, 30]), 41

    inputs = dict(input_ids=ids, token_type_ids=types)
    outputs = run(model, inputs, mask, "") | run(model, inputs, causal, "causal.")
    logits = outputs["out.mlm_logits"].flatten(0, 1)
    outputs["out.mlm_loss"] = torch.nn.functional.cross_entropy(logits, labels.flatten())
    ins = inputs | dict(attention_mask=mask, causal_mask=causal, mlm_labels=labels)
    save("bert_tiny.weights.safetensors", model.state_dict())
    save("bert_tiny.io.safetensors", {f"in.{name}": tensor for name, tensor in ins.items()} | outputs)


def make_checkpoints():
    """The same values in all files: weight[i, j] = i + 10 j + 0.5, bias = [-1, 0.25, 3]."""
    weight = (torch.arange(2)[None, :] * 10 + torch.arange(3)[:, None] + 0.5).float()
    state = {
        "linear.weight": weight.t().contiguous().t(),  # (3, 2), not contiguous
        "linear.bias": torch.tensor([-1.0, 0.25, 3.0]),
        "half.weight": weight.half(),
        "brain.weight": weight.bfloat16(),
        "double.weight": weight.double(),
        "tied.weight": None,
        "bn.num_batches_tracked": torch.tensor(5),
        "position_ids": torch.arange(4)[None],
    }
    state["tied.weight"] = state["linear.weight"]
    torch.save(state, HERE / "checkpoint_zip.pth")
    torch.save(state, HERE / "checkpoint_legacy.bin", _use_new_zipfile_serialization=False)
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    nested = {"epoch": 3, "state_dict": parallel, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "lr": 1e-4}}
    torch.save(nested, HERE / "checkpoint_nested.pt")
    torch.save({"linear.weight": torch.zeros(1).expand(1000, 1000)}, HERE / "checkpoint_expanded.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_bert()
    make_checkpoints()
