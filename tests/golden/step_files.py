"""What the scripts that make a training step's golden numbers share: random weights, rounding, files, how far float32 is off.

Each computes in float64 from weights and inputs rounded to float32, and rounds what it finds.
"""

import json
import math
import platform
from pathlib import Path

import numpy
import safetensors
import torch
import torchvision
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
VERSIONS = (
    f"python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}, "
    f"transformers {transformers.__version__}, numpy {numpy.__version__}, safetensors {safetensors.__version__}"
)


def renamed(name, parts):
    """A tensor's name with parts of it exchanged, pair after pair."""
    for theirs, ours in parts:
        name = name.replace(theirs, ours)
    return name


def randomise(model, generator, is_norm, left=(), tables=("embeddings.weight",)):
    """Convolutions by fan-in, norms near 1, all else small enough that no activation saturates; what is named in `left` stays.
    `is_norm` says of a name whether it is a norm's, `tables` are parts of names of what is added to a token."""
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if not tensor.is_floating_point() or name in left:
                continue
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
            if name.endswith("running_var"):
                noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float32) + 0.5
            elif tensor.dim() == 4:
                noise = noise * math.sqrt(2.0 / tensor[0].numel())
            elif tensor.dim() > 1:
                is_table = any(part in name for part in tables)
                noise = noise * (0.4 if is_table else 1.4 / math.sqrt(tensor.shape[1]))
            else:
                noise = noise * 0.2 + (1.0 if is_norm(name) and name.endswith("weight") else 0.0)
            tensor.copy_(noise)


def rounded(named):
    """Numbers as float32, scalars in one dimension."""
    single = lambda tensor: tensor.detach().float() if tensor.is_floating_point() else tensor
    return {name: single(tensor).reshape(tensor.shape or (1,)) for name, tensor in named.items()}


def gaps(single, named, prefixes, apart):
    """Prints how far float32's tensors are from float64's, relative to the largest value of each, leaving out names that end as
    `apart` says; of those, how far absolutely their gradients are."""
    for prefix in prefixes:
        gap, worst = max(
            ((single[k] - v).abs().max().item() / max(v.abs().max().item(), 1e-6), k)
            for k, v in named.items()
            if k.split(".")[0] == prefix and not k.endswith(apart)
        )
        print(f"float32 against float64, {prefix}: {gap:.1e} at {worst}")
    for end in apart:
        names = [k for k in named if k.startswith("grad.") and k.endswith(end)]
        gap, most = max((single[k] - named[k]).abs().max() for k in names), max(named[k].abs().max() for k in names)
        print(f"float32 against float64, gradient by {end}: {gap:.1e} absolutely, largest value {most:.1e}")


def save(name, tensors, about):
    """Writes a file beside the scripts; `about` says what it was made from."""
    # One metadata key a file: the library writes several in random order, and the file would differ from run to run.
    metadata = {"about": json.dumps({"versions": VERSIONS} | about, sort_keys=True)}
    tensors = {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}
    save_file(tensors, HERE / name, metadata=metadata)
    (HERE / name).chmod(0o644)
