"""Golden numbers of one pre-training step of a tiny MedViLL: losses, gradients, and what AdamW makes of them.

    python make_medvill_step.py                  writes medvill_step.*.safetensors beside this script
    python make_medvill_step.py --check FOLDER   compares the model with FOLDER/medvill_tiny.*.safetensors, writes nothing

Made with Python 3.11, torch 2.15.0, torchvision 0.29.2, transformers 4.26.1, numpy 2.4.6, safetensors 0.8.0 (CPU, one
thread); each file names the versions that wrote it. ResNet's blocks are torchvision's, embeddings, encoder, pooler and
language-model head those of transformers; what MedViLL adds (Moon et al. 2021, and the released code where the paper is
silent) is written here. Computed in float64 from weights and pixels rounded to float32, then rounded: what a float32
implementation is away from these numbers is its own doing. torch's own float32 is 7e-5 away at most, relative to the
largest value of a tensor. The seed is the first from 23 with which no rectifier meets a value within 2e-5 of zero: there
rounding would decide whether a gradient passes, and a right implementation could be far off.

Sizes: picture 96 px, 3 channels; ResNet with bottlenecks, width 4, depths [1, 2, 1, 1], 9 cells of 128 features; BERT with
60 words, width 32, 2 layers, 4 heads, inner width 64, 24 positions, norm epsilon 1e-12; language-model head's norm epsilon
1e-5; text of 9 words and SEP; 5 of 9 visual tokens. No dropout. They stand in the metadata too: its key `about` holds JSON
with `versions` and `config`.

Batch normalisation, epsilon 1e-5, is in training mode: it normalises by the batch's mean and biased variance, through
which gradients flow. `eval.*` is the same step with the running statistics, as a frozen image encoder has them.

medvill_step.weights    the release's names; norms, biases and running statistics random
medvill_step.io
    in.image            (4, 3, 96, 96) float32, normalised already
    in.grid             (5,) int64, cells of the map that are kept, ascending
    in.input_ids        (4, 10) int64, words with masks put in, SEP (3) after the last word, then PAD (0)
    in.lengths          (4,) int64, words and SEP
    in.cls, in.sep      (1,) int64, ids of CLS (2) and of the SEP after the visual tokens (3)
    in.mlm_labels       (4, 17) int64 over the whole sequence CLS, 5 cells, SEP, text; -100 is not asked
    in.is_aligned       (4,) int64, 1 is matched
    out.S.mlm_loss      mean cross-entropy over the masked words of the batch; S is bi, s2s or bar
    out.S.irm_loss      mean cross-entropy of matching;  out.S.loss their sum;  all (1,)
    out.S.norm          (1,) norm of all gradients
    grad.s2s.NAME       the gradient of loss by NAME, in its shape; each shared parameter once, under `enc.txt_embeddings`
    grad_norm.S.NAME    (1,) its norm, for each S
    step.S.NAME         (1,) norm of NAME after one step of AdamW: rate 1e-3, decay 0.01 (none on biases and norms), betas
                        0.9 and 0.999, epsilon 1e-8, gradients clipped to a global norm of 1
    moved.S.NAME        (1,) norm of the difference which that step made
    stepped.s2s.NAME    NAME after the step, in its shape, for the pooler, the projection and the first convolution
    statistics.NAME     running mean and variance after the pass (momentum 0.1). torch adds the *unbiased* variance;
                        `statistics_biased.NAME` is the running variance of one who adds the biased
    eval.s2s.*          losses and norms with running statistics: mlm_loss, irm_loss, loss, grad_norm.NAME

Two things to know when comparing. The gradient by a key's bias is zero but for rounding (a softmax does not see what is
added to all its inputs); AdamW would make whole steps of float32's noise there, so `step` and `moved` leave it out. And
transformers withholds from PAD's row of the word table the gradient of looking it up, which only BAR would give it (there
visual rows see padding); `grad_norm.bar_pad.NAME` is that of the word table with it.
"""

import argparse
import itertools
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from step_files import gaps, randomise, rounded, save
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck, ResNet
from transformers.models.bert import modeling_bert as bert

CONFIG = {
    "size": 96,
    "image": {"channels": 3, "width": 4, "block": "bottleneck", "depths": [1, 2, 1, 1]},
    "bert": {
        "vocabulary": 60,
        "width": 32,
        "layers": 2,
        "heads": 4,
        "intermediate": 64,
        "positions": 24,
        "dropout": 0.0,
        "norm_eps": 1e-12,
    },
    "words": 9,
    "sampled": 5,
    "mlm_norm_eps": 1e-5,
}
SCHEMES = ("bi", "s2s", "bar")
PAD, CLS, SEP, MASK = 0, 2, 3, 4
RATE, DECAY, BETAS, EPSILON, CLIP = 1e-3, 0.01, (0.9, 0.999), 1e-8, 1.0
# A rectifier's derivative jumps at zero. float32 is up to 1e-5 off at its input, so nothing may lie so near.
CLEAR = 2e-5
WHOLE = ("enc.pooler.dense.weight", "enc.img_embeddings.img_embeddings.weight", "enc.img_encoder.model.0.weight")


