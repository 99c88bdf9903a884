"""Writes `unknown.json`: figures of an open set by SciPy and scikit-learn, which `tests/unknown.rs` compares.

    python crates/stats/tests/reference/unknown.py

Unsureness is the entropy of an answer over the logarithm of the number of classes; what is above its mean is unknown
(Bucci et al. 2020, arXiv:2007.12360). Needs numpy, scipy and scikit-learn.
"""

import json
import pathlib

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import recall_score, roc_auc_score

CLASSES, N = 5, 60
rng = np.random.default_rng(7)
truth = rng.integers(0, CLASSES + 2, N)
scores = rng.normal(size=(N, CLASSES)) + 2.5 * np.eye(CLASSES + 2)[truth][:, :CLASSES]
answers = np.exp(scores)
answers /= answers.sum(1, keepdims=True)
answers[0] = np.eye(CLASSES)[1]
unsure = entropy(answers, axis=1) / np.log(CLASSES)
above = unsure.mean()
said = np.where(unsure > above, CLASSES, answers.argmax(1))
foreign = truth >= CLASSES
mine = np.where(foreign, CLASSES, truth)
known = recall_score(mine, said, labels=range(CLASSES), average="macro")
closed = recall_score(mine[~foreign], answers.argmax(1)[~foreign], labels=range(CLASSES), average="macro")
unknown = recall_score(mine, said, labels=[CLASSES], average="macro")
pathlib.Path(__file__).with_suffix(".json").write_text(
    json.dumps(
        {
            "classes": CLASSES,
            "answers": answers.ravel().tolist(),
            "labels": [None if f else int(y) for y, f in zip(truth, foreign)],
            "unsureness": unsure.tolist(),
            "above": above,
            "known_recall": known,
            "known_recall_closed": closed,
            "unknown_recall": unknown,
            "harmonic": 2 * known * unknown / (known + unknown),
            "auroc": roc_auc_score(foreign, unsure),
        }
    )
    + "\n"
)
