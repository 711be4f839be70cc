"""Folders of pictures for `hilum gate check`: from a folder of a bundle's own pictures the same inverted, upside down, turned,
cropped and left to right; crops of photographs; blank and noise; VQA-RAD's heads and abdomens; lateral views by their captions.

    python make_foreign.py OUT --own DIR [--photographs DIR] [--data DIR]

Made with numpy 2.4.6 and Pillow 13.0.0. DIR of --data is laid out as HILUM_DATA_DIR (vqa_rad, figures). Captions are not all true: look
at OUT/lateral and take out what is frontal.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

SEED = 0
PICTURES = (".png", ".jpg", ".jpeg")


def pictures(folder, most):
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in PICTURES)
    return found[:: max(1, -(-len(found) // most))]


def half(picture, number):
    """A quarter of the area, each time another corner or edge of it."""
    side = min(picture.size) // 2
    x = [0, picture.width - side, (picture.width - side) // 2][number % 3]
    y = [0, picture.height - side][number // 3 % 2]
    return picture.crop((x, y, x + side, y + side))


VARIANTS = {
    "inverted": lambda p, _: p.point(lambda v: 255 - v),
    "upside_down": lambda p, _: p.rotate(180),
    "turned": lambda p, _: p.rotate(90, expand=True),
    "cropped": half,
    "left_to_right": lambda p, _: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def noise(rng, kind, side=384):
    """White (0 and 1) or falling with frequency (2 and 3: by its first and second power)."""
    if kind == 0:
        return rng.integers(0, 256, (side, side)).astype(np.uint8)
    if kind == 1:
        return np.clip(rng.normal(128, 40, (side, side)), 0, 255).astype(np.uint8)
    axis = np.fft.fftfreq(side)
    radius = np.hypot(axis[:, None], axis[None])
    radius[0, 0] = 1 / side
    drawn = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) / radius ** (kind - 1)).real
    return ((drawn - drawn.min()) / np.ptp(drawn) * 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--own", type=Path, required=True)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)

    def put(kind, number, picture):
        folder = arguments.out / kind
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{number:03}.png")

    for number, path in enumerate(pictures(arguments.own, 150)):
        picture = Image.open(path).convert("L")
        for kind, variant in VARIANTS.items():
            put(kind, number, variant(picture, number))
    for number in range(20):
        put("blank", number, Image.new("L", (300, 300 + 10 * number), number * 13 % 256))
    for number in range(40):
        put("noise", number, Image.fromarray(noise(rng, number % 4)))
    if arguments.photographs:
        for number, path in enumerate(pictures(arguments.photographs, 100)):
            picture = Image.open(path).convert("L")
            for crop in range(8):
                side = rng.uniform(0.4, 1) * min(picture.size)
                x, y = (rng.uniform(0, length - side) for length in picture.size)
                put("photographs", 8 * number + crop, picture.crop((int(x), int(y), int(x + side), int(y + side))))
    if arguments.data:
        rows = (json.loads(line) for line in open(arguments.data / "vqa_rad/train.jsonl"))
        organs = {Path(row["image"]).name: row["image_organ"] for row in rows}
        for number, (name, organ) in enumerate(sorted(organs.items())):
            if organ in ("HEAD", "ABD"):
                put(organ.lower(), number, Image.open(arguments.data / "vqa_rad/images" / name).convert("L"))
        rows = (json.loads(line) for line in open(arguments.data / "figures/captions.jsonl"))
        lateral = ("lateral view", "lateral chest", "lateral radiograph", "(lateral", "lateral cxr", "lateral x-ray")
        frontal = ("bilateral", "unilateral", "posteroanterior", "pa and", "frontal", "anteroposterior")
        said = lambda words, text: any(word in text.lower() for word in words)
        rows = [row for row in rows if said(lateral, row["text"]) and not said(frontal, row["text"])]
        for number, row in enumerate(rows):
            put("lateral", number, Image.open(arguments.data / "figures/images" / Path(row["image"]).name).convert("L"))


if __name__ == "__main__":
    main()