class NarrowResNet(ResNet):
    """torchvision's ResNet with a width of one's choice and no classifier."""

    def __init__(self, channels, width, depths):
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = width, 1, 1, 64
        self.stem = nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.stages = [
            self._make_layer(Bottleneck, width << number, depth, stride=1 if number == 0 else 2)
            for number, depth in enumerate(depths)
        ]

    def sequential(self):
        """The release's Sequential: 0 convolution, 1 norm, 2 ReLU, 3 pool, 4 to 7 stages."""
        pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        return nn.Sequential(self.stem, self.norm, nn.ReLU(inplace=True), pool, *self.stages)


class ImageEncoder(nn.Module):
    """The last map, cell by cell."""

    def __init__(self, image):
        super().__init__()
        self.model = NarrowResNet(image["channels"], image["width"], image["depths"]).sequential()

    def forward(self, image):
        return self.model(image).flatten(2).transpose(1, 2)  # (batch, cells, features)


class ImageEmbeddings(nn.Module):
    """A projection, then the text's own position and segment tables and norm."""

    def __init__(self, features, config, text):
        super().__init__()
        self.img_embeddings = nn.Linear(features, config.hidden_size)
        self.position_embeddings = text.position_embeddings
        self.token_type_embeddings = text.token_type_embeddings
        self.LayerNorm = text.LayerNorm

    def forward(self, features, grid):
        segment = torch.zeros(features.shape[:2], dtype=torch.long)
        positions = self.position_embeddings(grid.expand(len(features), -1))
        return self.LayerNorm(self.img_embeddings(features) + positions + self.token_type_embeddings(segment))


class MedViLL(nn.Module):
    """Names as in the release's files."""

    def __init__(self, sizes):
        super().__init__()
        width = sizes["bert"]
        config = transformers.BertConfig(
            vocab_size=width["vocabulary"],
            hidden_size=width["width"],
            num_hidden_layers=width["layers"],
            num_attention_heads=width["heads"],
            intermediate_size=width["intermediate"],
            max_position_embeddings=width["positions"],
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            layer_norm_eps=width["norm_eps"],
        )
        self.enc = nn.Module()
        self.enc.txt_embeddings = bert.BertEmbeddings(config)
        self.enc.img_embeddings = ImageEmbeddings(sizes["image"]["width"] * 32, config, self.enc.txt_embeddings)
        self.enc.img_encoder = ImageEncoder(sizes["image"])
        self.enc.encoder = bert.BertEncoder(config)
        self.enc.pooler = bert.BertPooler(config)
        self.mlm = nn.Module()
        self.mlm.predictions = bert.BertLMPredictionHead(config)
        self.mlm.predictions.decoder.weight = self.enc.txt_embeddings.word_embeddings.weight
        self.mlm.predictions.transform.LayerNorm.eps = sizes["mlm_norm_eps"]
        self.itm = nn.Module()
        self.itm.linear = nn.Linear(config.hidden_size, 2)

    def forward(self, image, grid, ids, visible, cls=CLS, sep=SEP):
        """visible (batch, S, S): row may attend to column."""
        batch = len(image)
        single = lambda word: self.enc.txt_embeddings(torch.full((batch, 1), word), torch.zeros(batch, 1).long())
        features = self.enc.img_encoder(image)
        visual = self.enc.img_embeddings(features[:, grid], grid)
        text = self.enc.txt_embeddings(ids, torch.ones_like(ids))
        sequence = torch.cat([single(cls), visual, single(sep), text], 1)
        added = (1.0 - visible[:, None].to(sequence.dtype)) * -10000.0
        hidden = self.enc.encoder(sequence, added).last_hidden_state
        pooled = self.enc.pooler(hidden)
        named = {"visual_features_all": features, "hidden": hidden, "pooled": pooled}
        return named | {"mlm_logits": self.mlm.predictions(hidden), "itm_logits": self.itm.linear(pooled)}


