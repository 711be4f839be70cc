"""Writes the table of few-shot COVID-19 from what covid.sh left in a folder, with a baseline that sees thumbnails alone.

usage: python3 covid.py runs/covid runs/data > covid.md     (numpy, Pillow)
"""

import csv
import json
import statistics
import sys
from pathlib import Path

import numpy as np
from PIL import Image

STARTS = {
    "random": "random weights",
    "xvl": "Medical X-VL (with reports)",
    "simclr": "SimCLR",
    "dino": "DINO",
    "simmim": "SimMIM",
}
TESTS = {"own": "held-out patients", "external": "other hospitals", "blank": "the same, lungs painted over"}
# The share of a film that the lungs take, as in covid.sh.
LUNGS = (0.1, 0.07, 0.91, 0.86)
SIDE = 16


def films(folder: Path, split: str) -> list[tuple[Path, bool]]:
    with open(folder / "metadata.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return [(folder / "images" / row["filename"], "COVID-19" in row["finding"]) for row in rows]


def thumbnail(path: Path, blank: bool = False) -> np.ndarray:
    """The middle square, as the encoder sees it."""
    film = Image.open(path).convert("L")
    side = min(film.size)
    left, top = (film.width - side) // 2, (film.height - side) // 2
    film = film.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(film, dtype=float)
    if blank:
        left, top, right, bottom = (round(share * SIDE) for share in LUNGS)
        pixels = pixels.copy()
        pixels[top:bottom, left:right] = 0
    return (pixels.ravel() - pixels.mean()) / (pixels.std() + 1e-6)


def shape(path: Path) -> float:
    """How far a film is from a square: what bars beside it would tell."""
    width, height = Image.open(path).size
    return abs(float(np.log(width / height)))


def area(scores: np.ndarray, positive: np.ndarray) -> float:
    """AUROC by ranks; ties count half."""
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def ridge(x: np.ndarray, y: np.ndarray, strength: float = 100.0) -> np.ndarray:
    return np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ (2.0 * y - 1.0))


def thumbnails(data: Path) -> dict[str, float]:
    def seen(films: list[tuple[Path, bool]], blank: bool) -> tuple[np.ndarray, np.ndarray]:
        x = np.array([thumbnail(path, blank) for path, _ in films])
        return np.c_[x, np.ones(len(x))], np.array([covid for _, covid in films])

    weights = ridge(*seen(films(data / "covid", "train"), False))
    scores = {}
    for name, folder, blank in (("own", "covid", False), ("external", "covid-external", False), ("blank", "covid-external", True)):
        x, positive = seen(films(data / folder, "test"), blank)
        scores[name] = area(x @ weights, positive)
    return scores


def mean_sd(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def main() -> None:
    folder, data = Path(sys.argv[1]), Path(sys.argv[2])
    print("# Few-shot COVID-19\n")
    print("The image encoder alone (Table 5 of Park et al. 2022, in small), by `engine/configs/covid.sh`: AUROC of COVID-19, mean ± standard")
    print("deviation over three seeds. Held-out patients are few, so a standard error is about 0.09 there. Of other hospitals all films with COVID-19")
    print("are of one and all others of another: as far as the last column is from 0.5, what lies outside the lungs tells these two apart.\n")
    print(f"| Start | {' | '.join(TESTS.values())} |\n|---|{'---|' * len(TESTS)}")
    for start, name in STARTS.items():
        cells = []
        for test in TESTS:
            runs = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{start}-?.{test}.json"))]
            cells.append(mean_sd([run["auroc_covid-19"] for run in runs]) if runs else "-")
        print(f"| {name} | {' | '.join(cells)} |")
    baseline = thumbnails(data)
    shapes = {
        name: area(*map(np.array, zip(*((shape(path), covid) for path, covid in films(data / folder, "test")))))
        for name, folder in (("own", "covid"), ("external", "covid-external"))
    }
    print(f"| no picture: how far a film is from a square | {shapes['own']:.3f} | {shapes['external']:.3f} | - |")
    print(f"| no encoder: ridge regression of {SIDE} x {SIDE} thumbnails | {' | '.join(f'{baseline[test]:.3f}' for test in TESTS)} |")


if __name__ == "__main__":
    main()
