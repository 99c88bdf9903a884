"""Regularisers with few labels: does each beat plain fine-tuning?

    python benches/finetune/regularizers.py --work DIR --mnist DIR [--data mnist] [--labels 10] [--seeds 0-4] \
        [--method full] [--arms l2-sp,mixup] [--show]

Data, draws and flags are those of `few_labels.py`. Every arm is plain fine-tuning (`--method`) with one thing more,
at its usual strength, on the same pictures with the same seed; printed are its accuracy and the mean of the paired
differences to plain fine-tuning with its 95 % interval over seeds (Student's t), in points. Nothing is trained a
second time on train and validation, on either side, which halves the work. Finished runs are lines of
DIR/regularizers.jsonl and are not run again.
"""

import argparse

import few_labels
import ours

# `--regularize` where nothing else is said.
ARMS = {
    "l2-sp": "--regularize l2-sp",
    "delta": "--regularize delta",
    "bss": "--regularize bss",
    "mixup": "--regularize mixup",
    "cutmix": "--regularize cutmix",
    "label smoothing 0.1": "--label-smoothing 0.1",
    "dropout 0.2": "--dropout 0.2",
    "stochastic depth 0.1": "--drop-path 0.1",
    "ema": "--average ema",
    "swa": "--average swa",
    "soup": "--average soup",
    "pad-crop": "--augment pad-crop",
    "rand-augment": "--augment rand-augment",
    "augmentation light": "--augment light",
    "augmentation standard": "--augment standard",
}
PLAIN = "plain"


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--labels", type=int, default=10)
    parse.add_argument("--method", default="full")
    args = few_labels.arguments(parse, ",".join(ARMS))
    args.flags += " --no-refit"
    book = ours.Book(args.work / "regularizers.jsonl")
    arms = {PLAIN: "", **{name: ARMS[name] for name in args.arms.split(",")}}
    for name in args.data.split(","):
        found = {arm: {} for arm in arms}
        for seed in args.seeds:
            for arm, flags in arms.items():
                line = few_labels.run(args, book, name, args.labels, seed, args.method, flags)
                if line:
                    found[arm][seed] = line
        for arm, lines in found.items():
            if lines:
                show(name, args, arm, lines, found[PLAIN])


def show(name, args, arm, lines, plain):
    mean, half = ours.interval([100 * line["accuracy"] for line in lines.values()])
    text = f"{name:8} {args.labels:4} a class  {args.method} {arm:22} {mean:5.1f} ± {half:4.1f} %  n={len(lines)}"
    both = [100 * (line["accuracy"] - plain[seed]["accuracy"]) for seed, line in lines.items() if seed in plain]
    if arm != PLAIN and both:
        mean, half = ours.interval(both)
        better = sum(difference > 0 for difference in both)
        text += f"  against plain {mean:+5.1f} ± {half:4.1f}, better {better} of {len(both)}"
        text += "  *" if mean - half > 0 else ""
    print(text, flush=True)


if __name__ == "__main__":
    main()
