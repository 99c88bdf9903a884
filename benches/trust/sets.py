"""Coverage and mean size of prediction sets that promise 90 %, over many draws of labelled samples.

Pictures become features once (`offshoot extract`); then `prediction_sets` draws, fits, calibrates and counts:
every score, calibrated on validation samples or by folds. Needs numpy and pillow.

    cargo build --release -p offshoot-stats --example prediction_sets
    python benches/trust/sets.py --offshoot target/release/offshoot --work DIR --mnist DIR --emoji DIR
"""

import argparse
import csv
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
parser.add_argument("--example", default="target/release/examples/prediction_sets")
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("--mnist", type=Path, required=True)
parser.add_argument("--emoji", type=Path, required=True)
parser.add_argument("--model", default="efficientnet_lite0")
parser.add_argument("--size", default="64")
parser.add_argument("--draws", default="100")
options = parser.parse_args()


def features(name, rows):
    """Writes NAME.f32 and NAME.u32; returns the features' length and the number of classes."""
    table, archive = options.work / f"{name}.csv", options.work / f"{name}.npz"
    if not archive.exists():
        with open(table, "w") as file:
            csv.writer(file).writerows([("path", "label"), *((str(p), label) for p, label in rows)])
        subprocess.run(
            [options.offshoot, "extract", table, "--model", options.model, "--size", options.size, "-o", archive],
            check=True, env=dict(os.environ, OFFSHOOT_CACHE=str(options.work / "cache")),
        )
    held = np.load(archive)
    held["features"].astype("<f4").tofile(options.work / f"{name}.f32")
    held["labels"].astype("<u4").tofile(options.work / f"{name}.u32")
    return held["features"].shape[1], int(held["labels"].max()) + 1


options.work.mkdir(parents=True, exist_ok=True)
pool = options.work / "pool"
emoji, seen = [], set()
for path, label, group in data.emoji(options.emoji, pool):
    # Tones of one emoji are not exchangeable with other emoji: one of each is taken.
    if group not in seen:
        seen.add(group)
        emoji.append((path, label))
sets = {"mnist": data.pool("mnist", options.mnist, pool, "train", 4000), "emoji": emoji}
for name, labelled in [("mnist", 100), ("mnist", 1000), ("emoji", 100), ("emoji", 1000)]:
    d, classes = features(name, sets[name])
    files = [str(options.work / f"{name}.{kind}") for kind in ("f32", "u32")]
    numbers = [str(v) for v in (d, classes, labelled, 800, options.draws)]
    told = subprocess.run([options.example, *files, *numbers], check=True, capture_output=True, text=True).stdout
    print(f"\n{name}, {labelled} labels, {options.draws} draws\n{told}", flush=True)
