"""Logistic regression side by side with scikit-learn: 10,000 × 1280 features, 10 classes.

    cargo build --release -p offshoot-stats --example logistic_speed
    python benches/heads/logistic.py [--rounds 3] [--features features.npz]

Both minimise the same objective to the same gradient (1e-6) on two threads, in alternation. Without
--features (an npz of `offshoot extract`), features are drawn to look like pooled ReLU activations:
non-negative, correlated, of uneven scale. scikit-learn gets them as float64, in which it solves; its
conversion is not timed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "2")
import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

ROOT = pathlib.Path(__file__).resolve().parents[2]


def drawn(n, d, classes):
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    mixing = rng.normal(size=(64, d)) / 8
    hidden = rng.normal(size=(n, 64)) + 0.6 * rng.normal(size=(classes, 64))[y]
    x = np.maximum(hidden @ mixing + 0.3 * rng.normal(size=(n, d)), 0)
    return (x * rng.lognormal(0, 0.7, d)).astype(np.float32), y


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--features", type=pathlib.Path)
    parser.add_argument("--lambdas", default="0.1,0.001")
    parser.add_argument("--ours", default=ROOT / "target/release/examples/logistic_speed")
    args = parser.parse_args()
    if args.features:
        data = np.load(args.features)
        x, y = data["features"], data["labels"]
    else:
        x, y = drawn(10_000, 1280, 10)
    classes = int(y.max()) + 1
    x64 = x.astype(np.float64)
    print(f"scikit-learn {sklearn.__version__}, {x.shape[0]} × {x.shape[1]}, {classes} classes, 2 threads")
    with tempfile.TemporaryDirectory() as folder:
        x.astype("<f4").tofile(f"{folder}/x")
        y.astype("<u4").tofile(f"{folder}/y")
        for lam in map(float, args.lambdas.split(",")):
            ours, peers = [], []
            for _ in range(args.rounds):
                command = [args.ours, f"{folder}/x", f"{folder}/y", x.shape[1], classes, lam, 2]
                shown = subprocess.run([str(c) for c in command], check=True, capture_output=True)
                result = json.loads(shown.stdout)
                ours.append(result["seconds"])
                # The solver's own test is on the gradient of C·Σ CE + ½‖w‖², scaled by 1/(n·C).
                model = LogisticRegression(C=1 / (len(y) * lam), tol=1e-6, max_iter=100_000)
                start = time.perf_counter()
                model.fit(x64, y)
                peers.append(time.perf_counter() - start)
            loss = log_loss(y, model.predict_proba(x64))
            a, b = statistics.median(ours), statistics.median(peers)
            print(f"λ = {lam:g}: offshoot {a:.2f} s ({result['iterations']} iterations, log-loss "
                  f"{result['log_loss']:.8f}), scikit-learn {b:.2f} s ({model.n_iter_.max()} iterations, "
                  f"log-loss {loss:.8f}), ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
