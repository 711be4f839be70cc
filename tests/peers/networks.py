"""Rows 1 and 2: networks alone, by ONNX Runtime."""

import numpy as np
import onnx_runtime
import torch
from models import DenseNetMap, Encoder, ResNetMap, Vit, load


def encoder(case):
    """The network, its inputs by name, and its outputs."""
    network = load(Encoder(case.weights, case.config["heads"], case.config["norm_eps"]), case.weights)
    tokens = case.arrays["in.tokens"]
    # BERT's mask, added to the scores; here it hides nothing.
    mask = np.zeros((1, 1, 1, tokens.shape[1]), np.float32)
    return network, {"x": tokens, "mask": mask}, ["tokens"]


def export(case):
    """An encoder as an ONNX file."""
    network, inputs, outputs = encoder(case)
    onnx_runtime.export(case, network, {name: torch.from_numpy(array) for name, array in inputs.items()}, outputs)


def build(group, case):
    arrays, weights, config = case.arrays, case.weights, case.config
    if group.startswith("encoder-"):
        return onnx_runtime.runner(case, *encoder(case))
    if group == "resnet50":
        network = ResNetMap.of(weights)
    elif group == "densenet121":
        network = DenseNetMap()
    else:
        network = Vit(weights, config["heads"], config["norm_eps"])
    return onnx_runtime.runner(case, load(network, weights), {"pixels": arrays["in.pixels"]}, ["map"])
