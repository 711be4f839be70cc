"""Golden numbers of the measures, from the libraries that the field uses.

    python make_metrics.py        writes metrics.json beside this script

Needs Java (for METEOR's jar). Made with Python 3.11, pycocoevalcap 1.2 (its meteor-1.5.jar under OpenJDK 17),
scikit-learn 1.9.1, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6. The sentences are written for this script; no report
of a patient is among them. Shuffled ones (seed 5) try METEOR's beam search, where words repeat and many alignments tie.

generation.single, .several   scores of `texts` against the first reference, and against all
  meteor_plain                the jar with the stages exact and stem and an empty list of function words
  meteor_full                 the jar as pycocoevalcap calls it: all stages, its function words
raw                           METEOR of texts with punctuation, capitals and abbreviations that its normaliser takes apart
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pycocoevalcap.meteor.meteor as meteor_module
import scipy.optimize
import scipy.special
import scipy.stats
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

TEXTS = [
    ("the heart is normal in size . the lungs are clear .", ["heart size is normal . lungs are clear .", "the heart is of normal size and both lungs are clear .", "normal heart . clear lungs ."]),
    ("there is a small left pleural effusion .", ["a small effusion is seen on the left .", "small pleural effusion on the left side ."]),
    ("no pneumothorax .", ["no pneumothorax is seen .", "there is no pneumothorax or effusion .", "no pneumothorax ."]),
    ("", ["the lungs are clear .", "clear lungs ."]),
    ("clear", ["clear"]),
    ("cardiomegaly", ["the heart is enlarged .", "cardiomegaly is present"]),
    ("the the the the the the the", ["the heart is enlarged and the aorta is tortuous", "the aorta and the heart are large and the lungs are clear"]),
    ("the lungs are clear .", ["the lungs are clear .", "lungs clear ."]),
    ("a tube ends above the carina and a line ends in the right atrium .", ["the tip of the tube is above the carina ; the tip of the line is in the right atrium .", "tube above carina . line in right atrium ."]),
    ("opacities in both lower lobes suggest pneumonia .", ["bilateral lower lobe opacity suggesting pneumonia .", "there is opacity in each lower lobe , which suggests infection ."]),
    ("the cardiac silhouette has increased in size since the previous film .", ["the heart has grown larger since the prior examination .", "cardiac enlargement is more pronounced than in the earlier study ."]),
    ("big heart with fluid around the lungs .", ["large heart and liquid about the lungs ."]),
    ("the physician noticed a broken rib .", ["a doctor saw a fractured rib ."]),
    ("the picture shows a huge mass near the left hilum .", ["the image displays an enormous tumour close to the left hilum ."]),
    ("patients breathing quickly were imaged sitting .", ["the patient , who was breathing fast , sat while the image was taken ."]),
    ("according to the report , the result is in line with the expected course .", ["the finding , as stated in the report , is consistent with what was expected .", "the results are in accordance with the usual course ."]),
    ("mild pulmonary oedema with small bilateral effusions and a pacemaker in place .", ["pacemaker in place . mild pulmonary oedema . small effusions on both sides ."]),
    ("unchanged .", ["no change .", "unchanged ."]),
    ("x y z", ["the lungs are clear ."]),
    ("the left lung is clear . the right lung is clear . the left rib is broken . the right rib is whole .", ["the right lung is clear . the left lung is clear . the right rib is broken . the left rib is whole ."]),
    ("degenerative changes are seen in the spine , with flowing bridging along many levels .", ["there is degenerative change of the spine . bridging flows across several levels .", "the spine shows degeneration at a number of levels ."]),
    ("in order to exclude a nodule , further imaging is advised as soon as possible .", ["to rule out a nodule , more images should be taken at the earliest opportunity .", "further imaging to exclude a nodule is recommended ."]),
    ("men and women standing , children lying .", ["a man and a woman stood ; a child lay ."]),
    ("heart heart lungs lungs heart", ["lungs heart lungs heart lungs heart heart"]),
    (" ".join(["the lungs are clear and the heart is normal ."] * 9), [" ".join(["the heart is normal and the lungs are clear ."] * 8), "the lungs are clear and the heart is normal ."]),
    ("right upper zone : scarring with loss of volume ; the trachea is pulled to the right .", ["scar in the right upper zone with volume loss and the trachea drawn towards the right ."]),
    ("no acute disease of the chest .", ["no acute chest disease .", "there is no acute abnormality in the chest .", "the chest is free of acute disease ."]),
    ("support devices are unchanged in position ; the feeding tube was removed .", ["the feeding tube has been taken out . the other devices have not changed position ."]),
    ("nothing", ["there is nothing that needs attention"]),
    ("the examination was made at the bedside , which limits what can be said of the heart 's size .", ["bedside examination , so that the size of the heart can hardly be judged ."]),
]

RAW = [
    ("The heart isn't enlarged; lungs are clear.", ["Heart not enlarged. The lungs are clear."]),
    ("A 3.5-cm nodule, right-upper-lobe (new).", ["There is a new nodule of 3.5 cm in the right upper lobe."]),
    ("Wait... is that a line?? The patient\u2019s tube \u2013 or a wire -- ends at 1,200 px.", ["Is that a line? The patient's tube, or a wire, ends at 1200 px ..."]),
    ("The \u201csail\u201d sign `is` seen, e.g. on the U.S. film. no change.", ["The 'sail' sign is seen, e.g. on the US film. No change."]),
    ("Reviewed by Dr. Alder; see No. 7 and vs. the last. Done.", ["Dr. Alder reviewed it; see no. 7. It is done."]),
    ("Lungs:clear,heart:normal/stable \"as before\" 50% 1990's film.", ["Lungs: clear, heart: normal / stable, as before, 50 % of the 1990's films."]),
]


def shuffled():
    rng = np.random.default_rng(5)
    words = "the a of lung lungs heart is are clear clearing enlarged enlarging large big small in left right . , no seen with effusion effusions".split()
    pairs = []
    for _ in range(24):
        a = list(rng.choice(words, rng.integers(6, 26)))
        b = list(rng.permutation(a)) if rng.random() < 0.5 else list(rng.choice(words, rng.integers(6, 26)))
        c = list(rng.choice(words, rng.integers(3, 20)))
        pairs.append((" ".join(a), [" ".join(b), " ".join(c)]))
    return pairs


class Jar:
    """METEOR's jar over its pipe, with other arguments than pycocoevalcap's."""

    def __init__(self, extra):
        folder = os.path.dirname(os.path.abspath(meteor_module.__file__))
        command = ["java", "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm", *extra]
        self.pipe = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        self.pipe.stdin.write((line + "\n").encode())
        self.pipe.stdin.flush()

    def answer(self):
        return self.pipe.stdout.readline().decode().strip()

    def score(self, pairs):
        stats = []
        for candidate, references in pairs:
            self.ask(" ||| ".join(["SCORE", *references, candidate]))
            stats.append(self.answer())
        self.ask(" ||| ".join(["EVAL", *stats]))
        each = [float(self.answer()) for _ in pairs]
        return {"score": float(self.answer()), "each": each}

    def close(self):
        self.pipe.stdin.close()
        self.pipe.wait()


def official_meteor(pairs):
    scorer = meteor_module.Meteor()
    total, each = scorer.compute_score({i: r for i, (_, r) in enumerate(pairs)}, {i: [c] for i, (c, _) in enumerate(pairs)})
    return {"score": total, "each": each}


def generation(pairs, plain):
    gts = {i: r for i, (_, r) in enumerate(pairs)}
    res = {i: [c] for i, (c, _) in enumerate(pairs)}
    rouge, rouge_each = Rouge().compute_score(gts, res)
    cider, cider_each = Cider().compute_score(gts, res)
    return {
        "bleu": Bleu(4).compute_score(gts, res, verbose=0)[0],
        "rouge_l": {"score": float(rouge), "each": [float(v) for v in rouge_each]},
        "cider": {"score": float(cider), "each": [float(v) for v in cider_each]},
        "meteor_plain": plain.score(pairs),
        "meteor_full": official_meteor(pairs),
    }


def classification():
    rng = np.random.default_rng(1)
    n, classes = 60, 4
    truth = (rng.random((n, classes)) < [0.5, 0.3, 0.1, 0.7]).astype(int)
    scores = np.round(np.clip(0.3 * truth + rng.random((n, classes)) * 0.7, 0, 1), 2)
    said = (scores >= 0.5).astype(int)
    return {
        "scores": scores.T.tolist(),
        "truth": truth.T.tolist(),
        "auroc": [sk.roc_auc_score(truth[:, c], scores[:, c]) for c in range(classes)],
        "auroc_macro": sk.roc_auc_score(truth, scores, average="macro"),
        "auroc_micro": sk.roc_auc_score(truth, scores, average="micro"),
        "average_precision": [sk.average_precision_score(truth[:, c], scores[:, c]) for c in range(classes)],
        "f1": sk.f1_score(truth, said, average=None).tolist(),
        "precision": sk.precision_score(truth, said, average=None).tolist(),
        "recall": sk.recall_score(truth, said, average=None).tolist(),
        "accuracy": [sk.accuracy_score(truth[:, c], said[:, c]) for c in range(classes)],
        "f1_micro": sk.f1_score(truth, said, average="micro"),
        "f1_macro": sk.f1_score(truth, said, average="macro"),
        "best_f1": [best_f1(truth[:, c], scores[:, c]) for c in range(classes)],
        "best_youden": [best_youden(truth[:, c], scores[:, c]) for c in range(classes)],
    }


def best_f1(truth, scores):
    p, r, _ = sk.precision_recall_curve(truth, scores)
    return float(np.max(2 * p * r / np.maximum(p + r, 1e-300)))


def best_youden(truth, scores):
    fpr, tpr, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    return float(np.max(tpr - fpr))


def ranking():
    """100 candidates a query; `tied` scores are few, and their numbers are means over 20,000 random orders of equals."""
    rng = np.random.default_rng(2)
    clean, tied = [], []
    for _ in range(6):
        relevant = rng.permutation(100) < rng.integers(1, 12)
        scores = rng.permutation(100) / 100 + 0.3 * relevant
        scores = np.round(scores + np.arange(100) * 1e-5, 5)
        order = np.argsort(-scores)
        top = relevant[order][:5]
        first = int(np.flatnonzero(relevant[order])[0])
        lone = np.zeros(100, int)
        lone[order[first]] = 1
        clean.append({
            "scores": scores.tolist(), "relevant": relevant.tolist(), "hit": float(top.any()),
            "recall": sk.recall_score(relevant, np.isin(np.arange(100), order[:5])),
            "precision": sk.precision_score(relevant, np.isin(np.arange(100), order[:5])),
            "mrr": sk.label_ranking_average_precision_score([lone], [scores]),
        })
    for _ in range(4):
        relevant = rng.permutation(20) < rng.integers(1, 7)
        scores = rng.integers(0, 4, 20) / 4
        sums, rounds = np.zeros(4), 20000
        for _ in range(rounds):
            shuffle = rng.permutation(20)
            hits = relevant[shuffle][np.argsort(-scores[shuffle], kind="stable")]
            sums += [hits[:5].any(), hits[:5].sum() / relevant.sum(), hits[:5].mean(), 1 / (1 + np.flatnonzero(hits)[0])]
        hit, recall, precision, mrr = (sums / rounds).tolist()
        tied.append({"scores": scores.tolist(), "relevant": relevant.tolist(), "hit": hit, "recall": recall, "precision": precision, "mrr": mrr})
    return {"clean": clean, "tied": tied}


def picture():
    rng = np.random.default_rng(3)
    height, width = 18, 23
    rows, columns = np.mgrid[0:height, 0:width]
    a = np.round(0.5 + 0.4 * np.sin(rows / 3) * np.cos(columns / 4), 3)
    b = np.round(np.clip(a + rng.normal(0, 0.08, a.shape), 0, 1), 3)
    return {
        "width": width, "height": height, "a": a.ravel().tolist(), "b": b.ravel().tolist(),
        "mse": float(mean_squared_error(a, b)),
        "psnr": float(peak_signal_noise_ratio(a, b, data_range=1)),
        "ssim": float(structural_similarity(a, b, data_range=1)),
        "dice": float(sk.f1_score((a > 0.5).ravel(), (b > 0.5).ravel())),
    }


def significance():
    rng = np.random.default_rng(4)
    cases = []
    for n, m, shift, sd in [(30, 30, 0.2, 1), (30, 30, 3, 1), (5, 9, 0.5, 2), (2, 2, 1, 1), (30, 30, 40, 1), (12, 40, 0, 3)]:
        a, b = np.round(rng.normal(0, 1, n), 4), np.round(rng.normal(shift, sd, m), 4)
        test = scipy.stats.ttest_ind(a, b)
        student = {"t": float(test.statistic), "p": float(test.pvalue), "df": float(test.df)}
        cases.append({"a": a.tolist(), "b": b.tolist(), "student": student})
    points = [(0.5, 0.5, 0.3), (2, 3, 0.5), (29, 0.5, 0.01), (29, 0.5, 0.999), (1.5, 0.5, 1e-9), (50, 60, 0.45), (0.5, 29, 0.9)]
    beta = [[a, b, x, float(scipy.special.betainc(a, b, x))] for a, b, x in points]
    return {"cases": cases, "beta": beta}


def calibration():
    rng = np.random.default_rng(6)
    cases = []
    for scale in [0.4, 1.0, 3.0]:
        logits = np.round(rng.normal(0, 2, 80), 3)
        truth = (rng.random(80) < scipy.special.expit(logits)).astype(int)
        z = logits * scale
        loss = lambda t: float(np.mean(np.logaddexp(0, z / t) - truth * z / t))
        best = scipy.optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-10})
        p = scipy.special.expit(z)
        bins = np.linspace(0, 1, 11)
        share, mean = calibration_curve(truth, p, n_bins=10)
        counts = np.bincount(np.searchsorted(bins[1:-1], p), minlength=10)
        error = float(np.sum(np.abs(share - mean) * counts[counts > 0]) / len(p))
        cases.append({"logits": z.tolist(), "truth": truth.tolist(), "temperature": float(best.x), "loss": float(best.fun),
                      "probabilities": p.tolist(), "ece_10": error})
    return cases


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".words") as empty:
        plain = Jar(["-m", "exact stem", "-s", empty.name])
        pairs = TEXTS + shuffled()
        out = {
            "texts": [{"candidate": c, "references": r} for c, r in pairs],
            "generation": {"single": generation([(c, r[:1]) for c, r in pairs], plain), "several": generation(pairs, plain)},
            "raw": {
                "texts": [{"candidate": c, "references": r} for c, r in RAW],
                "meteor_plain": plain.score(RAW),
                "meteor_full": official_meteor(RAW),
            },
            "classification": classification(),
            "ranking": ranking(),
            "picture": picture(),
            "significance": significance(),
            "calibration": calibration(),
        }
        plain.close()
    Path(__file__).with_name("metrics.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
