"""Writes the films' table from what films.sh left in a folder: AUROC by start and seed, of ensembles, by label, boxes,
lungs painted over.

usage: python3 films.py runs/films > films.md
"""

import json
import statistics
import sys
from pathlib import Path

STARTS = {
    "random": "random weights",
    "phantoms": "the demo's image encoder (phantoms)",
    "unlabelled": "two views of each training film (no labels)",
}
ENSEMBLES = {"phantoms-all": "three seeds of the demo's image encoder"}
FREQUENT = 30
KEY = "macro_auroc_frequent"


def read(folder: Path, name: str, ending: str) -> dict | None:
    path = folder / f"{name}{ending}"
    return json.loads(path.read_text()) if path.is_file() else None


def seeds(folder: Path, start: str, ending: str) -> list[dict]:
    found = [read(folder, f"{start}-{seed}", ending) for seed in range(3)]
    return [run for run in found if run]


def auroc(label: str) -> str:
    return "auroc_" + label.lower().replace(" ", "_")


def mean_of(run: dict, labels: list[str]) -> float:
    return statistics.mean(run[auroc(label)] for label in labels if auroc(label) in run)


def mean_sd(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def interval(run: dict, key: str) -> str:
    spread = run["bootstrap"][key]
    return f"{spread['low']:.3f} to {spread['high']:.3f}"


def main() -> None:
    folder = Path(sys.argv[1])
    runs = {start: seeds(folder, start, ".json") for start in STARTS}
    blanks = {start: seeds(folder, start, ".blank.json") for start in STARTS}
    validated = {start: seeds(folder, start, ".validate.json") for start in STARTS}
    runs = {start: found for start, found in runs.items() if found}
    first = runs["random"][0]
    labels = first["labels"]
    frequent = [l["name"] for l in labels if l["positives"] >= FREQUENT and l["name"] != "No Finding"]
    print("# Findings of films\n")
    print(f"A small ResNet on {first['n']} test films of NIH ChestX-ray14, of patients that training did not see; made by")
    print("`engine/configs/films.sh`. AUROC, mean ± standard deviation over the seeds; the interval is that of seed 0 over 1,000")
    print(f"resamples of the films. The mean is over the {len(frequent)} of NIH's labels with at least {FREQUENT} test films; the")
    print("validation mean is over the same labels on the films that chose the start of the ensemble.\n")
    print("| Start | mean AUROC | by seed | 95% of seed 0 | lungs painted over | boxes hit | the same place | validation |")
    print("|---|---|---|---|---|---|---|---|")
    for start, found in runs.items():
        by_seed = ", ".join(f"{run[KEY]:.3f}" for run in found)
        cells = [
            STARTS[start],
            mean_sd([run[KEY] for run in found]),
            by_seed,
            interval(found[0], KEY),
            mean_sd([run[KEY] for run in blanks[start]]),
            mean_sd([run["boxes_hit"] for run in found]),
            f"{found[0]['boxes_hit_by_place']:.3f}",
            mean_sd([mean_of(run, frequent) for run in validated[start]]),
        ]
        print("| " + " | ".join(cells) + " |")
    print("\nEnsembles, one bundle of three runs:\n")
    print("| Runs | mean AUROC | 95% | lungs painted over | boxes hit | validation |")
    print("|---|---|---|---|---|---|")
    found = {name: read(folder, name, ".json") for name in ENSEMBLES}
    ensembles = {name: run for name, run in found.items() if run}
    for name, run in ensembles.items():
        blank, validation = read(folder, name, ".blank.json"), read(folder, name, ".validate.json")
        cells = [
            ENSEMBLES[name],
            f"{run[KEY]:.3f}",
            interval(run, KEY),
            f"{blank[KEY]:.3f}",
            f"{run['boxes_hit']:.3f}",
            f"{mean_of(validation, frequent):.3f}",
        ]
        print("| " + " | ".join(cells) + " |")
    print("\nBy label:\n")
    best = max(ensembles, key=lambda name: mean_of(read(folder, name, ".validate.json"), frequent))
    print("| Label | test films | boxes | " + " | ".join(runs) + f" | ensemble ({ENSEMBLES[best]}) | its 95% |")
    print("|---|---|---|" + "---|" * (len(runs) + 2))
    for label in labels:
        key = auroc(label["name"])
        if label["auroc"] is None:
            print(f"| {label['name']} | {label['positives']} | {label.get('boxes', 0)} | not a number |")
            continue
        cells = [mean_sd([run[key] for run in found if key in run]) for found in runs.values()]
        row = [label["name"], str(label["positives"]), str(label.get("boxes", 0)), *cells]
        print("| " + " | ".join([*row, f"{ensembles[best][key]:.3f}", interval(ensembles[best], key)]) + " |")


if __name__ == "__main__":
    main()
