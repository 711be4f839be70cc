"""Rows 1 and 2: networks alone, by ONNX Runtime."""

import numpy as np
import onnx_runtime
from models import DenseNetMap, Encoder, ResNetMap, Vit, load


def build(group, case):
    arrays, weights, config = case.arrays, case.weights, case.config
    if group.startswith("encoder-"):
        network = load(Encoder(weights, config["heads"], config["norm_eps"]), weights)
        tokens = arrays["in.tokens"]
        # BERT's mask, added to the scores; here it hides nothing.
        mask = np.zeros((1, 1, 1, tokens.shape[1]), np.float32)
        return onnx_runtime.runner(case, network, {"x": tokens, "mask": mask}, ["tokens"])
    if group == "resnet50":
        network = ResNetMap.of(weights)
    elif group == "densenet121":
        network = DenseNetMap()
    else:
        network = Vit(weights, config["heads"], config["norm_eps"])
    return onnx_runtime.runner(case, load(network, weights), {"pixels": arrays["in.pixels"]}, ["map"])
