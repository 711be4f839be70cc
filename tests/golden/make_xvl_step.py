"""Golden numbers of one pre-training step of a tiny Medical X-VL: its five losses and all gradients.

    python make_xvl_step.py     writes xvl_step.*.safetensors beside this script

Made with Python 3.11, torch 2.15.0, torchvision 0.29.2, transformers 4.26.1, numpy 2.4.6, safetensors 0.8.0 (CPU, one
thread); each file names the versions that wrote it. The image encoder is torchvision's VisionTransformer, embeddings, layers
and the head's first half are those of transformers, weight normalisation is torch's; what Medical X-VL adds (Park et al.
2022, and the released code where the paper is silent) is written here. Computed in float64 from weights, pixels and features
rounded to float32, then rounded: what a float32 implementation is away from these numbers is its own doing. torch's own
float32 is 3e-6 away at most, relative to the largest value of a tensor. Nothing here has a kink that rounding could decide.

Sizes: picture 16 px, 3 channels, patches of 4 px; ViT of width 16, 2 layers, 2 heads, inner width 32, norm epsilon 1e-6; BERT
with 40 words, width 16, 4 layers of which the last 2 have cross-attention, 2 heads, inner width 32, 16 positions, norm epsilon
1e-12, which the prediction head's norm has too; projections to 24, 8 features in each queue; prototype head 20, 20, 12 and 24
prototypes. No dropout. They stand in the metadata too: its key `about` holds JSON with `versions`, `config` and `seed`.

A sequence is CLS, words, SEP. Student and momentum teacher have weights of their own; no gradient flows through the teacher.
Text and fusion layers see all that is no padding, but for `report`, where each sees what stands before it and itself.

    contrast   mean of four: images ask texts, texts images, images images, texts texts. Keys are the teacher's features, those
               of the batch and then the queue's; targets 0.4 of the teacher's softmax, 0.6 of the own key; both divide by the
               student's temperature, which learns through the student's logits alone
    itm        cross-entropy over 12 pairs (the four as they are, other images to the texts, other texts to the images), by the
               text's CLS, and by the image's: their sum
    mlm        cross-entropy of the masked words, the image whole: 0.6 against the word, 0.4 against the teacher's softmax
    mim        cross-entropy of the masked patches' prototypes, which ask the text as it is; the teacher sees the image whole,
               is centred and sharpened by 0.05, the student divides by 0.1
    report     cross-entropy of each word and SEP from what stands before, CLS first, the image whole

Each is a mean over what it asks for, samples put together.

xvl_step.weights              the student, by the engine's names; norms and biases random; the prediction head's second layer
                              is the word table
xvl_step.teacher              the teacher
xvl_step.io
    in.image                  (4, 3, 16, 16) float32, normalised already
    in.words                  (4, 9) int64, words, SEP (3) after the last one, then PAD (0); CLS (2) is not among them
    in.lengths                (4,) int64, words and SEP
    in.masked_words           (4, 9) int64, with masks put in
    in.masked_labels          (4, 9) int64, the true word; -1 is not asked
    in.patch_mask             (4, 16) int64, 1 is a masked patch, row by row
    in.negative_image, in.negative_text
                              (4,) int64, whose image is put to a text, whose text to an image
    in.image_queue, in.text_queue
                              (8, 24) features of unit length
    in.centre                 (24,) what the teacher's prototypes are centred by
    in.pad, in.cls, in.sep, in.mask
                              (1,) int64, ids of PAD, CLS, SEP and MASK (4)
    out.LOSS                  (1,) contrast, itm, mlm, mim and report; out.total their sum
    out.i2t, out.t2i, out.i2i, out.t2t
                              (1,) the parts of contrast
    grad.NAME                 the gradient of total by NAME, in its shape
    grad_norm.LOSS.NAME       (1,) norm of the gradient of that loss by NAME; none where the loss does not depend on NAME

When comparing: the gradient by a key's bias is zero but for rounding, for a softmax does not see what is added to all its
inputs. And the word table's row of PAD gets its gradient from the prediction head alone: nobody sees padding.
"""

