"""Who is told apart as unfamiliar, and at what rate of false alarms.

Trains on MNIST (probe, and tuned), asks about MNIST's test pictures, Fashion-MNIST, and emoji of another
vendor; prints AUROC of the distance, the share called unfamiliar, and coverage and size of the sets, mean
and standard error over seeds. Goes on where it was stopped. Needs numpy and pillow.

    python benches/trust/unfamiliar.py --offshoot target/release/offshoot --work DIR --mnist DIR --fashion DIR
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
parser.add_argument("--mnist", type=Path, required=True)
parser.add_argument("--fashion", type=Path, required=True)
parser.add_argument("--seeds", type=int, default=10)
parser.add_argument("--labels", type=int, nargs="*", default=[10, 100], help="a class, validation included")
parser.add_argument("--methods", nargs="*", default=["probe"])
parser.add_argument("--model", default="efficientnet_lite0")
parser.add_argument("--size", default="64")
options = parser.parse_args()
options.work.mkdir(parents=True, exist_ok=True)
pool = options.work / "pool"
digits = [(p, label, str(p)) for p, label in data.pool("mnist", options.mnist, pool, "train", 4000)]
clothes = [str(p) for p, _ in data.pool("fashion", options.fashion, pool, "test", 1000)]
environment = dict(os.environ, OFFSHOOT_CACHE=str(options.work / "cache"), OFFSHOOT_RUNS_DIR=str(options.work / "runs"))


def auroc(low, high):
    low = np.sort(low)
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return below.mean() / 2 / len(low)


def answers(run, paths):
    listed = options.work / "list.csv"
    with open(listed, "w") as file:
        csv.writer(file).writerows([("path",), *((path,) for path in paths)])
    said = subprocess.run(
        [options.offshoot, "predict", run, listed, "--json"], check=True, env=environment, capture_output=True, text=True
    ).stdout.splitlines()[:-1]
    return np.array([json.loads(line)["distance"] for line in said])


def measure(method, labels, seed):
    name = f"{method}-{labels}-{seed}"
    told = options.work / f"{name}.json"
    if told.exists():
        return json.loads(told.read_text())
    drawn, _ = data.draw(digits, {"train": labels, "test": 80}, seed)
    manifest = options.work / f"{name}.csv"
    with open(manifest, "w") as file:
        csv.writer(file).writerows([("path", "label", "split"), *((str(p), c, s) for p, c, s in drawn)])
    run = subprocess.run(
        [options.offshoot, "train", manifest, "--model", options.model, "--size", options.size, "--method", method,
         "--seed", str(seed), "--name", name, "--json"],
        check=True, env=environment, capture_output=True, text=True,
    )
    report = json.loads(run.stdout)
    with open(options.work / "runs" / name / "eval/predictions.csv") as file:
        near = np.array([float(row["distance"]) for row in csv.DictReader(file)])
    far = answers(name, clothes)
    out = {
        "accuracy": report["accuracy"], "ece": report["ece"],
        "coverage": report["sets"]["coverage"], "size": report["sets"]["mean_size"],
        "false alarms": report["alarms"]["share"], "promised": report["alarms"]["promised"],
        "Fashion AUROC": auroc(near, far), "Fashion flagged": float((far > 1).mean()),
        "detectors": " + ".join(report["alarms"]["detectors"]), "held_out": report["sets"]["held_out"],
    }
    told.write_text(json.dumps(out))
    return out


for method in options.methods:
    for labels in options.labels:
        lines = [measure(method, labels, seed) for seed in range(options.seeds)]
        print(f"\nMNIST, {method}, {labels} labels a class, {options.seeds} seeds")
        for key in lines[0]:
            values = [line[key] for line in lines]
            if isinstance(values[0], str):
                print(f"  {key}: {', '.join(f'{v} {values.count(v)}' for v in sorted(set(values)))}")
            else:
                error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
                print(f"  {key}: {np.mean(values):.4f} ± {error:.4f}")
