"""The other side of `cargo xtask bench`: a peer of `hilum bench GROUP --serve DIR`.

    python peer.py GROUP CASE.. --folder DIR --threads N

It writes what both sides read and only it can make, says `prepared`, and waits for a line. Then it loads the weights, inputs
and outputs that the engine wrote to DIR, compares its own outputs, and says of each case

    agrees CASE GAP PEER          the largest relative difference, and with what the case is compared
    differs CASE GAP NAME         which output is too far off
    fails CASE REASON

After `ready` each line `run CASE COUNT` is answered by the mean time of a pass in milliseconds.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import numpy as np

# A relative difference above this is no rounding.
MOST = 1e-3


@dataclass
class Runner:
    """A case at work: its name in the table, what each output differs by, and a pass."""

    peer: str
    gaps: dict[str, float]
    run: Callable[[], object]
    most: float = MOST


@dataclass
class Case:
    """A case with what the engine wrote of it."""

    name: str
    folder: Path
    threads: int
    config: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    arrays: dict = field(default_factory=dict)


def read_safetensors(path):
    """All arrays of a file; the engine writes f32 alone."""
    raw = np.memmap(path, np.uint8, "c")
    start = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    arrays = {}
    for name, entry in json.loads(raw[8:start].tobytes()).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in entry["data_offsets"])
            # Copied: the data need not be aligned.
            arrays[name] = np.frombuffer(raw[first:last].tobytes(), np.float32).reshape(entry["shape"]).copy()
    return arrays


def gap(found, expected):
    """The largest difference, relative to the largest value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        return float("inf")
    difference = np.abs(found - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-30)
    return float(difference) if np.isfinite(difference) else float("inf")


def group(name):
    """The module that knows a group."""
    if name == "decode":
        import decoding as module
    elif name in ("medvill", "draft"):
        import generation as module
    elif name.startswith("train-"):
        import training as module
    else:
        import networks as module
    return module


def say(*words):
    print(*words, flush=True)


def open_cases(module, args):
    """The runners of the cases whose outputs agree."""
    shared = json.loads((args.folder / "config.json").read_text())
    weights = read_safetensors(args.folder / "weights.safetensors")
    runners = {}
    for name in args.cases:
        arrays = read_safetensors(args.folder / f"{name}.safetensors")
        case = Case(name, args.folder, args.threads, shared, weights, arrays)
        try:
            runner = module.build(args.group, case)
        except Exception as error:  # whatever a library raises ends this case, not the others
            say("fails", name, " ".join(f"{type(error).__name__}: {error}".split()))
            continue
        worst = max(runner.gaps, key=runner.gaps.get)
        if runner.gaps[worst] > runner.most:
            say("differs", name, f"{runner.gaps[worst]:.1e}", worst)
            continue
        runners[name] = runner
        say("agrees", name, f"{runner.gaps[worst]:.1e}", runner.peer)
    return runners


def timed(run, count):
    """The mean time of a pass in milliseconds."""
    began = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - began) * 1e3 / count


def serve(measure):
    """Answers each `run CASE COUNT` by what `measure(case, count)` gives, until `quit`."""
    for line in sys.stdin:
        match line.split():
            case ["run", name, count]:
                say(measure(name, int(count)))
            case ["quit"]:
                return
            case _:
                sys.exit(f"{line!r} is neither `run CASE COUNT` nor `quit`")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("group")
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    module = group(args.group)
    if hasattr(module, "prepare"):
        module.prepare(args.cases, args.folder)
    say("prepared")
    sys.stdin.readline()
    runners = open_cases(module, args)
    say("ready")
    serve(lambda name, count: timed(runners[name].run, count))


if __name__ == "__main__":
    main()