import warnings

import torch
import transformers
from step_files import gaps, randomise, renamed, rounded, save
from torch import nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer
from transformers.models.bert import modeling_bert as bert

CONFIG = {
    "image": {"size": 16, "patch": 4, "width": 16, "layers": 2, "heads": 2, "intermediate": 32},
    "bert": {
        "vocabulary": 40,
        "width": 16,
        "layers": 4,
        "heads": 2,
        "intermediate": 32,
        "positions": 16,
        "dropout": 0.0,
        "norm_eps": 1e-12,
    },
    "fusion": 2,
    "contrast": {"projection": 24, "temperature": 0.07, "queue": 8, "lambda": 0.4},
    "mim": {"hidden": 20, "bottleneck": 12, "prototypes": 24, "student": 0.1, "teacher": 0.05},
}
PATCHES, TEXT = 16, 9
PAD, CLS, SEP, MASK = 0, 2, 3, 4
LOSSES = ("contrast", "itm", "mlm", "mim", "report")
PARTS = ("i2t", "t2i", "i2i", "t2t")
SEED = 23
# Parts of names, in torchvision and transformers and in the engine.
NAMES = (
    ("encoder.layers.encoder_layer_", "blocks."),
    ("visual_encoder.class_token", "visual_encoder.cls_token"),
    ("visual_encoder.conv_proj.", "visual_encoder.patch_embed.proj."),
    ("visual_encoder.encoder.pos_embedding", "visual_encoder.pos_embed"),
    ("visual_encoder.encoder.ln.", "visual_encoder.norm."),
    (".ln_1.", ".attention.norm."),
    (".ln_2.", ".output_norm."),
    (".self_attention.out_proj.", ".attention.output."),
    (".mlp.0.", ".intermediate."),
    (".mlp.3.", ".output."),
    ("attention.self.", "attention."),
    ("attention.output.dense.", "attention.output."),
    ("attention.output.LayerNorm.", "attention.norm."),
    (".intermediate.dense.", ".intermediate."),
    (".output.dense.", ".output."),
    (".output.LayerNorm.", ".output_norm."),
    ("text.LayerNorm.", "text.norm."),
    ("mlm.transform.dense.", "mlm.transform."),
    ("mlm.transform.LayerNorm.", "mlm.norm."),
)
# torchvision keeps queries, keys and values in one tensor.
TOGETHER = ".self_attention.in_proj_"


def own(name, tensor):
    """The engine's names of a tensor, and what each holds."""
    if TOGETHER not in name:
        return {renamed(name, NAMES): tensor}
    parts = zip(("query", "key", "value"), tensor.chunk(3))
    return {renamed(name.replace(TOGETHER, f".attention.{part}."), NAMES): values for part, values in parts}


