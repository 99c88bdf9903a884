"""Eight labels a class: ours beside the `setfit` package, same encoder, same texts, two threads each.

    python few_shot.py --offshoot target/release/offshoot --packages PACKAGES --model FOLDER --work DIR \\
        [--data movies,amazon,news4,r8] [--seeds 10] [--methods probe,auto] [--tests 1000] [--setfit]

PACKAGES holds what data.py names; FOLDER is the encoder in the form of sentence-transformers (that of
`offshoot models pull all-minilm-l6-v2`). `--setfit` also runs the package as its documentation does (one
epoch over oversampled pairs, batches of 16, learning rate 2e-5), in a process of its own: it needs torch,
transformers, sentence-transformers and setfit. A wall time is that of the whole process, from reading the
texts to the figures on the test texts. Results go to DIR/few_shot.json; what is there is not run again.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import data

PEER = """
import csv, json, sys, torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments
torch.set_num_threads(2)
path, folder, seed = sys.argv[1:]
rows = list(csv.DictReader(open(path, encoding="utf-8")))
names = sorted({row["label"] for row in rows})
def part(split):
    own = [row for row in rows if row["split"] == split]
    return Dataset.from_dict({"text": [r["text"] for r in own], "label": [names.index(r["label"]) for r in own]})
model = SetFitModel.from_pretrained(folder)
arguments = TrainingArguments(batch_size=16, num_epochs=1, seed=int(seed), report_to="none", save_strategy="no")
trainer = Trainer(model=model, args=arguments, train_dataset=part("train"))
trainer.train()
test = part("test")
found = [int(label) for label in model.predict(test["text"])]
print(json.dumps(sum(a == b for a, b in zip(found, test["label"])) / len(found)))
"""


def ours(args, path, method, seed):
    command = [args.offshoot, "train", str(path), "--model", args.model, "--method", method, "--seed", str(seed),
               "--threads", "2", "--runs-dir", str(args.work / "runs"), "--no-cache", "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)["accuracy"]


def peer(args, path, seed):
    done = subprocess.run([sys.executable, "-c", PEER, str(path), args.model, str(seed)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--offshoot", required=True)
    parse.add_argument("--packages", required=True)
    parse.add_argument("--model", required=True)
    parse.add_argument("--work", type=pathlib.Path, required=True)
    parse.add_argument("--data", default="movies,amazon,news4,r8")
    parse.add_argument("--seeds", type=int, default=10)
    parse.add_argument("--methods", default="probe,auto")
    parse.add_argument("--tests", type=int, default=1000)
    parse.add_argument("--setfit", action="store_true")
    args = parse.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    store = args.work / "few_shot.json"
    known = json.loads(store.read_text()) if store.exists() else {}
    methods = args.methods.split(",") + (["setfit package"] if args.setfit else [])
    for name, rows in data.tables(args.packages, args.data.split(",")).items():
        for seed in range(args.seeds):
            path = args.work / f"{name}-{seed}-{args.tests}.csv"
            train, tests = data.few(rows, 8, seed, args.tests)
            data.write(path, train + tests)
            # In turn, so that a busy machine is busy for all of them.
            for method in methods:
                key = f"{name} {seed} {args.tests} {method}"
                if key not in known:
                    start = time.time()
                    package = method == "setfit package"
                    accuracy = peer(args, path, seed) if package else ours(args, path, method, seed)
                    known[key] = [accuracy, time.time() - start]
                    store.write_text(json.dumps(known, indent=0))
        for method in methods:
            got = [known[f"{name} {seed} {args.tests} {method}"] for seed in range(args.seeds)]
            accuracies = [100 * accuracy for accuracy, _ in got]
            spread = statistics.stdev(accuracies) if len(got) > 1 else float("nan")
            seconds = statistics.median(seconds for _, seconds in got)
            print(f"{name:8} {method:15} {statistics.mean(accuracies):5.1f} ± {spread:4.1f} %  {seconds:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
