"""A third of an encoder learns from the whole: with labels alone, and with a teacher's answers.

    pip download --no-deps --no-binary :all: -d PACKAGES vaderSentiment==3.3.2     # MIT: sentiment
    python benches/texts/distil.py --offshoot target/release/offshoot --packages PACKAGES \\
        --model FOLDER --work DIR [--seeds 3]

Sentences of film reviews: 1,200 with labels, 4,000 to judge by, 4,000 without labels. The teacher is the whole
encoder, tuned on the labelled ones (LP-FT); the student is its first two layers. Printed are test accuracies,
log-losses and seconds of each seed. Finished runs are kept in DIR and not repeated.
"""

import argparse
import csv
import json
import os
import pathlib
import random
import subprocess

import data


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--offshoot", required=True, type=pathlib.Path)
    parser.add_argument("--packages", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows = data.tables(args.packages, ["movies"])["movies"]
    random.Random(5).shuffle(rows)
    with open(args.work / "labelled.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "label", "split"])
        for number, (text, label, _) in enumerate(rows[:5200]):
            table.writerow([text, label, "train" if number < 1200 else "test"])
    with open(args.work / "unlabelled.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text"])
        table.writerows([text] for text, _, _ in rows[5200:9200])

    def train(name, *more):
        kept = args.work / f"{name}.json"
        if not kept.exists():
            command = [args.offshoot.resolve(), "train", "labelled.csv", "--model", args.model, "--json"]
            env = os.environ | {"OFFSHOOT_CACHE": str(args.work.resolve() / "cache")}
            done = subprocess.run([*command, "--name", name, *more], cwd=args.work, env=env, stdout=subprocess.PIPE)
            done.check_returncode()
            kept.write_bytes(done.stdout)
        report = json.loads(kept.read_text())
        low, high = report["accuracy_ci"]
        print(
            f"{name:<12} {report['accuracy']:.2%} ({low:.1%} to {high:.1%})  log-loss {report['log_loss']:.3f}"
            f"  {report['seconds']:.0f} s"
        )

    train("teacher", "--method", "lp-ft", "--epochs", "4")
    for seed in range(args.seeds):
        student = ["--layer", "2", "--method", "full", "--seed", str(seed)]
        teacher = ["--distill-from", "teacher"]
        # As many updates or more for the student that has labels alone.
        train(f"labels-{seed}", *student, "--epochs", "16")
        train(f"answers-{seed}", *student, *teacher, "--epochs", "16")
        train(f"more-{seed}", *student, *teacher, "--distill-data", "unlabelled.csv", "--epochs", "4")


if __name__ == "__main__":
    main()