class Xvl(nn.Module):
    def __init__(self):
        super().__init__()
        image, sizes, head = CONFIG["image"], CONFIG["bert"], CONFIG["mim"]
        config = transformers.BertConfig(
            vocab_size=sizes["vocabulary"],
            hidden_size=sizes["width"],
            num_attention_heads=sizes["heads"],
            intermediate_size=sizes["intermediate"],
            max_position_embeddings=sizes["positions"],
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            layer_norm_eps=sizes["norm_eps"],
        )
        crossing = transformers.BertConfig(**(config.to_dict() | {"is_decoder": True, "add_cross_attention": True}))
        width, projection = sizes["width"], CONFIG["contrast"]["projection"]
        self.visual_encoder = VisionTransformer(
            image["size"], image["patch"], image["layers"], image["heads"], image["width"], image["intermediate"]
        )
        self.visual_encoder.heads = nn.Identity()
        self.masked_embed = nn.Parameter(torch.zeros(1, width))
        self.text = bert.BertEmbeddings(config)
        self.text.word_embeddings.padding_idx = None
        self.encoder = nn.Module()
        self.below = sizes["layers"] - CONFIG["fusion"]
        layers = [config] * self.below + [crossing] * CONFIG["fusion"]
        self.encoder.layer = nn.ModuleList(bert.BertLayer(layer) for layer in layers)
        self.mlm = nn.Module()
        self.mlm.transform = bert.BertPredictionHeadTransform(config)
        self.mlm.decoder = nn.Module()
        self.mlm.decoder.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.vision_proj = nn.Linear(width, projection)
        self.text_proj = nn.Linear(width, projection)
        self.temp = nn.Parameter(torch.zeros(1))
        self.itm_head_t = nn.Linear(width, 2)
        self.itm_head_v = nn.Linear(width, 2)
        inner = [width, head["hidden"], head["hidden"], head["bottleneck"]]
        self.head = nn.Module()
        self.head.layer = nn.ModuleList(nn.Linear(before, after) for before, after in zip(inner, inner[1:]))
        with warnings.catch_warnings():
            # Its successor has other names for direction and length.
            warnings.simplefilter("ignore", FutureWarning)
            prototypes = nn.Linear(head["bottleneck"], head["prototypes"], bias=False)
            self.head.last_layer = nn.utils.weight_norm(prototypes)

    def see(self, image, masked=None):
        """CLS and patches, (batch, 1 + patches, width); masked (batch, patches) names those that are hidden."""
        encoder = self.visual_encoder
        patches = encoder._process_input(image)
        if masked is not None:
            patches = torch.where(masked[:, :, None] > 0, self.masked_embed, patches)
        cls = encoder.class_token.expand(len(image), -1, -1)
        return encoder.encoder(torch.cat([cls, patches], 1))

    def read(self, words, seen):
        """Text encoder: (batch, tokens, width) of words with CLS in front, of which a token sees those of `seen`."""
        hidden = self.text(words)
        for layer in self.encoder.layer[: self.below]:
            hidden = layer(hidden, seen)[0]
        return hidden

    def fuse(self, asking, seen, asked, seen_there):
        """Fusion encoder: `asking` sees of itself what `seen` lets it, of `asked` what `seen_there` does."""
        for layer in self.encoder.layer[self.below :]:
            hidden = layer(asking, seen, encoder_hidden_states=asked, encoder_attention_mask=seen_there)
            asking = hidden[0]
        return asking

    def predict(self, hidden):
        """Logits of the vocabulary."""
        return F.linear(self.mlm.transform(hidden), self.text.word_embeddings.weight, self.mlm.decoder.bias)

    def prototypes(self, hidden):
        """Logits of the prototypes."""
        first, second, third = self.head.layer
        inner = third(F.gelu(second(F.gelu(first(hidden)))))
        return self.head.last_layer(F.normalize(inner, dim=-1))

    def features(self, image, text):
        """What images and texts are compared by."""
        return (
            F.normalize(self.vision_proj(image[:, 0]), dim=-1),
            F.normalize(self.text_proj(text[:, 0]), dim=-1),
        )


def added(allowed, dtype):
    """What is added to scores: nothing where it is allowed to look, else all but minus infinity. (batch, 1, rows, columns)."""
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)


def behind_cls(words):
    return torch.cat([torch.full((len(words), 1), CLS), words], 1)


def soft(logits, targets):
    """Mean cross-entropy against distributions."""
    return -(targets * F.log_softmax(logits, -1)).sum(-1).mean()


def contrast(temperature, student, teacher, queues):
    """The four parts, of features by modality: image, text."""
    share, keys = CONFIG["contrast"]["lambda"], [torch.cat(pair) for pair in zip(teacher, queues)]
    losses = {}
    for name, asks, asked in (("i2t", 0, 1), ("t2i", 1, 0), ("i2i", 0, 0), ("t2t", 1, 1)):
        with torch.no_grad():
            opinion = torch.softmax(teacher[asks] @ keys[asked].T / temperature, 1)
            targets = share * opinion + (1 - share) * torch.eye(*opinion.shape, dtype=opinion.dtype)
        losses[name] = soft(student[asks] @ keys[asked].T / temperature, targets)
    return losses


