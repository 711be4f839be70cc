"""Row 6: one side in headless Chromium on the CPU, the engine or onnxruntime-web. It speaks as `peer.py` does.

    python web.py engine|onnx CASE --name NAME --folder DIR --driver PROGRAM --programs DIR [--module FILE] [--threads N]

`hilum bench CASE --serve DIR` has written weights, inputs and outputs; both sides are compared with those outputs. `--name`
is the case in what is said. `--programs` holds the engine's or the peer's own files.
"""

import argparse
import json
from pathlib import Path

from chromium import Browser
from peer import MOST, Case, read_safetensors, say, serve

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent.parent / "www/models/demo"


def export(args, config):
    """The networks of a case as ONNX files, written once, and what the page must know of them."""
    options = {"threads": args.threads}
    last = "step" if args.case == "draft" else args.case
    if args.case == "draft":
        options |= {"specials": config["specials"], "most": config["model"]["max_tokens"]}
    if (args.folder / f"{last}.onnx").exists():
        return options
    weights = read_safetensors(args.folder / "weights.safetensors")
    arrays = read_safetensors(args.folder / f"{args.case}.safetensors")
    case = Case(args.case, args.folder, args.threads, config, weights, arrays)
    if args.case == "draft":
        import generation

        generation.export(case)
    else:
        import networks

        networks.export(case)
    return options


def engine(args, config):
    is_encoder = args.case != "draft"
    return {"module": args.module, "weights": is_encoder, "heads": config.get("heads")}


def peer_name(args):
    if args.side == "engine":
        return "Hilum"
    version = json.loads((args.programs / "../package.json").read_text())["version"]
    threads = "1 thread" if args.threads == 1 else f"{args.threads} threads"
    return f"onnxruntime-web {version}, {threads}"


def compare(args, browser, options):
    """Opens the case in the page and says how far its outputs are from the engine's. Returns whether they agree."""
    message = {"ask": "open", "side": args.side, "name": args.case, "options": options}
    try:
        gaps = {name: float("inf") if gap is None else gap for name, gap in browser.ask(message).items()}
    except RuntimeError as error:
        say("fails", args.name, " ".join(f"{error}".split()))
        return False
    worst = max(gaps, key=gaps.get)
    agrees = gaps[worst] <= MOST
    say("agrees" if agrees else "differs", args.name, f"{gaps[worst]:.1e}", peer_name(args) if agrees else worst)
    return agrees


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["engine", "onnx"])
    parser.add_argument("case")
    parser.add_argument("--name", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--module", default="bench_bg.wasm")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    config = json.loads((args.folder / "config.json").read_text())
    options = engine(args, config) if args.side == "engine" else export(args, config)
    programs = "engine" if args.side == "engine" else "runtime"
    browser = Browser(args.driver, {"": HERE / "web", programs: args.programs, "case": args.folder, "bundle": BUNDLE})
    try:
        agrees = compare(args, browser, options)
        say("ready")
        if agrees:
            serve(lambda _, count: browser.ask({"ask": "time", "count": count}))
    finally:
        browser.close()


if __name__ == "__main__":
    main()
