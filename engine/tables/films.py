"""Writes the films' table from what films.sh left in a folder: AUROC by start and seed, by label, boxes, lungs painted over.

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
FREQUENT = 30
KEY = "macro_auroc_frequent"


def read(folder: Path, start: str, ending: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{start}-*[0-9]{ending}"))]


def mean_sd(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def interval(run: dict, key: str) -> str:
    spread = run["bootstrap"][key]
    return f"{spread['low']:.3f} to {spread['high']:.3f}"


def main() -> None:
    folder = Path(sys.argv[1])
    runs = {start: read(folder, start, ".json") for start in STARTS}
    blanks = {start: read(folder, start, ".blank.json") for start in STARTS}
    runs = {start: found for start, found in runs.items() if found}
    first = next(iter(runs.values()))[0]
    labels = first["labels"]
    frequent = [l["name"] for l in labels if l["positives"] >= FREQUENT and l["name"] != "No Finding"]
    print("# Findings of films\n")
    print(f"A small ResNet on {first['n']} test films of NIH ChestX-ray14, of patients that training did not see; made by")
    print("`engine/configs/films.sh`. AUROC, mean ± standard deviation over the seeds; the interval is that of seed 0 over 1,000")
    print(f"resamples of the films. The mean is over the {len(frequent)} of NIH's labels with at least {FREQUENT} test films.\n")
    print("| Start | mean AUROC | by seed | 95% of seed 0 | lungs painted over | boxes hit | the same place |")
    print("|---|---|---|---|---|---|---|")
    for start, found in runs.items():
        means = [run[KEY] for run in found]
        by_seed = ", ".join(f"{value:.3f}" for value in means)
        blank = mean_sd([run[KEY] for run in blanks[start]]) if blanks[start] else "-"
        hit = mean_sd([run["boxes_hit"] for run in found])
        place = f"{found[0]['boxes_hit_by_place']:.3f}"
        name = STARTS[start]
        print(f"| {name} | {mean_sd(means)} | {by_seed} | {interval(found[0], KEY)} | {blank} | {hit} | {place} |")
    print("\nBy label:\n")
    print("| Label | test films | boxes | " + " | ".join(runs) + " | 95% of the last, seed 0 |")
    print("|---|---|---|" + "---|" * (len(runs) + 1))
    last = list(runs.values())[-1]
    for label in labels:
        name = label["name"]
        key = "auroc_" + name.lower().replace(" ", "_")
        if label["auroc"] is None:
            print(f"| {name} | {label['positives']} | {label.get('boxes', 0)} | not a number |")
            continue
        cells = [mean_sd([run[key] for run in found if key in run]) for found in runs.values()]
        row = [name, str(label["positives"]), str(label.get("boxes", 0)), *cells, interval(last[0], key)]
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
