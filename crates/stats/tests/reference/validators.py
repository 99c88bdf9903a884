"""Writes validators.json: scores of adapted models on small problems.

    python crates/stats/tests/reference/validators.py

Needs numpy and scikit-learn (the JSON names their versions). Everything is float64: the papers' formulas in numpy,
k-means, adjusted mutual information, discriminant analysis and balanced accuracy of scikit-learn. Density ratios are
part of each case, so that only the formulas are compared.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_mutual_info_score, balanced_accuracy_score

HERE = pathlib.Path(__file__).parent


def plogp(p):
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0)


def distance(case):
    a, b = case["source_rows"], case["target_rows"]
    between = np.linalg.norm(a[:, None] - b, axis=2).mean()
    within = np.linalg.norm(a[:, None] - a, axis=2).mean() + np.linalg.norm(b[:, None] - b, axis=2).mean()
    return -(2 * between - within) / (2 * between)


def joint(case):
    scale = case["source_rows"].std(0)
    a, b, answers = case["source_rows"] / scale, case["target_rows"] / scale, case["target"].argmax(1)
    total = 0
    for c in np.unique(answers):
        here, there = a[case["labels"] == c], b[answers == c]
        apart = lambda x, y: np.linalg.norm(x[:, None] - y, axis=2).sum()
        across = apart(here, there) / (len(here) * len(there))
        within = sum(apart(x, x) / max(1, len(x) * (len(x) - 1)) for x in (here, there))
        total += (answers == c).mean() * (max(0, 1 - within / 2 / across) if len(here) else 1)
    return -total


def entropy(case):
    return plogp(case["target"]).sum(1).mean()


def infomax(case):
    return entropy(case) - plogp(case["target"].mean(0)).sum()


def bnm(case):
    n, classes = case["target"].shape
    return np.linalg.norm(case["target"], "nuc") / np.sqrt(n * min(n, classes))


def snd(case, temperature=0.05):
    unit = case["target"] / np.linalg.norm(case["target"], axis=1, keepdims=True)
    similar = unit @ unit.T / temperature
    np.fill_diagonal(similar, -np.inf)
    p = np.exp(similar - similar.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return -plogp(p).sum(1).mean()


def iwv(case):
    right = case["source"].argmax(1) == case["labels"]
    return (case["inputs"] * right).sum() / case["inputs"].sum()


def risk(weights, case):
    loss = -np.log(np.clip(case["source"][np.arange(len(weights)), case["labels"]], 1e-15, 1))
    eta = -np.cov(weights * loss, weights)[0, 1] / np.var(weights, ddof=1)
    return np.mean(weights * loss) + eta * np.mean(weights) - eta


def dev(case):
    return -risk(case["seen"], case)


def devn(case):
    weights = case["seen"] / case["seen"].max()
    return -risk(weights - weights.mean() + 1, case)


def class_cluster(case):
    answers = case["target"].argmax(1)
    x = case["target_rows"]
    centres = np.stack([x[answers == c].mean(0) for c in np.unique(answers)])
    found = KMeans(len(centres), init=centres, n_init=1, tol=0, max_iter=300).fit(x).labels_
    return adjusted_mutual_info_score(answers, found)


def likelihood(case, shrinkage=0.02):
    x, answers = case["target_rows"], case["target"].argmax(1)
    shares = np.bincount(answers) / len(x)
    means = np.stack([x[answers == c].mean(0) if share else x[0] for c, share in enumerate(shares)])

    def log_density(rows):
        """Of the largest normal log-likelihood, what depends on the covariance, a row."""
        d = rows.shape[1]
        covariance = rows.T @ rows / len(rows)
        shrunken = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / d * np.eye(d)
        return -0.5 * np.linalg.slogdet(shrunken)[1]

    return plogp(shares).sum() + log_density(x - means[answers]) - log_density(x - x.mean(0))


def scaled(x, of, damping=0.3):
    """Features as the heads scale them, so that the shrinkage towards the identity is the same."""
    var = of.var(0)
    return (x - of.mean(0)) * np.sqrt((1 + damping) / (var + damping * var.mean()))


def circular(case):
    answers = case["target"].argmax(1)
    x, z = case["target_rows"], case["source_rows"]
    # The covariance within classes of all rows at once, as in the Rust code; scikit-learn shrinks that of each class.
    t = scaled(x, x)
    present = np.unique(answers)
    means = np.stack([t[answers == c].mean(0) for c in present])
    centred = t - means[np.searchsorted(present, answers)]
    covariance = LedoitWolf(assume_centered=True).fit(centred).covariance_
    model = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Fixed(covariance)).fit(t, answers)
    return balanced_accuracy_score(case["labels"], model.predict(scaled(z, x)))


class Fixed(sklearn.base.BaseEstimator):
    """A covariance that is known."""

    def __init__(self, covariance_=None):
        self.covariance_ = covariance_

    def fit(self, x):
        return self


VALIDATORS = {"bnm": bnm, "circular": circular, "class-cluster": class_cluster, "dev": dev, "devn": devn,
              "distance": distance, "entropy": entropy, "infomax": infomax, "iwv": iwv, "joint": joint,
              "likelihood": likelihood, "snd": snd}


def softmax(scores):
    p = np.exp(scores - scores.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def problem(name, n, m, d, classes, apart, sure, seed, missing=()):
    """Clouds of classes, those of the target moved, and a linear model's answers for both sides."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(classes, d))
    labels = rng.integers(classes, size=n)
    left = [c for c in range(classes) if c not in missing]
    hidden = rng.choice(left, size=m)
    source_rows = (centres[labels] + rng.normal(size=(n, d))).astype(np.float32).astype(float)
    target_rows = (centres[hidden] + 0.5 + rng.normal(size=(m, d))).astype(np.float32).astype(float)
    weight = sure * (centres + 0.3 * rng.normal(size=centres.shape))
    case = {"source": softmax(source_rows @ weight.T), "labels": labels, "target": softmax(target_rows @ weight.T),
            "source_rows": source_rows, "target_rows": target_rows, "inputs": rng.exponential(size=n),
            "seen": rng.exponential(size=n)}
    scores = {key: float(of(case)) for key, of in VALIDATORS.items()}
    flat = {key: value.ravel().tolist() for key, value in case.items()}
    return {"name": name, "d": d, "classes": classes, "scores": scores, **flat}


cases = [
    problem("three classes", 40, 50, 4, 3, 1.0, 0.5, 0),
    problem("ten classes, a few unseen in the target", 60, 80, 6, 10, 1.5, 1.0, 1, missing=(2, 7)),
    problem("two classes, certain answers", 30, 45, 3, 2, 2.0, 5.0, 2),
    problem("classes that overlap", 50, 60, 5, 4, 0.2, 0.3, 3),
]
versions = {"numpy": np.__version__, "scikit-learn": sklearn.__version__}
text = json.dumps({"versions": versions, "cases": cases})
(HERE / "validators.json").write_text(text + "\n")
for case in cases:
    print(case["name"], {key: round(value, 4) for key, value in case["scores"].items()})