def mask(scheme, context, lengths, text):
    """visible (batch, S, S) of a context of CLS, cells and SEP, and texts padded to `text` columns."""
    total = context + text
    row, column = torch.arange(total)[:, None], torch.arange(total)[None, :]
    real = (column < context + lengths[:, None])[:, None, :].expand(-1, total, -1)
    if scheme == "bi":
        return real
    causal = (column < context) | ((row >= context) & (column <= row))
    if scheme == "bar":
        causal = causal | (row < context)  # padding too, as the release has it
    return causal.expand(len(lengths), -1, -1)


def losses(out, labels, aligned):
    mlm = F.cross_entropy(out["mlm_logits"].flatten(0, 1), labels.flatten(), ignore_index=-100)
    irm = F.cross_entropy(out["itm_logits"], aligned)
    return {"mlm_loss": mlm, "irm_loss": irm, "loss": mlm + irm}


def make_inputs(generator):
    cells, words, batch = 9, CONFIG["words"], 4
    context, grid = CONFIG["sampled"] + 2, torch.tensor([0, 2, 3, 7, 8])
    assert len(grid) == CONFIG["sampled"] and grid.max() < cells
    lengths = torch.tensor([10, 7, 5, 8])
    ids = torch.randint(5, CONFIG["bert"]["vocabulary"], (batch, words + 1), generator=generator)
    labels = torch.full((batch, context + words + 1), -100)
    # Sample, word, what the model sees there: MASK, another word, or (None) the word itself.
    for sample, word, shown in [(0, 1, MASK), (0, 6, MASK), (1, 3, 41), (2, 0, MASK), (3, 2, None), (3, 5, MASK)]:
        labels[sample, context + word] = ids[sample, word]
        ids[sample, word] = ids[sample, word] if shown is None else shown
    for sample, length in enumerate(lengths.tolist()):
        ids[sample, length - 1], ids[sample, length:] = SEP, PAD
    return {
        "image": torch.randn(batch, 3, CONFIG["size"], CONFIG["size"], generator=generator),
        "grid": grid,
        "input_ids": ids,
        "lengths": lengths,
        "cls": torch.tensor([CLS]),
        "sep": torch.tensor([SEP]),
        "mlm_labels": labels,
        "is_aligned": torch.tensor([1, 0, 1, 0]),
    }


def backward(model, inputs, scheme, dtype):
    """Losses of a pass, its gradients by name."""
    model.zero_grad(set_to_none=True)
    visible = mask(scheme, CONFIG["sampled"] + 2, inputs["lengths"], CONFIG["words"] + 1)
    out = model(inputs["image"].to(dtype), inputs["grid"], inputs["input_ids"], visible)
    values = losses(out, inputs["mlm_labels"], inputs["is_aligned"])
    values["loss"].backward()
    named = dict(model.named_parameters())
    assert all(parameter.grad is not None for parameter in named.values())
    return values, {name: parameter.grad.clone() for name, parameter in named.items()}


def step(model, state):
    """One step of AdamW on the gradients that `model` holds; the parameters after it. The model is put back."""
    decays = lambda name, parameter: parameter.dim() > 1
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for n, p in named.items() if decays(n, p)], "weight_decay": DECAY},
        {"params": [p for n, p in named.items() if not decays(n, p)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPSILON)
    norm = nn.utils.clip_grad_norm_(list(named.values()), CLIP)
    optimizer.step()
    after = {name: parameter.detach().clone() for name, parameter in named.items()}
    model.load_state_dict(state)
    return after, norm


def draw(seed):
    """Weights and inputs."""
    generator = torch.Generator().manual_seed(seed)
    model = MedViLL(CONFIG)
    norms = ("bn", "LayerNorm", "downsample.1", ".model.1.")
    is_norm = lambda name: any(part in name for part in norms)
    # The head's own bias is this one under another name.
    randomise(model, generator, is_norm, left=("mlm.predictions.decoder.bias",))
    return model, make_inputs(generator)


def nearest_to_zero(seed):
    """The smallest magnitude that any rectifier of the image encoder meets, with the batch's statistics or the running."""
    model, inputs = draw(seed)
    encoder, smallest = model.double().enc.img_encoder, []
    for module in encoder.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, given: smallest.append(given[0].abs().min().item()))
    with torch.no_grad():
        for training in (True, False):
            encoder.train(training)(inputs["image"].double())
    return min(smallest)


