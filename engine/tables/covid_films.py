"""Lays out the films of few-shot COVID-19 from published collections, in the COVID-19 Image Data Collection's own layout.

usage: python3 covid_films.py COVID_CXR HANNOVER FILMS OUT     (numpy, Pillow)

OUT/covid: labelled frontal films of the COVID-19 Image Data Collection that are not Hannover's, by file name, place or content; a fourth of the
patients, with COVID-19 and without, tests.
OUT/covid-external: Hannover's films with COVID-19 by that collection's table, and test films of NIH ChestX-ray14 (FILMS, in NIH's layout), all of
them older than the disease: other hospitals than any that is learned from.
"""

import csv
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = ["filename", "patientid", "view", "modality", "finding", "clinical_notes", "split"]
# Of the patients in order of their first films, each fourth tests.
TESTED = 4
UNLABELLED = {"todo", "unknown", ""}
# Bits of 256 in which a film and its copy at another size or compression differ at most.
SAME = 20


def fingerprint(path: Path) -> np.ndarray:
    """Whether each of 16 x 16 means is darker than its neighbour to the right."""
    pixels = np.asarray(Image.open(path).convert("L").resize((17, 16), Image.Resampling.BOX), dtype=float)
    return (pixels[:, :-1] < pixels[:, 1:]).ravel()


def rows_of(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tested(films: list[tuple[Path, str, str]]) -> set[str]:
    """The patients that test, of films as (path, patient, finding)."""
    chosen = set()
    for covid in (True, False):
        patients = list(dict.fromkeys(patient for _, patient, finding in films if ("COVID-19" in finding) == covid))
        chosen.update(patients[TESTED - 1 :: TESTED])
    return chosen


def write(out: Path, films: list[tuple[Path, str, str]], tests: set[str]) -> None:
    """Films as (path, patient, finding), and the patients that test."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    with open(out / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for path, patient, finding in films:
            link = out / "images" / path.name
            if not link.exists():
                os.symlink(path.resolve(), link)
            table.writerow([path.name, patient, "PA", "X-ray", finding, "", "test" if patient in tests else "train"])


def main() -> None:
    collection, hannover, nih, out = map(Path, sys.argv[1:5])
    own = {row["filename"]: row["patient_id"] for row in rows_of(hannover / "data.csv")}
    learned, external = [], []
    for row in rows_of(collection / "metadata.csv"):
        path = collection / "images" / row["filename"]
        if row["finding"].lower() in UNLABELLED or not path.is_file():
            continue
        covid = "COVID-19" in row["finding"]
        if row["filename"] in own:
            if covid:
                external.append((hannover / "images" / row["filename"], own[row["filename"]], "COVID-19"))
        elif "hannover" in row["location"].lower():
            if covid:
                external.append((path, row["patientid"], "COVID-19"))
        else:
            learned.append((path, row["patientid"], row["finding"]))
    by_image = {row["Image Index"]: row["Patient ID"] for row in rows_of(nih / "Data_Entry_2017.csv")}
    for name in (nih / "test_list.txt").read_text().split():
        external.append((nih / "images" / name, by_image[name], "Other"))
    kept = np.array([fingerprint(path) for path, _, _ in external])
    alike = [film for film in learned if (kept != fingerprint(film[0])).sum(1).min() <= SAME]
    learned = [film for film in learned if film not in alike]
    tests = tested(learned)
    write(out / "covid", learned, tests)
    write(out / "covid-external", external, {patient for _, patient, _ in external})
    for name, films in (
        ("learned from", [film for film in learned if film[1] not in tests]),
        ("held-out patients", [film for film in learned if film[1] in tests]),
        ("other hospitals", external),
    ):
        positive = [film for film in films if "COVID-19" in film[2]]
        patients = len({film[1] for film in positive})
        print(f"{name}: {len(positive)} films with COVID-19 of {patients} patients, {len(films) - len(positive)} others")
    print(f"left out as copies of external films: {[film[0].name for film in alike]}")


if __name__ == "__main__":
    main()
