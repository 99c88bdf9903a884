"""Writes scores.json: scores of sources on small problems, and agreements of orders.

    python crates/stats/tests/reference/scores.py

Needs numpy, scipy and scikit-learn (the JSON names their versions). Everything is float64 and follows the
papers' formulas: singular values instead of eigenvalues of products, the Ledoit-Wolf covariance, the mixture's
EM and the logistic head of scikit-learn, ranks and correlations of scipy, and for `loo` one fit for each sample
that is left out.
"""

import json
import pathlib

import numpy as np
import scipy
import sklearn
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import kendalltau, spearmanr, weightedtau
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture

HERE = pathlib.Path(__file__).parent
VERSIONS = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}


def logme(f, y, classes):
    n, d = f.shape
    u, sigma, _ = np.linalg.svd(f, full_matrices=False)
    s = sigma**2
    evidences = []
    for c in np.unique(y):
        target = (y == c).astype(float)
        z2 = (u.T @ target) ** 2
        r0 = target @ target - z2.sum()
        r0 = r0 if d < n else 0.0
        t = 1.0
        while True:
            gamma = (s / (s + t)).sum()
            m2 = (s * z2 / (s + t) ** 2).sum()
            res = (t**2 * z2 / (s + t) ** 2).sum() + r0
            alpha, beta = gamma / m2, (n - gamma) / res
            spread = np.log(alpha + beta * s).sum() + (d - len(s)) * np.log(alpha)
            evidence = (d / 2 * np.log(alpha) + n / 2 * np.log(beta) - spread / 2 - beta / 2 * res
                        - alpha / 2 * m2 - n / 2 * np.log(2 * np.pi)) / n
            new = alpha / beta
            if abs(new - t) / t <= 1e-3:
                break
            t = new
        evidences.append(evidence)
    return np.mean(evidences)


def hscore(f, y, classes):
    f = f - f.mean(0)
    model = LedoitWolf(assume_centered=True).fit(f)
    g = np.stack([f[y == c].mean(0) for c in y])
    return (1 - model.shrinkage_) * np.trace(np.linalg.solve(model.covariance_, g.T @ g / len(f)))


def coding_rate(z, eps=1e-4):
    return 0.5 * np.linalg.slogdet(np.eye(z.shape[1]) + z.T @ z / (len(z) * eps))[1]


def transrate(f, y, classes):
    z = f - f.mean(0)
    parts = [(y == c).mean() * coding_rate(z[y == c]) for c in np.unique(y)]
    return coding_rate(z) - sum(parts)


def gbc(f, y, classes):
    present = np.unique(y)
    mean = {c: f[y == c].mean(0) for c in present}
    own = {c: f[y == c].var(0).mean() for c in present}
    several = [c for c in present if (y == c).sum() > 1]
    pooled = (sum(own[c] * (y == c).sum() for c in several) / sum((y == c).sum() for c in several))
    var = {c: own[c] if c in several else pooled for c in present}
    total = 0.0
    for i in present:
        for j in present:
            if i != j:
                both = (var[i] + var[j]) / 2
                distance = ((mean[i] - mean[j]) ** 2 / both).sum() / 8
                distance += 0.5 * f.shape[1] * (np.log(both) - 0.5 * np.log(var[i] * var[j]))
                total += np.exp(-distance)
    return -total


def parc(f, y, classes):
    below = np.tril_indices(len(y), -1)
    features = 1 - np.corrcoef(f)
    # Rounded, because equal distances that differ in the last bit are no ties.
    labels = (1 - np.corrcoef(np.eye(classes)[y])).round(9)
    return spearmanr(features[below], labels[below]).statistic


