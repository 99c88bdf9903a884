"""Writes adapters.json: methods of adaptation by POT, skada where it is right, and the papers' formulas.

    python crates/stats/tests/reference/adapters.py

Needs numpy, scipy, scikit-learn, POT and skada (the JSON names their versions). Data is drawn here and
stored in the JSON, rounded to f32, so that both sides see the same numbers. Everything is float64.

skada's TCA is no reference: it hands a matrix that is not symmetric to `eigh`. Its CORAL agrees but for
the mean, which it takes away from both sides.
"""

import json
import pathlib

import numpy as np
import ot
import scipy
import skada
import sklearn
from scipy.linalg import eigh, null_space
from scipy.optimize import minimize
from scipy.spatial.distance import cdist, pdist

HERE = pathlib.Path(__file__).parent
LAMBDA, CLASSES = 0.01, 3


def softmax(scores):
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def one_hot(y):
    return np.eye(CLASSES)[y]


def head(x, targets, weights=None):
    """Logistic regression on scaled features; returns its probabilities as a function."""
    mean, var = x.mean(0), x.var(0)
    scale = np.sqrt(1.3 / (var + 0.3 * var.mean()))
    z = (x - mean) * scale
    w = np.ones(len(x)) if weights is None else weights
    w = w / w.sum()
    d = x.shape[1]

    def value(theta):
        theta = theta.reshape(CLASSES, d + 1)
        scores = z @ theta[:, :d].T + theta[:, d]
        top = scores.max(1, keepdims=True)
        logs = scores - top - np.log(np.exp(scores - top).sum(1, keepdims=True))
        r = (np.exp(logs) - targets) * w[:, None]
        gradient = np.hstack([r.T @ z + LAMBDA * theta[:, :d], r.sum(0)[:, None]])
        return -(w[:, None] * targets * logs).sum() + LAMBDA / 2 * (theta[:, :d]**2).sum(), gradient.ravel()

    found = minimize(value, np.zeros(CLASSES * (d + 1)), jac=True, method="L-BFGS-B",
                     options={"maxiter": 10_000, "gtol": 1e-10, "ftol": 1e-16, "maxcor": 30})
    theta = found.x.reshape(CLASSES, d + 1)
    return lambda rows: softmax(((rows - mean) * scale) @ theta[:, :d].T + theta[:, d])


def covariance(x, share):
    c = np.cov(x.T)
    return (1 - share) * c + share * np.trace(c) / len(c) * np.eye(len(c))


def root(c, power=0.5):
    values, vectors = np.linalg.eigh(c)
    return (vectors * values**power) @ vectors.T


def coral(s, y, t):
    cs, ct = covariance(s, 0.1), covariance(t, 0.1)
    moved = (s - s.mean(0)) @ root(cs, -0.5) @ root(ct) + t.mean(0)
    theirs = skada.CORALAdapter(reg=0.1)
    theirs.fit(np.vstack([s, t]), sample_domain=np.r_[np.ones(len(s)), -np.ones(len(t))])
    theirs = (s - s.mean(0)) @ theirs.cov_source_inv_sqrt_ @ theirs.cov_target_sqrt_
    # skada divides by n, not by n - 1.
    n, m = len(s), len(t)
    assert np.allclose(theirs * np.sqrt((n - 1) / n * m / (m - 1)), moved - t.mean(0), rtol=0.05, atol=0.02)
    return {"options": {"shrinkage": 0.1}, "source": moved,
            "probabilities": head(moved, one_hot(y))(t)}


def linear_ot(s, y, t):
    cs, ct = covariance(s, 0.1), covariance(t, 0.1)
    a, b = ot.gaussian.bures_wasserstein_mapping(s.mean(0), t.mean(0), cs, ct)
    moved = s @ a + b
    return {"options": {"shrinkage": 0.1}, "source": moved,
            "probabilities": head(moved, one_hot(y))(t)}


def principal(x, k):
    z = (x - x.mean(0)) / x.std(0)
    return z, np.linalg.svd(z, full_matrices=False)[2][:k].T


def sa(s, y, t):
    k = 3
    (zs, ps), (zt, pt) = principal(s, k), principal(t, k)
    theirs = skada.SubspaceAlignmentAdapter(n_components=k)
    both, domain = np.vstack([zs, zt]), np.r_[np.ones(len(s)), -np.ones(len(t))]
    z = theirs.fit_transform(both, sample_domain=domain)
    source, target = zs @ ps @ ps.T @ pt, zt @ pt
    assert np.allclose(z[:len(s)] @ z[len(s):].T, source @ target.T)
    return {"options": {"components": k}, "cross": source @ target.T,
            "probabilities": head(source, one_hot(y))(target)}


