"""Writes paired.json: exact bootstrap distributions of differences, by listing every resample.

    python crates/stats/tests/reference/paired.py

Needs numpy, scipy, scikit-learn and statsmodels (the JSON names their versions). Six samples have 6^6
resamples, five 5^5 and four samples with three seeds 4^4 * 3^3, all of them equally probable: quantiles and
p-values have no Monte Carlo error here.
"""

import itertools
import json
import pathlib

import numpy as np
import sklearn
import scipy
import statsmodels
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, log_loss
from statsmodels.stats.multitest import multipletests

HERE = pathlib.Path(__file__).parent


def metric(name, y, p):
    classes = list(range(p.shape[1]))
    if name == "accuracy":
        return accuracy_score(y, p.argmax(1))
    if name == "log_loss":
        return log_loss(y, p, labels=classes)
    return f1_score(y, p.argmax(1), average="macro", zero_division=0)


def table(name, y, runs, draws):
    """Metric of each run on each draw of samples."""
    if name != "macro_f1":
        # A mean over samples: each is asked once.
        each = np.array([[metric(name, y[[i]], p[[i]]) for p in runs] for i in range(len(y))])
        return np.array([each[list(d)].mean(0) for d in draws])
    return np.array([[metric(name, y[list(d)], p[list(d)]) for p in runs] for d in draws])


def summary(values, at):
    values = np.sort(values)
    below, above = np.mean(values <= 0), np.mean(values >= 0)
    # Where the exact distribution function reaches a little less and a little more than 2.5 %: any
    # quantile of enough draws lies between.
    q = lambda share: float(np.quantile(values, share, method="inverted_cdf"))
    return {
        "value": float(at),
        "low": [q(0.018), q(0.032)],
        "high": [q(0.968), q(0.982)],
        "p": float(min(1.0, 2 * min(below, above))),
    }


def case(rng, name, n, seeds, shift):
    y = np.arange(n) % 3 if n > 4 else np.array([0, 1, 0, 1])
    classes = int(y.max()) + 1
    p = lambda gain: np.array(
        [rng.dirichlet(np.ones(classes) + gain * np.eye(classes)[label]) for label in y]
    )
    a, b = [p(shift) for _ in range(seeds)], [p(0.0) for _ in range(seeds)]
    draws = list(itertools.product(range(n), repeat=n))
    gaps = table(name, y, a, draws) - table(name, y, b, draws)
    at = np.mean([metric(name, y, x) - metric(name, y, z) for x, z in zip(a, b)])
    every_seed = list(itertools.product(range(seeds), repeat=seeds))
    values = np.concatenate([gaps[:, list(s)].mean(1) for s in every_seed])
    out = {"metric": name, "n_classes": classes, "y": y.tolist()}
    out |= {"a": [x.tolist() for x in a], "b": [x.tolist() for x in b]} | summary(values, at)
    if seeds == 1 and name != "macro_f1":
        out["by_class"] = []
        for c in range(classes):
            members = np.flatnonzero(y == c)
            within = [d for d in ([i for i in d if y[i] == c] for d in draws) if d]
            each = table(name, y, a, [[i] for i in range(n)]) - table(name, y, b, [[i] for i in range(n)])
            values = np.array([each[d, 0].mean() for d in within])
            out["by_class"].append(summary(values, each[members, 0].mean()))
    return out


def main():
    rng = np.random.default_rng(5)
    cases = [
        case(rng, name, n, seeds, shift)
        for name, n, seeds, shift in [
            ("accuracy", 6, 1, 2.0),
            ("log_loss", 6, 1, 2.0),
            ("log_loss", 6, 1, 0.0),
            ("macro_f1", 5, 1, 4.0),
            ("accuracy", 4, 3, 3.0),
            ("log_loss", 4, 3, 1.0),
        ]
    ]
    p = [0.01, 0.04, 0.03, 0.005, 0.2, 0.9, 0.04]
    out = {
        "versions": {
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "scipy": scipy.__version__,
            "statsmodels": statsmodels.__version__,
        },
        "cases": cases,
        "sign_test": [
            [a, b, binomtest(a, a + b, alternative="greater").pvalue if a + b else 1.0]
            for a, b in [(0, 0), (3, 0), (0, 3), (9, 2), (40, 20), (900, 800), (5000, 4000)]
        ],
        "holm": {"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()},
    }
    (HERE / "paired.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