def make_losses(student, teacher, inputs):
    """All losses, the parts of contrast among them."""
    dtype = student.temp.dtype
    floating = {name: tensor.to(dtype) for name, tensor in inputs.items() if tensor.is_floating_point()}
    pixels, words, lengths = floating["image"], behind_cls(inputs["words"]), inputs["lengths"]
    batch, tokens = words.shape
    # CLS too.
    real = torch.arange(tokens)[None, :] <= lengths[:, None]
    padding = added(real[:, None, None, :], dtype)
    whole = added(torch.ones(batch, 1, 1, 1 + PATCHES, dtype=torch.bool), dtype)
    image, text = student.see(pixels), student.read(words, padding)
    with torch.no_grad():
        image_m, text_m = teacher.see(pixels), teacher.read(words, padding)
        features_m = teacher.features(image_m, text_m)
    values = contrast(
        student.temp, student.features(image, text), features_m, (floating["image_queue"], floating["text_queue"])
    )
    values["contrast"] = sum(values[part] for part in PARTS) / 4

    images = torch.cat([image, image[inputs["negative_image"]], image])
    texts, seen = (torch.cat([x, x, x[inputs["negative_text"]]]) for x in (text, padding))
    all_patches = whole.repeat(3, 1, 1, 1)
    matched = torch.tensor([1] * batch + [0] * 2 * batch)
    by_text = student.itm_head_t(student.fuse(texts, seen, images, all_patches)[:, 0])
    by_image = student.itm_head_v(student.fuse(images, all_patches, texts, seen)[:, 0])
    values["itm"] = F.cross_entropy(by_text, matched) + F.cross_entropy(by_image, matched)

    masked, asked = behind_cls(inputs["masked_words"]), inputs["masked_labels"] >= 0
    guess = lambda model, seen_image: model.predict(
        model.fuse(model.read(masked, padding), padding, seen_image, whole)[:, 1:][asked]
    )
    logits, share = guess(student, image), CONFIG["contrast"]["lambda"]
    with torch.no_grad():
        opinion = torch.softmax(guess(teacher, image_m), -1)
    hard = F.cross_entropy(logits, inputs["masked_labels"][asked])
    values["mlm"] = (1 - share) * hard + share * soft(logits, opinion)

    hidden = inputs["patch_mask"] > 0
    patches = student.fuse(student.see(pixels, inputs["patch_mask"]), whole, text, padding)[:, 1:][hidden]
    with torch.no_grad():
        logits_m = teacher.prototypes(teacher.fuse(image_m, whole, text_m, padding)[:, 1:][hidden])
        opinion = torch.softmax((logits_m - floating["centre"]) / CONFIG["mim"]["teacher"], -1)
    values["mim"] = soft(student.prototypes(patches) / CONFIG["mim"]["student"], opinion)

    # Row t predicts word t + 1; padding is behind every row that is asked.
    earlier = added(torch.ones(1, 1, tokens, tokens, dtype=torch.bool).tril().expand(batch, -1, -1, -1), dtype)
    written = student.fuse(student.read(words, earlier), earlier, image, whole)
    asked = real[:, 1:]
    values["report"] = F.cross_entropy(student.predict(written[:, :-1][asked]), inputs["words"][asked])
    values["total"] = sum(values[name] for name in LOSSES)
    return values


