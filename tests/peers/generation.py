"""Rows 3 and 4: MedViLL by ONNX Runtime: image encoder and context once, then a step a word over cached keys and values."""

import numpy as np
import onnx_runtime
import torch
import torch.nn.functional as F
from models import Encoder, ResNetMap, load
from peer import Runner, gap
from torch import nn

# What a masked score becomes: its weight is 0 exactly.
HIDDEN = -3e38


class MedVill(nn.Module):
    """The parts of MedViLL that write, with what is the engine's own for its demo (`ours`)."""

    def __init__(self, weights, config):
        super().__init__()
        bert, self.ours = config["bert"], config.get("ours") or {}
        self.norm, size = config["preprocessing"]["norm"], config["preprocessing"]["size"]
        self.side = -(-size // 32)
        width, eps = bert["width"], bert["norm_eps"]
        self.image = ResNetMap.of(weights, "image.")
        self.text = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(bert["vocabulary"], width),
                "position_embeddings": nn.Embedding(bert["positions"], width),
                "token_type_embeddings": nn.Embedding(2, width),
                "norm": nn.LayerNorm(width, eps),
            }
        )
        features = weights["visual.projection.weight"].shape[1]
        self.visual = nn.ModuleDict({"projection": nn.Linear(features, width)})
        if self.ours.get("grid_positions"):
            self.visual["grid"] = nn.Embedding(*weights["visual.grid.weight"].shape)
        if self.ours.get("global_prior"):
            self.visual["findings"] = nn.Linear(3 * 14, width)
        if self.ours.get("local_prior"):
            self.visual["cells"] = nn.Linear(14, width)
        if self.ours.get("findings_head"):
            self.map_findings = nn.Linear(features, 3 * 14)
        self.encoder = Encoder(weights, bert["heads"], eps, "encoder.")
        self.mlm = nn.ModuleDict(
            {"transform": nn.Linear(width, width), "norm": nn.LayerNorm(width, config["mlm_norm_eps"])}
        )
        self.bias = nn.Parameter(torch.zeros(bert["vocabulary"]))

    @classmethod
    def loaded(cls, weights, config):
        used = ("image.", "text.", "visual.", "encoder.", "mlm.transform.", "mlm.norm.")
        if (config.get("ours") or {}).get("findings_head"):
            used += ("map_findings.",)
        own = {name: w for name, w in weights.items() if name.startswith(used)}
        return load(cls(weights, config), own | {"bias": weights["mlm.decoder.bias"]})

    def embed(self, content, positions, segment):
        text = self.text
        segments = text["token_type_embeddings"].weight[segment]
        return text["norm"](content + text["position_embeddings"](positions) + segments)

    def tokens(self, ids, positions, segment):
        return self.embed(self.text["word_embeddings"](ids), positions, segment)

    def priors(self, features):
        """What the findings head reads on the whole map and in each cell, and the place on the grid, for each visual token."""
        added, (batch, cells, _) = 0, features.shape
        if self.ours.get("findings_head"):
            logits = self.map_findings(features)
            if self.ours.get("local_prior"):
                added = added + self.visual["cells"](torch.sigmoid(logits[:, :, :14]))
            if self.ours.get("global_prior"):
                side = self.side
                column = torch.arange(side * side) % side
                hidden = torch.zeros(side * side, 3, 1)
                hidden[column < side // 2, 1] = -1e4
                hidden[column > side - 1 - side // 2, 2] = -1e4
                whole = torch.logsumexp(logits.view(batch, cells, 3, 14) + hidden, 1)
                added = added + self.visual["findings"](torch.sigmoid(whole.view(batch, 1, 3 * 14)))
        if self.ours.get("grid_positions"):
            added = added + self.visual["grid"].weight
        return added

    def context(self, pixels, cls, sep):
        """CLS, visual tokens and SEP, embedded."""
        if self.norm == "per_image":
            centred = pixels - pixels.mean((1, 2, 3), keepdim=True)
            pixels = centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-3)
        else:
            fixed = self.norm["fixed"]
            pixels = (pixels - fixed["mean"]) / fixed["sd"]
        channels = self.image.conv1.weight.shape[1]
        features = self.image(pixels.expand(-1, channels, -1, -1)).flatten(2).transpose(1, 2)
        content = self.visual["projection"](features) + self.priors(features)
        visual = self.embed(content, torch.arange(features.shape[1])[None], 0)
        first = torch.zeros(1, 1, dtype=torch.int64)
        ends = [self.tokens(torch.full((1, 1), token), first, 0) for token in (cls, sep)]
        return torch.cat([ends[0], visual, ends[1]], 1)

    def logits(self, hidden):
        hidden = self.mlm["norm"](F.gelu(self.mlm["transform"](hidden)))
        return F.linear(hidden, self.text["word_embeddings"].weight, self.bias)

    def encode(self, x, mask=None, past=None):
        """The last hidden states, and the keys and values of `x` a layer."""
        kept = []
        for number, layer in enumerate(self.encoder.layer):
            x, pair = layer(x, mask, past and past[number])
            kept.append(pair)
        return x, kept


class Start(nn.Module):
    """Image -> logits of the first word, and keys and values of the context a layer: one pass over context and MASK, which
    the context does not see."""

    def __init__(self, model, specials):
        super().__init__()
        self.model, self.specials = model, specials

    def forward(self, pixels):
        model, specials = self.model, self.specials
        context = model.context(pixels, specials["cls"], specials["sep"])
        first = torch.zeros(1, 1, dtype=torch.int64)
        x = torch.cat([context, model.tokens(torch.full((1, 1), specials["mask"]), first, 1)], 1)
        rows = x.shape[1]
        mask = torch.zeros(rows, rows)
        mask[:-1, -1] = HIDDEN
        hidden, kept = model.encode(x, mask)
        return model.logits(hidden[:, -1]), *(t[:, :, :-1] for pair in kept for t in pair)


class Step(nn.Module):
    """The last word and MASK after the keys and values so far -> logits of the next word, and the word's own keys and values,
    appended to those before. The word does not see MASK."""

    def __init__(self, model, specials, grows):
        super().__init__()
        self.model, self.specials, self.grows = model, specials, grows
        names = past_names(model)
        self.growing = {name: {2: "length"} for name in names} if grows else {}

    def forward(self, word, place, *past):
        model = self.model
        ids = torch.cat([word, torch.full((1, 1), self.specials["mask"])], 1)
        x = model.tokens(ids, torch.cat([place, place + 1], 1), 1)
        pairs = list(zip(past[::2], past[1::2]))
        # Over the newest two columns alone: the others are seen by both rows.
        seen = torch.tensor([[0.0, HIDDEN], [0.0, 0.0]])
        mask = F.pad(seen, (past[0].shape[2], 0))
        hidden, kept = model.encode(x, mask, pairs)
        flat = [t for pair in kept for t in pair]
        return model.logits(hidden[:, -1]), *(torch.cat([a, b[:, :, :1]], 2) for a, b in zip(past, flat))


def past_names(model):
    return [f"{kind}{layer}" for layer in range(len(model.encoder.layer)) for kind in ("key", "value")]


def step_inputs(model, word, place, past):
    return {"word": torch.tensor([[word]]), "place": torch.tensor([[place]])} | dict(zip(past_names(model), past))


def outputs(model):
    return ["logits"] + [f"next_{name}" for name in past_names(model)]


@torch.no_grad()
def past_of(model, specials, pixels, words):
    """Keys and values of the context and `words`, in one pass under the sequence-to-sequence mask."""
    context = model.context(torch.from_numpy(pixels), specials["cls"], specials["sep"])
    ids = torch.tensor([words], dtype=torch.int64)
    x = torch.cat([context, model.tokens(ids, torch.arange(len(words))[None], 1)], 1)
    before, rows = context.shape[1], x.shape[1]
    mask = torch.full((rows, rows), HIDDEN).triu(1)
    mask[:, :before] = 0.0
    return [t.contiguous() for pair in model.encode(x, mask)[1] for t in pair]


def step(case, model, specials):
    words = [int(word) for word in case.arrays["in.words"]]
    past = past_of(model, specials, case.arrays["in.pixels"], words[:-1])
    inputs = step_inputs(model, words[-1], len(words) - 1, past)
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    return onnx_runtime.runner(case, Step(model, specials, grows=False), arrays, outputs(model))


def draft_parts(case, model, specials):
    """Both networks of a draft, each with example inputs, outputs and name."""
    pixels = case.arrays["in.pixels"]
    example = step_inputs(model, specials["unk"], 0, past_of(model, specials, pixels, []))
    yield Start(model, specials), {"pixels": torch.from_numpy(pixels)}, outputs(model), "start"
    yield Step(model, specials, grows=True), example, outputs(model), "step"


def export(case):
    """Both networks of a draft as ONNX files."""
    model = MedVill.loaded(case.weights, case.config["model"])
    for part in draft_parts(case, model, case.config["specials"]):
        onnx_runtime.export(case, *part)


def draft(case, model, specials, most):
    """The greedy loop of the engine, words in Python, networks in ONNX Runtime."""
    pixels = case.arrays["in.pixels"]
    names = past_names(model)
    start, follow = (onnx_runtime.session(case, *part) for part in draft_parts(case, model, specials))
    never = [specials[name] for name in ("pad", "cls", "mask", "unk")]

    def write(probabilities=None):
        logits, *past = start.run(None, {"pixels": pixels})
        words = []
        while len(words) < most:
            scores = logits[0]
            total = np.logaddexp.reduce(scores)
            scores[never] = -np.inf
            word = int(scores.argmax())
            if word == specials["sep"]:
                break
            if probabilities is not None:
                probabilities.append(np.exp(scores[word] - total))
            words.append(word)
            inputs = {"word": np.array([[word]]), "place": np.array([[len(words) - 1]])}
            logits, *past = follow.run(None, inputs | dict(zip(names, past)))
        return words

    probabilities = []
    words = write(probabilities)
    if words != [int(word) for word in case.arrays["out.words"]]:
        raise ValueError(f"other words: {words}, the engine wrote {case.arrays['out.words'].astype(int).tolist()}")
    gaps = {"probabilities": gap(probabilities, case.arrays["out.probabilities"])}
    return Runner(onnx_runtime.NAME, gaps, write)


def build(group, case):
    torch.set_num_threads(case.threads)
    config, specials = case.config["model"], case.config["specials"]
    model = MedVill.loaded(case.weights, config)
    if group == "draft":
        return draft(case, model, specials, config["max_tokens"])
    if case.name == "medvill-first":
        inputs = {"pixels": case.arrays["in.pixels"]}
        return onnx_runtime.runner(case, Start(model, specials), inputs, outputs(model))
    return step(case, model, specials)
