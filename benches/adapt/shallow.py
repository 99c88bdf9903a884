"""Shallow adaptation side by side with skada (and POT below it): the same features, the same strength of the head.

    cargo build --release -p offshoot-stats --example adapter_speed
    python benches/adapt/shallow.py [--n 2500] [--d 256] [--rounds 1] [--timeout 300] [--methods coral,tca]

Needs numpy, scikit-learn, POT and skada. `--n` rows a side are drawn: ten classes, rectified features of
uneven scale; the target's are mixed and scaled otherwise. Each side has two threads, each method a process
of its own and each its own defaults, both time what a user waits for: the fit of method and head, and the
answers on the target. skada's kernels have the width of ours where it takes one; its head is
scikit-learn's logistic regression on standardised features with the same λ.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "2")
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAMBDA, CLASSES = 0.01, 10

# Ours, and what skada calls it.
PEERS = {
    "source-only": "source-only", "coral": "CORAL", "linear-ot": "LinearOTMapping", "sa": "SubspaceAlignment",
    "discriminator": "DiscriminatorReweight", "kliep": "KLIEPReweight", "kmm": "KMMReweight",
    "ot": "ClassRegularizerOTMapping", "ot-labels": "OTLabelProp", "jdot": "JDOTClassifier",
    "tca": "TransferComponentAnalysis", "gfk": None, "jda": None, "label-shift": None,
}


def drawn(n, d):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(64, d)) / 8
    centres = 0.45 * rng.normal(size=(CLASSES, 64))
    scale = rng.lognormal(0, 0.7, d)

    def side(mixing, scale, offset):
        y = rng.integers(0, CLASSES, n)
        hidden = rng.normal(size=(n, 64)) + centres[y]
        x = np.maximum(hidden @ mixing + 0.3 * rng.normal(size=(n, d)) + offset, 0)
        return (x * scale).astype(np.float32), y

    source = side(mixing, scale, 0.0)
    moved = mixing + 0.5 * rng.normal(size=mixing.shape) / 8
    return source, side(moved, scale * rng.lognormal(0, 0.3, d), 0.3)


def theirs(name, folder):
    """One method of skada, in this process: prints its seconds and accuracy."""
    warnings.filterwarnings("ignore")
    import skada
    from scipy.spatial.distance import pdist
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = np.load(f"{folder}/pair.npz")
    s, y, t, truth = (data[key] for key in ("s", "y", "t", "truth"))
    s, t = s.astype(np.float64), t.astype(np.float64)
    n = len(s)
    gamma = 0.5 / np.median(pdist(np.vstack([s[:500], t[:500]]))) ** 2
    head = LogisticRegression(C=1 / (n * LAMBDA), max_iter=1000)
    x, domain = np.vstack([s, t]), np.r_[np.ones(n), -np.ones(len(t))]
    hidden = np.r_[y, np.full(len(t), -1)]
    begun = time.perf_counter()
    if name == "source-only":
        answers = make_pipeline(StandardScaler(), head).fit(s, y).predict(t)
    else:
        weighs = name.endswith("Reweight")
        if weighs:
            head = head.set_fit_request(sample_weight=True)
        if name == "JDOTClassifier":
            model = skada.JDOTClassifier(head, metric="multinomial")
        elif name == "KLIEPReweight":
            model = skada.KLIEPReweight(head, gamma=[gamma * k for k in (11.1, 4, 1.56, 0.64, 0.25)])
        elif name == "KMMReweight":
            model = skada.KMMReweight(head, gamma=gamma, B=10)
        elif weighs or name == "TransferComponentAnalysis":
            more = {"n_components": 50} if not weighs else {}
            model = getattr(skada, name)(head, **more)
        else:
            model = getattr(skada, name)(head)
        model.fit(x, hidden, sample_domain=domain)
        answers = model.predict(t, sample_domain=-np.ones(len(t)))
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "accuracy": float((answers == truth).mean())}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2500)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--methods", default=",".join(PEERS))
    parser.add_argument("--ours", default=ROOT / "target/release/examples/adapter_speed")
    parser.add_argument("--theirs", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.theirs:
        return theirs(*args.theirs)
    import ot
    import skada
    print(f"skada {skada.__version__}, POT {ot.__version__}: {args.n} + {args.n} × {args.d}, "
          f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        (s, y), (t, truth) = drawn(args.n, args.d)
        np.savez(f"{folder}/pair.npz", s=s, y=y, t=t, truth=truth)
        for name, x in [("s", s), ("t", t)]:
            x.astype("<f4").tofile(f"{folder}/{name}")
        for name, x in [("y", y), ("truth", truth)]:
            x.astype("<u4").tofile(f"{folder}/{name}")
        ours = [args.ours, *(f"{folder}/{name}" for name in ("s", "y", "t", "truth")), args.d, CLASSES, LAMBDA]
        print("| method | Offshoot | accuracy | skada | accuracy | ratio |\n|---|---|---|---|---|---|")
        for method in args.methods.split(","):
            own, peer, accuracy, other = [], [], None, None
            for _ in range(args.rounds):
                shown = subprocess.run([str(c) for c in ours] + [method], check=True, capture_output=True,
                                       text=True, env=os.environ | {"RAYON_NUM_THREADS": "2"}).stdout
                words = shown.split()
                if words[1] == "refused:":
                    accuracy = None
                else:
                    own.append(float(words[1]))
                    accuracy = float(words[4])
                if PEERS[method]:
                    command = [sys.executable, __file__, "--theirs", PEERS[method], folder]
                    try:
                        run = subprocess.run(command, capture_output=True, text=True, timeout=args.timeout)
                        if run.returncode == 0:
                            result = json.loads(run.stdout.splitlines()[-1])
                            peer.append(result["seconds"])
                            other = result["accuracy"]
                        else:
                            other = "failed: " + run.stderr.strip().splitlines()[-1][:80]
                            break
                    except subprocess.TimeoutExpired:
                        other = f"not done in {args.timeout:.0f} s"
                        break
            left = f"{statistics.median(own):.2f} s | {100 * accuracy:.1f} %" if own else "refused | –"
            right = f"{statistics.median(peer):.2f} s | {100 * other:.1f} %" if peer else f"– | {other or 'no peer'}"
            ratio = f"{statistics.median(own) / statistics.median(peer):.2f}" if own and peer else "–"
            print(f"| {method} | {left} | {right} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