def make_inputs(generator):
    vocabulary, size, batch = CONFIG["bert"]["vocabulary"], CONFIG["image"]["size"], 4
    projection, queue = CONFIG["contrast"]["projection"], CONFIG["contrast"]["queue"]
    lengths = torch.tensor([9, 5, 7, 3])
    words = torch.randint(5, vocabulary, (batch, TEXT), generator=generator)
    for sample, length in enumerate(lengths.tolist()):
        words[sample, length - 1], words[sample, length:] = SEP, PAD
    masked, labels = words.clone(), torch.full((batch, TEXT), -1)
    # By sample: word, what the model sees there: MASK, another word, or (None) the word itself.
    for sample, asked in enumerate([{1: MASK, 2: None, 6: 31}, {0: MASK, 3: MASK}, {4: 17}, {1: MASK}]):
        for word, shown in asked.items():
            assert word < lengths[sample] - 1
            labels[sample, word] = words[sample, word]
            masked[sample, word] = words[sample, word] if shown is None else shown
    patch_mask = torch.zeros(batch, PATCHES, dtype=torch.long)
    for sample, cells in enumerate([[0, 1, 4, 5], [10, 11, 14, 15], [2, 6], [7, 8, 9, 12, 13]]):
        patch_mask[sample, cells] = 1
    features = lambda: F.normalize(torch.randn(queue, projection, generator=generator), dim=-1)
    single = lambda word: torch.tensor([word])
    return {
        "image": torch.randn(batch, 3, size, size, generator=generator),
        "words": words,
        "lengths": lengths,
        "masked_words": masked,
        "masked_labels": labels,
        "patch_mask": patch_mask,
        "negative_image": torch.tensor([2, 0, 0, 1]),
        "negative_text": torch.tensor([3, 2, 1, 1]),
        "image_queue": features(),
        "text_queue": features(),
        "centre": 0.2 * torch.randn(CONFIG["mim"]["prototypes"], generator=generator),
        "pad": single(PAD),
        "cls": single(CLS),
        "sep": single(SEP),
        "mask": single(MASK),
    }


def draw_model(generator, temperature):
    model = Xvl()
    is_norm = lambda name: "norm" in name.lower() or ".ln" in name
    tables = ("embeddings.weight", "class_token", "pos_embedding", "masked_embed")
    randomise(model, generator, is_norm, tables=tables)
    with torch.no_grad():
        length = model.head.last_layer.weight_g
        length.copy_(1.0 + 0.2 * torch.randn(length.shape, generator=generator))
        model.temp.fill_(temperature)
    return model


def weights_of(model):
    named = {}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            named |= own(name, tensor.clone())
    return named


def make(dtype):
    """All tensors of the three files, computed in `dtype`, as float32."""
    generator = torch.Generator().manual_seed(SEED)
    temperature = CONFIG["contrast"]["temperature"]
    # What would divide by the teacher's temperature would be far off.
    student, teacher = draw_model(generator, temperature), draw_model(generator, 2 * temperature).requires_grad_(False)
    inputs = make_inputs(generator)
    weights = weights_of(student), weights_of(teacher)
    values = make_losses(student.to(dtype), teacher.to(dtype), inputs)
    named = {f"in.{name}": tensor for name, tensor in inputs.items()}
    named |= {f"out.{name}": value for name, value in values.items()}
    parameters = dict(student.named_parameters())
    for loss in (*LOSSES, "total"):
        gradients = torch.autograd.grad(values[loss], list(parameters.values()), retain_graph=True, allow_unused=True)
        for theirs, gradient in zip(parameters, gradients):
            if gradient is None:
                assert loss != "total", theirs
                continue
            for name, part in own(theirs, gradient).items():
                named |= {f"grad.{name}": part} if loss == "total" else {f"grad_norm.{loss}.{name}": part.norm()}
    return *weights, rounded(named)


def main():
    *_, single = make(torch.float32)
    student, teacher, named = make(torch.float64)
    gaps(single, named, ("out", "grad", "grad_norm"), apart=("key.bias",))
    about = {"config": CONFIG, "seed": SEED}
    save("xvl_step.weights.safetensors", student, about)
    save("xvl_step.teacher.safetensors", teacher, about)
    save("xvl_step.io.safetensors", named, about)
    print({name: float(named[f"out.{name}"]) for name in (*PARTS, *LOSSES, "total")})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
