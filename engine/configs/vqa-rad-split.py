#!/usr/bin/env python3
"""Holds 360 questions out of VQA-RAD's train.jsonl as its published test questions fall: every picture stays known, two in
five are the other wording of a training question, the rest have no such partner. For choosing among settings.

    vqa-rad-split.py FOLDER OUT SEED
"""

import collections
import json
import os
import random
import sys

folder, out, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(os.path.join(folder, "train.jsonl")) as file:
    rows = [json.loads(line) for line in file]
groups = collections.Counter(row["qid_linked_id"] for row in rows)
draw = random.Random(seed)
partners = [i for i, row in enumerate(rows) if row["phrase_type"] == "para" and groups[row["qid_linked_id"]] > 1]
alone = [i for i, row in enumerate(rows) if groups[row["qid_linked_id"]] == 1]
draw.shuffle(partners)
draw.shuffle(alone)
held = set(partners[:144] + alone[:216])
os.makedirs(out, exist_ok=True)
for split in ("train", "test"):
    with open(os.path.join(out, split + ".jsonl"), "w") as file:
        for i, row in enumerate(rows):
            if (i in held) == (split == "test"):
                file.write(json.dumps({**row, "split": split}) + "\n")
images = os.path.join(out, "images")
if not os.path.lexists(images):
    os.symlink(os.path.abspath(os.path.join(folder, "images")), images)
