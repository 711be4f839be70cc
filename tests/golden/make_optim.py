"""Golden numbers of optimisers, schedules and the moving average of weights, from torch.optim and transformers.

    python make_optim.py        writes optim.json beside this script

Made with Python 3.10, torch 1.12.1, transformers 4.26.1 (CPU, one thread, float64); the file names the versions that wrote
it under `versions`.

toy         Two parameters, `weight` (2, 3) and `bias` (2,), their start under `start`. A model's output for a row x of
            `rows` (3,) is y = tanh(weight x + bias), its loss mean((y - target)^2) over the 2 outputs, targets under
            `targets`. Step t (from 0) takes rows 2 t and 2 t + 1, counted modulo their number, one after the other: each
            loss is halved, gradients add up (accumulation of 2), the sum is clipped to a global norm of `clip`, then the
            optimiser makes its step. Weight decay acts on `weight` alone.
optimizers  For `sgd`, `sgd_nesterov` and `adamw` the settings; `steps`: after each of 5 steps `weight`, `bias` (flat, row by
            row), `norm` before clipping and `loss`, the mean of both rows before the step.
schedules   20 steps; `factors`: what multiplies the peak rate at steps 0 .. 20 inclusive (torch's LambdaLR after that many
            scheduler steps). Warm-up of 4 steps (`warmup`): linear from 0, so that step 0 has factor 0. `cosine` half a
            wave to 0, `linear` to 0, `polynomial` power 0.9 to 0; the same without warm-up under `*_without_warmup`.
average     Exponential moving average with momentum 0.995 (average = 0.995 average + 0.005 weight): `values` are the
            weights of 3 steps, `start` the average before, `averages` it after each, by torch.optim.swa_utils.
"""

import json
import platform
from pathlib import Path

import torch
import transformers
from torch.optim.swa_utils import AveragedModel

HERE = Path(__file__).parent
VERSIONS = f"python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
STEPS, CLIP, ACCUMULATE = 5, 0.25, 2
START = {"weight": [[0.5, -0.3, 0.8], [-0.6, 0.1, 0.4]], "bias": [0.2, -0.1]}
ROWS = [[1.0, 0.5, -0.5], [-0.7, 0.2, 1.1], [0.3, -1.2, 0.6], [0.9, 0.4, 0.8], [-0.2, -0.6, 0.1]]
TARGETS = [[1.0, -1.0], [-0.5, 0.5], [0.2, 0.9], [0.7, -0.4], [0.0, 0.6]]
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": False}, 0.01),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}, 0.01),
    "adamw": (torch.optim.AdamW, {"lr": 0.05, "betas": (0.9, 0.999), "eps": 1e-8}, 0.05),
}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def run(kind, settings, decay):
    weight, bias = (tensor(START[name]).requires_grad_() for name in ("weight", "bias"))
    groups = [{"params": [weight], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]
    optimizer = kind(groups, **settings)
    steps = []
    for step in range(STEPS):
        optimizer.zero_grad()
        total = 0.0
        for part in range(ACCUMULATE):
            row = (step * ACCUMULATE + part) % len(ROWS)
            loss = (torch.tanh(weight @ tensor(ROWS[row]) + bias) - tensor(TARGETS[row])).square().mean() / ACCUMULATE
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_([weight, bias], CLIP).item()
        optimizer.step()
        after = {"weight": weight.flatten().tolist(), "bias": bias.tolist()}
        steps.append(after | {"norm": norm, "loss": total})
    return {"settings": settings | {"weight_decay": decay}, "steps": steps}


def factors(schedule):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = schedule(optimizer)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
    found = []
    for _ in range(21):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


def schedules(warmup):
    shared = {"num_warmup_steps": warmup, "num_training_steps": 20}
    polynomial = {"lr_end": 0.0, "power": 0.9}
    makers = {
        "cosine": lambda optimizer: transformers.get_cosine_schedule_with_warmup(optimizer, **shared),
        "linear": lambda optimizer: transformers.get_linear_schedule_with_warmup(optimizer, **shared),
        "polynomial": lambda o: transformers.get_polynomial_decay_schedule_with_warmup(o, **shared, **polynomial),
    }
    return {name: factors(maker) for name, maker in makers.items()}


def average():
    start, values, momentum = [1.0, -2.0], [[0.5, 0.0], [3.0, -1.0], [-0.25, 4.0]], 0.995
    model = torch.nn.Linear(2, 1, bias=False).double()
    put = lambda row: model.weight.data.copy_(tensor([row]))
    put(start)
    rule = lambda old, new, _: momentum * old + (1 - momentum) * new
    averaged = AveragedModel(model, avg_fn=rule)
    averaged.update_parameters(model)  # the first only copies
    averages = []
    for row in values:
        put(row)
        averaged.update_parameters(model)
        averages.append(averaged.module.weight.flatten().tolist())
    return {"momentum": momentum, "start": start, "values": values, "averages": averages}


def main():
    toy = {"start": START, "rows": ROWS, "targets": TARGETS, "clip": CLIP, "accumulate": ACCUMULATE}
    plain = {f"{name}_without_warmup": found for name, found in schedules(0).items()}
    whole = {
        "versions": VERSIONS,
        "toy": toy,
        "optimizers": {name: run(*choice) for name, choice in OPTIMIZERS.items()},
        "schedules": {"steps": 20, "warmup": 4, "power": 0.9, "factors": schedules(4) | plain},
        "average": average(),
    }
    (HERE / "optim.json").write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
