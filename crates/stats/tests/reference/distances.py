"""Writes distances.json: distances of small sets by scipy, scikit-learn, POT and the papers' formulas.

    python crates/stats/tests/reference/distances.py

Needs numpy, scipy, scikit-learn and POT (the JSON names their versions). Data is drawn here and stored
in the JSON, rounded to f32, so that both sides see the same numbers.
"""

import json
import pathlib

import numpy as np
import ot
import scipy
import sklearn
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist
from scipy.stats import wasserstein_distance
from sklearn.metrics.pairwise import rbf_kernel

HERE = pathlib.Path(__file__).parent


def mmd(s, t):
    sigma = np.median(pdist(np.vstack([s, t])))
    gamma = 0.5 / sigma**2
    n, m = len(s), len(t)
    ss, tt, st = rbf_kernel(s, s, gamma), rbf_kernel(t, t, gamma), rbf_kernel(s, t, gamma)
    return ((ss.sum() - n) / (n * (n - 1)) + (tt.sum() - m) / (m * (m - 1))
            - 2 * st.sum() / (n * m))


def energy(s, t):
    between = cdist(s, t).mean()
    return (2 * between - cdist(s, s).mean() - cdist(t, t).mean()) / (2 * between)


def coral(s, t):
    return ((np.cov(s.T) - np.cov(t.T))**2).sum() / (4 * s.shape[1]**2)


def frechet(s, t):
    cs, ct = np.cov(s.T), np.cov(t.T)
    root = sqrtm(cs @ ct).real
    return ((s.mean(0) - t.mean(0))**2).sum() + np.trace(cs + ct - 2 * root)


def sliced(s, t, directions):
    by_scipy = np.mean([wasserstein_distance(s @ w, t @ w) for w in directions])
    by_pot = ot.sliced_wasserstein_distance(s, t, projections=directions.T, p=1)
    assert abs(by_scipy - by_pot) < 1e-12, (by_scipy, by_pot)
    return by_scipy


def main():
    rng = np.random.default_rng(0)
    def draw(n, d):
        return rng.normal(size=(n, d))
    cases = [
        ("the same distribution", draw(30, 4), draw(25, 4)),
        ("means", draw(40, 3), draw(30, 3) + [0.7, 0, 0]),
        ("scales", draw(35, 5), 2 * draw(45, 5)),
        ("a rotation", draw(50, 2) * [3, 0.5], draw(50, 2) * [0.5, 3]),
        ("far from zero", draw(20, 3) + 100, draw(22, 3) + 101),
        ("two samples", draw(2, 3), draw(9, 3)),
        ("ties", rng.integers(0, 3, size=(30, 2)), rng.integers(1, 4, size=(40, 2))),
    ]
    out = []
    for name, s, t in cases:
        s, t = (np.asarray(x, np.float32).astype(np.float64) for x in (s, t))
        directions = draw(7, s.shape[1])
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        out.append({
            "name": name, "d": s.shape[1], "source": s.ravel().tolist(),
            "target": t.ravel().tolist(), "directions": directions.ravel().tolist(),
            "sliced": sliced(s, t, directions),
            "mmd": mmd(s, t), "energy": energy(s, t), "coral": coral(s, t), "frechet": frechet(s, t),
        })
    versions = {"numpy": np.__version__, "scipy": scipy.__version__,
                "scikit-learn": sklearn.__version__, "POT": ot.__version__}
    text = json.dumps({"versions": versions, "cases": out})
    (HERE / "distances.json").write_text(text + "\n")


main()