def make(dtype, seed):
    """All tensors of the two files, computed in `dtype`, as float32."""
    model, inputs = draw(seed)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.to(dtype)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    named = {f"in.{name}": tensor for name, tensor in inputs.items()}

    counts = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            hook = lambda _, given, __, name=name: counts.update({name: given[0].numel() // given[0].shape[1]})
            module.register_forward_hook(hook)
    for scheme in SCHEMES:
        model.train()
        values, gradients = backward(model, inputs, scheme, dtype)
        if scheme == "s2s":
            running = {name: tensor.clone() for name, tensor in model.state_dict().items() if "running" in name}
            named |= {f"statistics.{name}": tensor for name, tensor in running.items()}
            for name in (name for name in running if name.endswith("running_var")):
                kept, count = 0.9 * state[name], counts[name[: -len(".running_var")]]
                named[f"statistics_biased.{name}"] = kept + (running[name] - kept) * (count - 1) / count
            named |= {f"grad.s2s.{name}": gradient for name, gradient in gradients.items()}
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        after, norm = step(model, state)
        named |= {f"out.{scheme}.{name}": value for name, value in values.items()} | {f"out.{scheme}.norm": norm}
        for name, gradient in gradients.items():
            named[f"grad_norm.{scheme}.{name}"] = gradient.norm()
            if not name.endswith("key.bias"):
                named[f"step.{scheme}.{name}"] = after[name].norm()
                named[f"moved.{scheme}.{name}"] = (after[name] - before[name]).norm()
        if scheme == "s2s":
            named |= {f"stepped.s2s.{name}": after[name] for name in WHOLE}

    words = model.enc.txt_embeddings.word_embeddings
    words.padding_idx = None
    _, gradients = backward(model, inputs, "bar", dtype)
    name = "enc.txt_embeddings.word_embeddings.weight"
    named[f"grad_norm.bar_pad.{name}"] = gradients[name].norm()
    words.padding_idx = PAD
    model.load_state_dict(state)

    model.eval()
    values, gradients = backward(model, inputs, "s2s", dtype)
    named |= {f"eval.s2s.{name}": value for name, value in values.items()}
    named |= {f"eval.s2s.grad_norm.{name}": gradient.norm() for name, gradient in gradients.items()}
    return weights, rounded(named)


def check(folder):
    """The model against tensors of the released code."""
    given, stored = (load_file(folder / f"medvill_tiny.{part}.safetensors") for part in ("io", "weights"))
    sizes = {
        "image": {"channels": 3, "width": 8, "block": "bottleneck", "depths": [3, 4, 6, 3]},
        "bert": dict(CONFIG["bert"], vocabulary=120, width=64, intermediate=128, positions=64),
        "mlm_norm_eps": 1e-5,
    }
    model = MedViLL(sizes).eval()
    stored["mlm.predictions.decoder.bias"] = stored["mlm.predictions.bias"]
    missing, unexpected = model.load_state_dict(stored, strict=False)
    print("missing", missing, "unexpected", unexpected)
    cls, sep = int(given["in.cls_tok"][0, 0]), int(given["in.sep_tok"][0, 0])
    grid = given["out.visual_positions"][0]
    lengths = (given["in.input_ids"] != PAD).sum(1)
    for scheme in SCHEMES:
        visible = mask(scheme, 7, lengths, 10)
        assert torch.equal(visible.long(), given[f"in.mask_{scheme}"]), scheme
        with torch.no_grad():
            out = model(given["in.image"], grid, given["in.input_ids"], visible, cls, sep)
            values = losses(out, given["in.mlm_labels"], given["in.is_aligned"])
        out |= {"loss_mlm": values["mlm_loss"], "loss_itm": values["irm_loss"]}
        for name, value in out.items():
            reference = given.get(f"out.{scheme}.{name}", given.get(f"out.{name}"))
            if reference is not None:
                print(f"{scheme}.{name}: largest difference {(value - reference).abs().max():.1e}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", type=Path)
    folder = parser.parse_args().check
    if folder:
        return check(folder)
    seed = next(seed for seed in itertools.count(23) if nearest_to_zero(seed) > CLEAR)
    print("seed", seed)
    weights, single = make(torch.float32, seed)
    _, named = make(torch.float64, seed)
    prefixes = ("out", "grad", "grad_norm", "step", "moved", "stepped", "statistics", "eval")
    gaps(single, named, prefixes, apart=("key.bias",))
    # Stored once: the visual embedding's tables and the decoder are the text's.
    shared = ("enc.img_embeddings.position", "enc.img_embeddings.token", "enc.img_embeddings.LayerNorm")
    drop = lambda name: name.startswith(shared) or ".decoder." in name or "position_ids" in name
    about = {"config": CONFIG, "seed": seed}
    save("medvill_step.weights.safetensors", {k: v for k, v in weights.items() if not drop(k)}, about)
    save("medvill_step.io.safetensors", named, about)
    for scheme in SCHEMES:
        print(scheme, {k: float(named[f"out.{scheme}.{k}"]) for k in ("mlm_loss", "irm_loss", "norm")})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
