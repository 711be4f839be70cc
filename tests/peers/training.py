"""Row 5: training steps by PyTorch, eager."""

import numpy as np
import torch
from models import Encoder, ResNetMap, Vit, load
from peer import Runner, gap
from torch import nn

# A rectifier's input that rounds to the other side of 0 moves all gradients below it by a few thousandths.
MOST = 1e-2
NAME = f"PyTorch {torch.__version__.split('+')[0]}"


def build(group, case):
    torch.set_num_threads(case.threads)
    arrays, weights, config = case.arrays, case.weights, case.config
    if group == "train-resnet":
        network = ResNetMap.of(weights)
    else:
        network = (Encoder if group == "train-encoder" else Vit)(weights, config["heads"], config["norm_eps"])
    network = load(network, weights).train()
    x, target = (torch.from_numpy(arrays[f"in.{name}"]) for name in ("input", "target"))
    given = config["optimizer"]
    decays = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decays, "weight_decay": given["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
        lr=given["lr"],
        betas=tuple(given["betas"]),
        eps=1e-8,
    )

    def step(watch=None):
        optimizer.zero_grad(set_to_none=True)
        loss = (network(x) - target).square().mean()
        loss.backward()
        if watch is not None:
            watch.update({name: p.grad.numpy().copy() for name, p in network.named_parameters()})
        nn.utils.clip_grad_norm_(network.parameters(), given["clip"])
        optimizer.step()
        return loss.item()

    gradients = {}
    expected = {name.removeprefix("grad."): g for name, g in arrays.items() if name.startswith("grad.")}
    losses = [step(gradients)] + [step() for _ in arrays["out.losses"][1:]]
    gaps = {f"loss of step {i + 1}": gap(*pair) for i, pair in enumerate(zip(losses, arrays["out.losses"]))}
    # What should be 0, such as the gradient of a key's bias, is rounding on both sides.
    floor = 1e-3 * max(np.linalg.norm(g) for g in expected.values())
    for name in expected.keys() | gradients.keys():
        if name not in expected or name not in gradients or expected[name].shape != gradients[name].shape:
            raise ValueError(f"the gradient of {name} is not on both sides, or of another shape")
        off = np.linalg.norm(gradients[name] - expected[name])
        gaps[f"gradient of {name}"] = float(off / max(np.linalg.norm(expected[name]), floor))
    return Runner(NAME, gaps, step, MOST)