def gfk(s, y, t):
    k = 2
    (zs, ps), (zt, pt) = principal(s, k), principal(t, k)
    rs = null_space(ps.T)
    u1, cos, vt = np.linalg.svd(ps.T @ pt)
    theta = np.arccos(np.clip(cos, -1, 1))
    u2 = -(rs.T @ pt @ vt.T) / np.sin(theta)
    l1 = np.diag(1 + np.sin(2 * theta) / (2 * theta))
    l2 = np.diag((np.cos(2 * theta) - 1) / (2 * theta))
    l3 = np.diag(1 - np.sin(2 * theta) / (2 * theta))
    basis = np.hstack([ps @ u1, rs @ u2])
    g = basis @ np.block([[l1, l2], [l2, l3]]) @ basis.T
    # A head on any root of G has G's kernel, but the scaling of features is the root's own.
    return {"options": {"components": k}, "cross": zs @ g @ zt.T}


def sigma(s, t):
    return np.median(pdist(np.vstack([s, t])))


def rbf(a, b, s, t, width=1.0):
    return np.exp(-cdist(a, b, "sqeuclidean") / (2 * (width * sigma(s, t))**2))


def components(s, t, contrasts, k, mu=1.0):
    pooled = np.vstack([s, t])
    kernel = rbf(pooled, pooled, s, t)
    n = len(pooled)
    h = np.eye(n) - 1 / n
    m = sum(np.outer(e, e) for e in contrasts)
    _, w = eigh(kernel @ h @ kernel, kernel @ m @ kernel + mu * np.eye(n))
    w = w[:, ::-1][:, :k]
    w = w * np.sign(w[np.abs(w).argmax(0), np.arange(k)])
    z = kernel @ w
    return z[:len(s)], z[len(s):]


def means(s, t):
    return np.r_[np.full(len(s), 1 / len(s)), np.full(len(t), -1 / len(t))]


def tca(s, y, t):
    source, target = components(s, t, [means(s, t)], 4)
    return {"options": {"components": 4}, "cross": source @ target.T,
            "probabilities": head(source, one_hot(y))(target)}


def jda(s, y, t):
    contrasts, answers = [means(s, t)], None
    for _ in range(10):
        source, target = components(s, t, contrasts, 4)
        p = head(source, one_hot(y))(target)
        now = p.argmax(1)
        if answers is not None and (now == answers).all():
            break
        answers = now
        contrasts = [means(s, t)]
        for c in range(CLASSES):
            if (answers == c).any():
                contrasts.append(np.r_[(y == c) / (y == c).sum(), -1.0 * (answers == c) / (answers == c).sum()])
    return {"options": {"components": 4}, "cross": source @ target.T, "probabilities": p}


def kmm(s, y, t):
    n, m = len(s), len(t)
    k, kappa = rbf(s, s, s, t), rbf(s, t, s, t).sum(1) * n / m
    slack = n * (1 - 1 / np.sqrt(n))
    best = None
    for start in (np.ones(n), np.full(n, 0.5)):
        found = minimize(lambda b: (0.5 * b @ k @ b - kappa @ b, k @ b - kappa), start, jac=True,
                         method="SLSQP", bounds=[(0, 10)] * n,
                         constraints=[{"type": "ineq", "fun": lambda b: b.sum() - n + slack},
                                      {"type": "ineq", "fun": lambda b: n + slack - b.sum()}],
                         options={"maxiter": 10_000, "ftol": 1e-15})
        if best is None or found.fun < best.fun:
            best = found
    return {"options": {"box": 10}, "objective": best.fun}


def kliep(s, y, t):
    width = 0.5
    source, target = rbf(s, t, s, t, width), rbf(t, t, s, t, width)
    source, target = source / source.mean(0), target / source.mean(0)
    beta = np.full(len(t), 1 / len(t))
    # Expectation maximisation; its fixed point is the best mixture.
    for _ in range(200_000):
        beta = beta * (target / (target @ beta)[:, None]).mean(0)
    weights = source @ beta
    return {"options": {"bandwidth": width}, "weights": weights,
            "probabilities": head(s, one_hot(y), weights)(t)}


def costs(s, t):
    m = cdist(s, t, "sqeuclidean")
    return m / m.mean()


def sinkhorn(m, epsilon):
    n, k = m.shape
    return ot.sinkhorn(np.full(n, 1 / n), np.full(k, 1 / k), m, epsilon, method="sinkhorn_log",
                       numItermax=100_000, stopThr=1e-13)


def by_class(s, y, t, epsilon, weight):
    """`ot.da.sinkhorn_lpl1_mm` with masses as shares of the column."""
    m = costs(s, t)
    extra = np.zeros_like(m)
    for _ in range(10):
        plan = sinkhorn(m + extra, epsilon)
        masses = one_hot(y).T @ plan * len(t)
        extra = weight * 0.5 / np.sqrt(masses + 1e-3)[y]
    return plan


def transported(s, y, t, epsilon, weight):
    plan = by_class(s, y, t, epsilon, weight)
    return plan @ t / plan.sum(1, keepdims=True)


def entropic(s, y, t):
    moved = transported(s, y, t, 0.1, 0)
    theirs = ot.da.SinkhornTransport(reg_e=0.1 * cdist(s, t, "sqeuclidean").mean(), max_iter=100_000, tol=1e-13)
    assert np.allclose(theirs.fit(Xs=s, Xt=t).transform(Xs=s), moved, atol=1e-6)
    return {"options": {"class": 0, "epsilon": 0.1}, "source": moved,
            "probabilities": head(moved, one_hot(y))(t)}


