"""Writes trust.json: prediction sets by MAPIE (where it has the score) and by the papers' formulas, and
distances and energies by NumPy in float64.

pip install numpy scikit-learn mapie; python trust.py
"""

import json
from math import ceil
from pathlib import Path

import numpy as np
from mapie.classification import SplitConformalClassifier
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

rng = np.random.default_rng(0)


class Told(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are its features."""

    def __init__(self, classes=4):
        self.classes = classes

    def fit(self, x, y):
        self.classes_ = np.arange(self.classes)
        self.n_features_in_ = self.classes
        return self

    def predict_proba(self, x):
        return np.asarray(x)

    def predict(self, x):
        return self.predict_proba(x).argmax(1)


def probabilities(n, classes):
    scores = 2.5 * rng.normal(size=(n, classes))
    p = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    y = np.array([rng.choice(classes, p=row) for row in p])
    return p, y


def mass_before(p):
    return np.array([[row[row > q].sum() for q in row] for row in p])


def rank(p):
    return np.array([[1 + (row > q).sum() for q in row] for row in p])


SCORES = {
    "lac": lambda p: 1 - p,
    "aps": mass_before,
    "raps": lambda p: mass_before(p) + 0.1 * np.maximum(0, rank(p) - 1),
}


def sets_by_formula(score, p_cal, y_cal, p_new, alpha):
    """[n, classes] of booleans, the most probable class always among them."""
    own = np.sort(SCORES[score](p_cal)[np.arange(len(y_cal)), y_cal])
    place = ceil(round((len(own) + 1) * (1 - alpha), 9))
    threshold = own[place - 1] if place <= len(own) else np.inf
    held = SCORES[score](p_new) <= threshold
    held[np.arange(len(p_new)), p_new.argmax(1)] = True
    return held, threshold


cases = []
for n, classes in [(40, 3), (200, 6)]:
    p_cal, y_cal = probabilities(n, classes)
    p_new, _ = probabilities(60, classes)
    for alpha in [0.3, 0.1, 0.02]:
        case = {
            "classes": classes, "alpha": alpha,
            "p_cal": p_cal.ravel().tolist(), "y_cal": y_cal.tolist(), "p_new": p_new.ravel().tolist(),
        }
        for score in SCORES:
            held, threshold = sets_by_formula(score, p_cal, y_cal, p_new, alpha)
            case[score] = {
                "threshold": None if np.isinf(threshold) else threshold,
                "sets": [np.flatnonzero(row).tolist() for row in held],
            }
        if (n + 1) * alpha >= 1:
            told = Told(classes).fit(None, None)
            mapie = SplitConformalClassifier(told, confidence_level=1 - alpha, prefit=True)
            mapie.conformalize(p_cal, y_cal)
            _, sets = mapie.predict_set(p_new)
            case["mapie_lac"] = [np.flatnonzero(row).tolist() for row in sets[:, :, 0]]
        cases.append(case)

detectors = []
for n, d, classes in [(60, 7, 3), (25, 40, 4)]:
    mix = rng.normal(size=(d, d)) / np.sqrt(d) + 0.5 * np.eye(d)
    y = np.arange(n) % classes
    centres = 1.5 * rng.normal(size=(classes, d))
    draw = lambda m, labels: (rng.normal(size=(m, d)) @ mix + centres[labels]).astype(np.float32)
    x = draw(n, y).astype(np.float64)
    new = np.concatenate([draw(8, np.arange(8) % classes), 3 * draw(4, np.zeros(4, int))]).astype(np.float64)
    means = np.array([x[y == c].mean(0) for c in range(classes)])
    covariance, shrinkage = ledoit_wolf(x - means[y], assume_centered=True)
    inverse = np.linalg.inv(covariance)
    offsets = new[:, None] - means[None]
    mahalanobis = np.sqrt(np.einsum("ncd,de,nce->nc", offsets, inverse, offsets) / d)
    pooled = np.sqrt(((x - means[y]) ** 2).sum(0) / (n - classes))
    diagonal = np.sqrt((((offsets) / pooled) ** 2).mean(2))
    logits = rng.normal(size=(len(new), classes)) * 3
    detectors.append({
        "d": d, "classes": classes, "x": x.ravel().tolist(), "y": y.tolist(), "new": new.ravel().tolist(),
        "logits": logits.ravel().tolist(), "shrinkage": shrinkage,
        "mahalanobis": mahalanobis.ravel().tolist(), "diagonal": diagonal.ravel().tolist(),
        "energy": (-logsumexp(logits, axis=1)).tolist(),
    })

low = np.round(rng.normal(size=50), 1)
high = np.round(rng.normal(size=30) + 1, 1)
area = roc_auc_score(np.r_[np.zeros(50), np.ones(30)], np.r_[low, high])

text = json.dumps({
    "sets": cases, "detectors": detectors,
    "auroc": {"low": low.tolist(), "high": high.tolist(), "area": area},
})
Path(__file__).with_suffix(".json").write_text(text + "\n")
