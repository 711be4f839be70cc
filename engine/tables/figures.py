"""Writes the table of figures from what figures.sh left in a folder: the very caption of a figure, and the very figure of a caption, in sets of
100, by start and seed; beside chance and what thumbnails alone find.

usage: python3 figures.py runs/figures runs/data/figures > figures.md     (numpy, Pillow)
"""

import json
import re
import statistics
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

STARTS = {
    "phantoms": "phantoms",
    "random": "random weights",
}
STAGES = {
    "-contrast": "contrast, its features",
    "-features": "contrast and matching after it, features alone",
    "": "the same, features and then matching",
}
WAYS = {"image_to_report": "Caption of a figure:", "report_to_image": "Figure of a caption:"}
AT = (1, 5, 10)
COLUMNS = [f"{way}_hit_at_{k}" for way in WAYS for k in AT]
# Of the canonical correlation analysis: how much each side is smoothed, and how many directions count. Validation chooses.
SMOOTHED = list(product((0.01, 0.1), (0.03, 0.3), (10, 40)))
# Words that this many captions have.
COMMON = 4
SIDE = 16
SET, DRAWS = 100, 10


def mean_sd(values: list[float]) -> str:
    spread = f" ({100 * statistics.stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def thumbnail(path: Path) -> np.ndarray:
    """A figure's grey values at 16 x 16, standardised, and its shape."""
    picture = Image.open(path).convert("L")
    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=float)
    return np.append((pixels - pixels.mean()) / (pixels.std() + 1e-6), picture.width / picture.height)


def tf_idf(texts: list[str]) -> np.ndarray:
    words = [Counter(re.findall("[a-z]+", text.lower())) for text in texts]
    captions = Counter(word for counted in words for word in counted)
    place = {word: i for i, word in enumerate(word for word, count in captions.items() if count >= COMMON)}
    rows = np.zeros((len(texts), len(place)))
    for row, counted in zip(rows, words):
        for word, count in counted.items():
            if word in place:
                row[place[word]] = np.log1p(count) * np.log(len(texts) / captions[word])
    return unit(rows)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9)


def correlated(x: np.ndarray, y: np.ndarray, train: np.ndarray, options: tuple[float, float, int]) -> tuple[np.ndarray, np.ndarray]:
    """Both sides in the directions in which they go together in training (regularised canonical correlation analysis)."""

    def whitened(rows: np.ndarray, strength: float) -> np.ndarray:
        rows = rows - rows[train].mean(0)
        values, vectors = np.linalg.eigh(rows[train].T @ rows[train] / len(train))
        return rows @ (vectors / np.sqrt(np.maximum(values, 0) + strength * values.max()))

    smooth_x, smooth_y, kept = options
    x, y = whitened(x, smooth_x), whitened(y, smooth_y)
    u, values, v = np.linalg.svd(x[train].T @ y[train] / len(train), full_matrices=False)
    return unit(x @ u[:, :kept] * values[:kept]), unit(y @ v.T[:, :kept])


def hits(x: np.ndarray, y: np.ndarray, which: np.ndarray) -> dict[str, float]:
    """R@1, 5 and 10 both ways, each figure among 99 others."""
    rng, ranks = np.random.default_rng(0), {way: [] for way in WAYS}
    for _, own in product(range(DRAWS), which):
        others = rng.choice(which[which != own], SET - 1, replace=False)
        ranks["image_to_report"].append((y[others] @ x[own] > x[own] @ y[own]).sum())
        ranks["report_to_image"].append((x[others] @ y[own] > x[own] @ y[own]).sum())
    return {f"{way}_hit_at_{k}": float((np.array(ranks[way]) < k).mean()) for way in WAYS for k in AT}


def thumbnails(data: Path) -> dict[str, dict[str, float]]:
    figures = [json.loads(line) for line in (data / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    of = {split: np.array([i for i, f in enumerate(figures) if f["split"] == split]) for split in ("train", "validate", "test")}
    x = np.array([thumbnail(data / "images" / figure["image"]) for figure in figures])
    y = tf_idf([figure["text"] for figure in figures])
    tried = [correlated(x, y, of["train"], options) for options in SMOOTHED]
    best = max(tried, key=lambda sides: sum(hits(*sides, of["validate"]).values()))
    return {split: hits(*best, of[split]) for split in ("validate", "test")}


def main() -> None:
    folder, data = Path(sys.argv[1]), Path(sys.argv[2])
    baseline = thumbnails(data)
    print("# Figures and their captions\n")
    print("Medical X-VL on figures of publications (`engine/configs/figures.sh`): the percentage of figures that training did not see whose very")
    print("caption is among the first 1, 5 and 10 of 100, and the other way; mean (standard deviation) over the seeds. Where a")
    print("quarter of 313 is found, a standard error is 2.4.\n")
    for split in ("validate", "test"):
        rows = {}
        for (start, name), (stage, what) in product(STARTS.items(), STAGES.items()):
            runs = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{start}-[0-9]{stage}.{split}.json"))]
            if runs:
                rows[f"{name}: {what} ({len(runs)} seeds)"] = runs
        if not rows:
            continue
        first = next(iter(rows.values()))[0]
        print(f"## {split.capitalize()}, {first['n']} figures\n")
        print("| Start | " + " | ".join(f"{name if k == AT[0] else ''} R@{k}".strip() for name in WAYS.values() for k in AT) + " |")
        print("|---|" + "---|" * len(COLUMNS))
        for name, runs in rows.items():
            print(f"| {name} | " + " | ".join(mean_sd([run[c] for run in runs]) for c in COLUMNS) + " |")
        print(f"| no encoder: {SIDE} x {SIDE} thumbnails and TF-IDF | " + " | ".join(mean_sd([baseline[split][c]]) for c in COLUMNS) + " |")
        print("| chance | " + " | ".join(mean_sd([first[f"{c}_by_chance"]]) for c in COLUMNS) + " |\n")


if __name__ == "__main__":
    main()
