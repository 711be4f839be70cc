"""Writes the table of figures from what figures.sh left in a folder: retrieval of the very figure by its caption, and of the caption by its
figure, in sets of 100, by start and seed.

usage: python3 figures.py runs/figures > figures.md
"""

import json
import statistics
import sys
from pathlib import Path

STARTS = {
    "none": "nothing",
    "phantoms": "the checker of phantoms",
    "films": "an image encoder of phantoms, then of NIH's films",
}
COLUMNS = [f"{way}_hit_at_{k}" for way in ("image_to_report", "report_to_image") for k in (1, 5, 10)]


def mean_sd(values: list[float]) -> str:
    spread = f" ({100 * statistics.stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def main() -> None:
    folder = Path(sys.argv[1])
    print("# Figures and their captions\n")
    for split in ("validate", "test"):
        rows = {}
        for start, name in STARTS.items():
            paths = [folder / f"{start}-{seed}.{split}.json" for seed in range(3)]
            runs = [json.loads(path.read_text()) for path in paths if path.is_file()]
            if runs:
                rows[f"{name} ({len(runs)} seeds)"] = runs
        if not rows:
            continue
        first = next(iter(rows.values()))[0]
        print(f"## {split}, {first['n']} figures, sets of 100, percent\n")
        print("| Start | " + " | ".join(c.replace("_", " ") for c in COLUMNS) + " |")
        print("|---|" + "---|" * len(COLUMNS))
        for name, runs in rows.items():
            print(f"| {name} | " + " | ".join(mean_sd([run[c] for run in runs]) for c in COLUMNS) + " |")
        print("| chance | " + " | ".join(mean_sd([first[f"{c}_by_chance"]]) for c in COLUMNS) + " |\n")


if __name__ == "__main__":
    main()