def knn(f, y, classes, k=5):
    z = f - f.mean(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    similar = z @ z.T
    np.fill_diagonal(similar, -np.inf)
    right = 0
    for i in range(len(y)):
        near = y[np.argsort(-similar[i])[:k]]
        votes = np.bincount(near, minlength=classes)
        # The first of the classes with the most votes is the nearest one's.
        right += next(c for c in near if votes[c] == votes.max()) == y[i]
    return right / len(y)


def leep(theta, y, classes):
    joint = np.stack([theta[y == c].sum(0) for c in range(classes)]) / len(y)
    mass = joint.sum(0)
    given = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    return np.log((given[y] * theta).sum(1)).mean()


def nce(theta, y, classes):
    z = theta.argmax(1)
    joint = np.zeros((classes, theta.shape[1]))
    np.add.at(joint, (y, z), 1 / len(y))
    mass = joint.sum(0)
    return sum(p * np.log(p / mass[z]) for (_, z), p in np.ndenumerate(joint) if p > 0)


def nleep(f, y, classes):
    n = len(y)
    x = PCA(0.8, svd_solver="full").fit_transform(f)
    k = max(1, min(5 * len(np.unique(y)), n // 4))
    ridge = 1e-3 * (x**2).mean()
    distance = lambda a: ((x - a) ** 2).sum(1)
    chosen = [distance(0).argmin()]
    while len(chosen) < k:
        chosen.append(np.min([distance(x[c]) for c in chosen], axis=0).argmax())
    centres = x[chosen]
    for _ in range(10):
        of = np.stack([distance(c) for c in centres]).argmin(0)
        centres = np.stack([x[of == c].mean(0) if (of == c).any() else centres[c] for c in range(k)])
    share = np.eye(k)[of]
    count = share.sum(0) + 10 * np.finfo(float).eps
    means = share.T @ x / count[:, None]
    covariances = share.T @ x**2 / count[:, None] - means**2 + ridge
    mixture = GaussianMixture(
        k, covariance_type="diag", weights_init=count / n, means_init=means,
        precisions_init=1 / covariances, reg_covar=ridge, tol=1e-3, max_iter=100,
    ).fit(x)
    return leep(mixture.predict_proba(x), y, classes)


def loo(f, y, classes):
    n, d = f.shape
    present = np.unique(y)
    onehot = (y[:, None] == present).astype(float)
    values = np.linalg.svd(f - f.mean(0), compute_uv=False) ** 2
    values = values[values > max(n, d) * np.finfo(float).eps * values[0]]
    best = (np.inf, None)
    for share in [1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0]:
        penalty = share * values.mean()
        answers = np.zeros_like(onehot)
        for i in range(n):
            rest = np.arange(n) != i
            x, t = f[rest], onehot[rest]
            centred = x - x.mean(0)
            w = np.linalg.solve(centred.T @ centred + penalty * np.eye(d), centred.T @ t)
            answers[i] = t.mean(0) + (f[i] - x.mean(0)) @ w
        error = ((answers - onehot) ** 2).sum()
        if error < best[0]:
            best = (error, answers)
    answers = best[1]
    doubt = 1 / (n + 2)
    target = np.where(onehot == 1, 1 - doubt, doubt / (len(present) - 1))

    def slope(inverse):
        p = np.exp(inverse * answers - logsumexp(inverse * answers, axis=1, keepdims=True))
        return ((p - target) * answers).sum() / n

    inverse = brentq(slope, 1e-3, 1e3, xtol=1e-14, rtol=1e-15)
    logits = inverse * answers
    return (logits[onehot == 1] - logsumexp(logits, axis=1)).mean()


def content(row):
    mask = (1 << 64) - 1
    value = 0xCBF29CE484222325
    for byte in row.astype("<f4").tobytes():
        value = ((value ^ byte) * 0x100000001B3) & mask
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
    return value ^ (value >> 31)


def probe(f, y, classes):
    n = len(y)
    hashes = [content(row) for row in f]
    fold_of, turn = np.zeros(n, int), {}
    for i in sorted(range(n), key=hashes.__getitem__):
        fold_of[i] = turn.get(y[i], hashes[i] % 5)
        turn[y[i]] = (fold_of[i] + 1) % 5
    var = f.var(0)
    scaled = ((f - f.mean(0)) * np.sqrt(1.3 / (var + 0.3 * var.mean()))).astype(np.float32).astype(float)
    losses = []
    for i in range(7):
        lam, total = 10 ** (1 - 0.75 * i), 0.0
        for fold in range(5):
            kept, held = fold_of != fold, fold_of == fold
            model = LogisticRegression(C=1 / (kept.sum() * lam), tol=1e-13, max_iter=10_000,
                                       solver="newton-cholesky")
            p = model.fit(scaled[kept], y[kept]).predict_log_proba(scaled[held])
            place = {c: at for at, c in enumerate(model.classes_)}
            total -= sum(row[place[c]] for row, c in zip(p, y[held]))
        losses.append(total / n)
    return -min(losses)


def problem(rng, n, d, classes, spread, absent=(), shares=None, offset=0.0):
    y = rng.choice(classes, n, p=shares) if shares else np.arange(n) % classes
    for c in absent:
        y[y == c] = (c + 1) % classes
    centres = spread * rng.normal(size=(classes, d))
    scales = np.exp(rng.normal(size=d) * 0.7)
    x = (centres[y] + rng.normal(size=(n, d))) * scales + offset
    logits = rng.normal(size=(n, 6)) + 2.0 * np.eye(6)[(y * 2) % 6]
    theta = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    # A source class without any mass.
    theta[:, 3] = 0
    theta /= theta.sum(1, keepdims=True)
    return x.astype(np.float32), y, theta


def score_cases():
    rng = np.random.default_rng(6)
    problems = [
        ("three classes", 3, problem(rng, 90, 6, 3, 0.8)),
        ("a large common mean", 4, problem(rng, 120, 10, 4, 0.6, offset=20.0)),
        ("more features than samples", 3, problem(rng, 45, 70, 3, 0.5)),
        ("unbalanced, a class absent", 5, problem(rng, 100, 8, 5, 0.9, absent=[2],
                                                  shares=[0.5, 0.2, 0.05, 0.15, 0.1])),
        ("two classes that hardly differ", 2, problem(rng, 80, 5, 2, 0.15)),
    ]
    for name, classes, (x, y, theta) in problems:
        f = x.astype(np.float64)
        scores = {score.__name__: float(score(f, y, classes))
                  for score in (logme, hscore, transrate, gbc, parc, knn, nleep, loo, probe)}
        scores["leep"], scores["nce"] = leep(theta, y, classes), nce(theta, y, classes)
        yield {"name": name, "d": x.shape[1], "n_classes": classes, "x": x.ravel().tolist(),
               "y": y.tolist(), "source": theta.ravel().tolist(), "source_classes": 6,
               "scores": {k: float(v) for k, v in scores.items()}}


def order_cases():
    rng = np.random.default_rng(7)
    for name, n, digits in [("no ties", 12, 9), ("ties", 15, 1), ("three entries", 3, 9)]:
        x = rng.normal(size=n)
        y = 0.6 * x + rng.normal(size=n)
        x, y = x.round(digits), y.round(digits + 1)
        yield {"name": name, "x": x.tolist(), "y": y.tolist(), "kendall": kendalltau(x, y).statistic,
               "weighted": weightedtau(x, y).statistic, "spearman": spearmanr(x, y).statistic}


(HERE / "scores.json").write_text(json.dumps(
    {"versions": VERSIONS, "scores": list(score_cases()), "orders": list(order_cases())}) + "\n")
