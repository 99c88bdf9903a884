"""Writes reinforcement.json: figures of transfer between learning curves, and exact bootstrap distributions.

    python crates/stats/tests/reference/reinforcement.py

Needs numpy and scipy (the JSON names their versions). Resamples are listed, not drawn: six paired seeds have
6^6, four against four unpaired ones 4^4 * 4^4, so quantiles have no Monte Carlo error here. Times are
shortest first by a search in a fine interpolation, not by the formula that is tested.
"""

import itertools
import json
import pathlib

import numpy as np
import scipy
from scipy.stats import norm, t as student

HERE = pathlib.Path(__file__).parent


def time_to(steps, seed, threshold):
    fine = np.linspace(steps[0], steps[-1], 2_000_001)
    reached = np.interp(fine, steps, seed) >= threshold - 1e-12
    return float(fine[reached.argmax()]) if reached.any() else np.inf


def seed_figures(steps, seed, threshold, source):
    span = steps[-1] - steps[0]
    waited = min(source, span)
    grid = np.unique(np.concatenate([steps, [steps[-1] - waited]]))
    grid = grid[grid <= steps[-1] - waited]
    late = np.trapezoid(np.interp(grid, steps, seed), grid) / span if len(grid) > 1 else 0.0
    last = int(np.ceil(len(seed) / 10))
    return [
        seed[0], np.mean(seed[-last:]), np.trapezoid(seed, steps) / span, late, time_to(steps, seed, threshold),
    ]


def figures(a, b, floor, waited, source, horizon):
    """a, b: [..., seeds, 5] of transfer and scratch."""
    means = a[..., :4].mean(-2), b[..., :4].mean(-2)
    first, last, mean, late = np.moveaxis(means[0], -1, 0)
    first_0, last_0, mean_0, _ = np.moveaxis(means[1], -1, 0)
    with np.errstate(invalid="ignore"):
        time, time_0 = np.median(a[..., 4], -1), np.median(b[..., 4], -1)
    # numpy's median of inf and inf is nan.
    time, time_0 = (np.where(np.isnan(t), np.inf, t) for t in (time, time_0))

    def ratio(time):
        with np.errstate(invalid="ignore", divide="ignore"):
            known = np.where(np.isinf(time_0), time / horizon, time / time_0)
        return np.where(np.isinf(time) & np.isinf(time_0), np.nan, known)

    with_source = waited * first_0 + late - mean_0
    return {
        "jumpstart": first - first_0, "asymptotic": last - last_0, "total_reward": mean - mean_0,
        "transfer_ratio": (mean - mean_0) / (mean_0 - floor), "total_reward_with_source": with_source,
        "transfer_ratio_with_source": with_source / (mean_0 - floor),
        "time_ratio": ratio(time), "time_ratio_with_source": ratio(time + source),
    }


def case(rng, name, seeds, paired, offset, threshold, source):
    steps = np.concatenate([[0.0], np.cumsum(rng.uniform(50, 150, 11))])
    def learn(speed, start):
        rise = 1 - np.exp(-speed * steps / steps[-1])
        return np.array([offset + start * rng.uniform(0.5, 1.5) + 100 * rng.uniform(0.6, 1.0) * rise
                         + rng.normal(0, 4, len(steps)) for _ in range(seeds)])
    transfer, scratch = learn(6, 20), learn(3, 2)
    floor = min(0.0, transfer.min(), scratch.min())
    one = [np.array([seed_figures(steps, s, threshold, source) for s in side]) for side in (transfer, scratch)]
    span = steps[-1] - steps[0]
    arguments = (floor, min(source, span) / span, source, steps[-1])
    value = figures(one[0], one[1], *arguments)
    draws = np.array(list(itertools.product(range(seeds), repeat=seeds)))
    if paired:
        samples = figures(one[0][draws], one[1][draws], *arguments)
    else:
        n = len(draws)
        left, right = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
        samples = figures(one[0][draws[left]], one[1][draws[right]], *arguments)
    tail = norm.cdf(-np.sqrt(seeds / (seeds - 1)) * student.ppf(0.975, seeds - 1))
    # Any quantile of 40,000 draws lies between these, five standard errors of a share away.
    error = 5 * np.sqrt(tail / 40_000)
    def quantiles(values, shares, unknown):
        values = np.where(np.isnan(values), unknown, values)
        return [float(q) if np.isfinite(q) else None
                for q in np.quantile(values, shares, method="inverted_cdf")]
    low, high = [max(tail - error, 0.0), tail + error], [1 - tail - error, min(1 - tail + error, 1.0)]
    return {
        "name": name, "paired": paired, "threshold": threshold, "source_steps": source, "floor": float(floor),
        "steps": steps.tolist(), "transfer": transfer.tolist(), "scratch": scratch.tolist(), "tail": float(tail),
        "times": [[t if np.isfinite(t) else None for t in side[:, 4].tolist()] for side in one],
        "quartiles": np.quantile(transfer, [0.25, 0.5, 0.75], axis=0).T.tolist(),
        "figures": {
            key: {
                "value": float(value[key]) if np.isfinite(value[key]) else None,
                "low": quantiles(samples[key], low, 0.0), "high": quantiles(samples[key], high, np.inf),
            }
            for key in value
        },
    }


def main():
    rng = np.random.default_rng(5)
    cases = [
        case(rng, "paired, positive returns", 6, True, 0.0, 70.0, 200.0),
        case(rng, "paired, negative returns", 6, True, -150.0, -75.0, 5000.0),
        case(rng, "unpaired", 4, False, -40.0, 30.0, 0.0),
        case(rng, "a threshold that few reach", 6, True, 0.0, 96.0, 100.0),
    ]
    versions = {"numpy": np.__version__, "scipy": scipy.__version__}
    text = json.dumps({"versions": versions, "cases": cases}, indent=1)
    (HERE / "reinforcement.json").write_text(text + "\n")
    for c in cases:
        print(c["name"], c["tail"], {k: (v["value"], v["low"], v["high"]) for k, v in c["figures"].items()})


if __name__ == "__main__":
    main()
