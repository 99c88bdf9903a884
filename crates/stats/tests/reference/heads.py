"""Writes heads.json and metrics.json: what scikit-learn says about small problems.

    python crates/stats/tests/reference/heads.py

Needs numpy and scikit-learn (the JSON names their versions). Data is drawn here and stored in the
JSON, rounded to f32, so that both sides see the same numbers.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss
from sklearn.decomposition import PCA

HERE = pathlib.Path(__file__).parent
VERSIONS = {"numpy": np.__version__, "scikit-learn": sklearn.__version__}


def problem(rng, n, d, classes, spread=1.0, scales=None, shares=None):
    y = np.sort(rng.choice(classes, n, p=shares)) if shares else np.arange(n) % classes
    centres = spread * rng.normal(size=(classes, d))
    x = centres[y] + rng.normal(size=(n, d))
    if scales is not None:
        x *= scales
    return x.astype(np.float32), y


def logistic_cases():
    rng = np.random.default_rng(0)
    cases = [
        ("three classes", problem(rng, 60, 5, 3), 0.01, False),
        ("weak penalty", problem(rng, 80, 4, 4, spread=0.3), 1e-5, False),
        ("more features than samples", problem(rng, 20, 40, 3), 0.1, False),
        ("separable", problem(rng, 40, 3, 2, spread=8.0), 1e-3, False),
        ("two classes", problem(rng, 50, 6, 2, spread=0.5), 0.05, False),
        ("unbalanced, weighted", problem(rng, 90, 4, 3, shares=[0.8, 0.15, 0.05]), 0.01, True),
        ("scales from 1e-3 to 1e3",
         problem(rng, 60, 4, 3, scales=np.array([1e-3, 1.0, 30.0, 1e3])), 0.01, False),
        ("nine classes", problem(rng, 120, 7, 9, spread=0.7), 0.003, False),
    ]
    for name, (x, y), lam, balanced in cases:
        model = LogisticRegression(
            C=1 / (len(y) * lam), tol=1e-12, max_iter=1_000_000,
            class_weight="balanced" if balanced else None,
            solver="newton-cholesky" if "scales" in name else "lbfgs",
        )
        x64 = x.astype(np.float64)
        p = model.fit(x64, y).predict_proba(x64)
        yield {
            "name": name, "d": x.shape[1], "n_classes": int(y.max()) + 1, "lambda": lam,
            "balanced": balanced, "x": x.ravel().tolist(), "y": y.tolist(),
            "log_loss": log_loss(y, p), "probabilities": p.ravel().tolist(),
        }


def lda_case():
    rng = np.random.default_rng(1)
    x, y = problem(rng, 45, 6, 3)
    x64 = x.astype(np.float64)
    means = np.stack([x64[y == c].mean(0) for c in range(3)])
    covariance, shrinkage = ledoit_wolf(x64 - means[y], assume_centered=True)
    solved = np.linalg.solve(covariance, means.T)
    scores = x64 @ solved - 0.5 * np.sum(means.T * solved, 0) + np.log(np.bincount(y) / len(y))
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return {"d": 6, "n_classes": 3, "x": x.ravel().tolist(), "y": y.tolist(),
            "shrinkage": shrinkage, "probabilities": p.ravel().tolist()}


def ridge_case():
    rng = np.random.default_rng(2)
    x, y = problem(rng, 50, 5, 4)
    lam = 0.2
    # Ours divides the squared error by n, Ridge does not.
    model = Ridge(alpha=lam * len(y)).fit(x.astype(np.float64), np.eye(4)[y])
    return {"d": 5, "n_classes": 4, "lambda": lam, "x": x.ravel().tolist(), "y": y.tolist(),
            "coef": model.coef_.ravel().tolist()}


def pca_case():
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(40, 6)) * np.array([5, 3, 1, 1, 0.5, 0.1]) + 7).astype(np.float32)
    model = PCA(3, svd_solver="full")
    scores = model.fit_transform(x.astype(np.float64))
    flip = np.sign(model.components_[np.arange(3), np.abs(model.components_).argmax(1)])
    return {"d": 6, "k": 3, "x": x.ravel().tolist(), "scores": (scores * flip).ravel().tolist(),
            "explained": model.explained_variance_ratio_.tolist()}


def ece(y, p, bins=15):
    confidence, right = p.max(1), p.argmax(1) == y
    order = np.argsort(confidence, kind="stable")
    n, total = len(y), 0.0
    for b in range(bins):
        members = order[b * n // bins:(b + 1) * n // bins]
        if len(members):
            total += len(members) * abs(confidence[members].mean() - right[members].mean())
    return total / n


def metric_cases():
    rng = np.random.default_rng(4)
    for name, n, classes in [("seven classes", 200, 7), ("two classes", 31, 2), ("absent class", 40, 6)]:
        y = rng.integers(0, classes - (name == "absent class"), n)
        logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[y]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        predicted = p.argmax(1)
        top = np.argsort(-p, 1)[:, :5]
        seen = sorted(set(y) | set(predicted))
        yield {
            "name": name, "n_classes": classes, "y": y.tolist(), "probabilities": p.ravel().tolist(),
            "accuracy": float((predicted == y).mean()),
            "balanced_accuracy": balanced_accuracy_score(y, predicted),
            "macro_f1": f1_score(y, predicted, labels=seen, average="macro", zero_division=0),
            "log_loss": log_loss(y, p, labels=range(classes)),
            "brier": float(((p - np.eye(classes)[y]) ** 2).sum(1).mean()),
            "ece": ece(y, p),
            "top5_accuracy": float((top == y[:, None]).any(1).mean()),
        }


def write(name, value):
    (HERE / name).write_text(json.dumps({"versions": VERSIONS, **value}) + "\n")


write("heads.json", {"logistic": list(logistic_cases()), "lda": lda_case(), "ridge": ridge_case(),
                     "pca": pca_case()})
write("metrics.json", {"cases": list(metric_cases())})
