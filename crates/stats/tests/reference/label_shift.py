"""Writes label_shift.json: weights of classes by the papers' formulas, minimised by scipy.

    python crates/stats/tests/reference/label_shift.py

Needs numpy and scipy (the JSON names their versions).
"""

import json
import pathlib

import numpy as np
import scipy
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import chi2_contingency

HERE = pathlib.Path(__file__).parent


def confusion(ps, ys, pt, k):
    c, q = np.zeros((k, k)), np.zeros(k)
    np.add.at(c, (ps.argmax(1), ys), 1 / len(ys))
    np.add.at(q, pt.argmax(1), 1 / len(pt))
    return c, q


def finish(w, prior):
    w = np.maximum(w, 0)
    return w / (w @ prior)


def bbse(ps, ys, pt, k):
    c, q = confusion(ps, ys, pt, k)
    return np.linalg.solve(c, q)


def rlls(ps, ys, pt, k):
    c, q = confusion(ps, ys, pt, k)
    b = q - c.sum(1)
    log = np.log(2 * k / 0.05)
    delta = 0.01 * 3 * (2 * log / (3 * len(ys)) + np.sqrt(2 * log / len(ys)))
    def objective(theta):
        return np.linalg.norm(c @ theta - b) + delta * np.linalg.norm(theta)
    best = None
    for start in (np.linalg.solve(c, b), 0.5 * np.linalg.solve(c, b), np.full(k, 0.1)):
        found = minimize(objective, start, method="Nelder-Mead",
                         options={"xatol": 1e-13, "fatol": 1e-16, "maxiter": 200_000,
                                  "maxfev": 200_000, "adaptive": True})
        found = minimize(objective, found.x, method="Nelder-Mead",
                         options={"xatol": 1e-13, "fatol": 1e-16, "maxiter": 200_000,
                                  "maxfev": 200_000})
        if best is None or found.fun < best.fun:
            best = found
    return 1 + best.x


def mlls(ps, ys, pt, k, prior):
    s, t = np.log(ps), np.log(pt)
    def bias(theta):
        return np.append(theta[1:], 0.0)
    def loss(theta):
        z = theta[0] * s + bias(theta)
        p = softmax(z, axis=1)
        hot = np.eye(k)[ys]
        g = ((p - hot)[:, :-1]).mean(0)
        return -log_softmax(z, axis=1)[np.arange(len(ys)), ys].mean(), np.append(
            ((p - hot) * s).sum(1).mean(), g)
    found = minimize(loss, np.append(1.0, np.zeros(k - 1)), jac=True, method="BFGS",
                     options={"gtol": 1e-11, "maxiter": 10_000})
    p = softmax(found.x[0] * t + bias(found.x), axis=1)
    q = prior.copy()
    for _ in range(100_000):
        r = p * (q / prior)
        new = (r / r.sum(1, keepdims=True)).mean(0)
        change = np.abs(new - q).max()
        q = new
        if change < 1e-14:
            break
    return q / prior


def main():
    rng = np.random.default_rng(0)
    cases = []
    for name, k, n, m, sharp, shares in [
        ("two classes", 2, 200, 150, 2.0, [0.8, 0.2]),
        ("three classes", 3, 300, 400, 1.5, [0.1, 0.3, 0.6]),
        ("classes that are mixed up", 3, 250, 200, 0.7, [0.2, 0.2, 0.6]),
        ("no shift", 4, 400, 400, 2.0, [0.25] * 4),
        ("a class that is gone", 4, 400, 300, 3.0, [0.0, 0.5, 0.3, 0.2]),
    ]:
        def draw(count, p):
            y = rng.choice(k, count, p=p)
            z = sharp * (np.eye(k)[y] + 0.6 * rng.normal(size=(count, k)))
            return y, softmax(1.7 * z + 0.2 * np.arange(k), axis=1)
        ys, ps = draw(n, [1 / k] * k)
        yt, pt = draw(m, shares)
        prior = np.bincount(ys, minlength=k) / n
        table = [np.bincount(y, minlength=k) for y in (ys, yt)]
        cases.append({
            "name": name, "k": k, "labels": ys.tolist(), "target_labels": yt.tolist(),
            "source": ps.ravel().tolist(), "target": pt.ravel().tolist(),
            "bbse": finish(bbse(ps, ys, pt, k), prior).tolist(),
            "rlls": finish(rlls(ps, ys, pt, k), prior).tolist(),
            "mlls": finish(mlls(ps, ys, pt, k, prior), prior).tolist(),
            "chi2": chi2_contingency(table, correction=False)[0],
            "chi2_p": chi2_contingency(table, correction=False)[1],
        })
    versions = {"numpy": np.__version__, "scipy": scipy.__version__}
    text = json.dumps({"versions": versions, "cases": cases})
    (HERE / "label_shift.json").write_text(text + "\n")


main()