def with_classes(s, y, t):
    moved = transported(s, y, t, 0.2, 0.05)
    return {"options": {"class": 0.05, "epsilon": 0.2}, "source": moved,
            "probabilities": head(moved, one_hot(y))(t)}


def ot_labels(s, y, t):
    plan = by_class(s, y, t, 0.1, 0)
    shares = (one_hot(y).T @ plan / plan.sum(0)).T
    theirs = ot.da.SinkhornTransport(reg_e=0.1 * cdist(s, t, "sqeuclidean").mean(), max_iter=100_000, tol=1e-13)
    assert np.allclose(theirs.fit(Xs=s, ys=y, Xt=t).transform_labels(ys=y), shares, atol=1e-6)
    return {"options": {"class": 0, "epsilon": 0.1}, "probabilities": head(t, shares)(t)}


def jdot(s, y, t):
    alpha, epsilon, before = 2.0, 0.1, None
    f = head(s, one_hot(y))
    for _ in range(10):
        losses = -np.log(np.maximum(f(t), np.exp(-10))) / alpha
        plan = sinkhorn(costs(s, t) + losses.T[y], epsilon)
        shares = (one_hot(y).T @ plan / plan.sum(0)).T
        f = head(t, shares)
        if before is not None and np.abs(shares - before).max() < 1e-3:
            break
        before = shares
    return {"options": {"alpha": alpha, "epsilon": epsilon}, "probabilities": f(t)}


def by_domain(s, view):
    """Rows take turns in being of the first and of the second domain."""
    moved = np.empty_like(s)
    for first in (0, 1):
        moved[first::2] = view(s[first::2])
    return moved


def domain_coral(s, y, t):
    one = lambda x: (x - x.mean(0)) @ root(covariance(x, 0.1), -0.5) @ root(covariance(t, 0.1)) + t.mean(0)
    moved = by_domain(s, one)
    return {"options": {"shrinkage": 0.1}, "source": moved, "probabilities": head(moved, one_hot(y))(t)}


def domain_scale(s, y, t):
    wide = lambda x: np.sqrt(x.var(0) + 0.1 * x.var(0).mean())
    moved = by_domain(s, lambda x: (x - x.mean(0)) * wide(t) / wide(x) + t.mean(0))
    return {"options": {"damping": 0.1}, "source": moved, "probabilities": head(moved, one_hot(y))(t)}


def domain_weights(s, y, t):
    parts = [s[0::2], s[1::2]]
    to_target = np.array([cdist(x, t).mean() for x in parts])
    between = np.array([[cdist(a, b).mean() for b in parts] for a in parts])
    value = lambda w: 2 * to_target @ w - w @ between @ w
    found = minimize(value, np.full(2, 0.5), bounds=[(0, 1)] * 2, tol=1e-14,
                     constraints={"type": "eq", "fun": lambda w: w.sum() - 1}).x
    weights = np.empty(len(s))
    for first in (0, 1):
        weights[first::2] = found[first] / len(parts[first])
    return {"options": {}, "weights": weights * len(s), "probabilities": head(s, one_hot(y), weights)(t)}


def source_only(s, y, t):
    return {"options": {}, "probabilities": head(s, one_hot(y))(t)}


METHODS = [("coral", coral), ("domain-coral", domain_coral), ("domain-scale", domain_scale),
           ("domain-weights", domain_weights), ("gfk", gfk), ("jda", jda), ("jdot", jdot), ("kliep", kliep), ("kmm", kmm),
           ("linear-ot", linear_ot), ("ot", entropic), ("ot", with_classes), ("ot-labels", ot_labels),
           ("sa", sa), ("source-only", source_only), ("tca", tca)]


def main():
    rng = np.random.default_rng(0)
    cases = []
    for n, m, d, shift in [(36, 30, 5, 0.4), (28, 40, 6, 0.8)]:
        y, truth = rng.integers(0, CLASSES, n), rng.integers(0, CLASSES, m)
        centres = rng.normal(size=(CLASSES, d)) * 1.5
        spread = np.linspace(0.6, 1.6, d)
        s = (centres[y] + rng.normal(size=(n, d))) * spread
        t = (centres[truth] + rng.normal(size=(m, d))) * spread[::-1] + shift
        s, t = (x.astype(np.float32).astype(np.float64) for x in (s, t))
        assert len(np.unique(y)) == CLASSES
        plain = lambda v: np.asarray(v).ravel().tolist() if np.ndim(v) else v
        methods = []
        for name, method in METHODS:
            methods.append({"name": name} | {key: plain(v) for key, v in method(s, y, t).items()})
        cases.append({"d": d, "source": plain(s), "labels": y.tolist(), "target": plain(t),
                      "methods": methods})
    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__,
                "POT": ot.__version__, "skada": skada.__version__}
    text = json.dumps({"versions": versions, "lambda": LAMBDA, "classes": CLASSES, "cases": cases})
    (HERE / "adapters.json").write_text(text + "\n")


main()
