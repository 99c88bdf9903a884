"""Eight labels a class: ours beside the `setfit` package, same encoder, same texts, two threads each.

    python few_shot.py --offshoot target/release/offshoot --packages PACKAGES --model FOLDER --work DIR \\
        [--data movies,amazon,news4,r8] [--seeds 10] [--first 0] [--methods probe,auto] [--tests 1000] [--setfit 10]
        [--threads 2] [--trim]

PACKAGES holds what data.py names; FOLDER is the encoder in the form of sentence-transformers (that of
`offshoot models pull all-minilm-l6-v2`). `--setfit N` also runs the package on the first N seeds, as its
documentation does (one epoch over oversampled pairs, batches of 16, learning rate 2e-5), in a process of its
own: it needs torch, transformers, sentence-transformers and setfit. With `--trim` its encoder gets two texts of
like length at a time in place of sixteen that are padded to the longest, which computes the same and takes half the
time where lengths differ; that is recorded as another method, whose accuracy counts and whose time is not the
package's. PyTorch's autocast to bf16 is not offered: cosines of pairs are rounded too, and on R8 the package lost 13
points by it (seed 6: 77.8 % in place of 90.9 %). `--threads 1` lets two of these scripts with seeds of their own stand side by side. A wall time is that of the
whole process, from reading the texts to the figures on the test texts.

Every finished run is one line of DIR/few_shot.jsonl, with the load of the machine before it; what is there is
not run again, so the script may be stopped at any time; copy few_shot.jsonl from beside this script to go on
from what was run already. Accuracies do not depend on the load, times do.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import data

PACKAGE = "setfit package"
PEER = """
import csv, json, sys, torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments
path, folder, seed, threads, trim = sys.argv[1:]
torch.set_num_threads(int(threads))
rows = list(csv.DictReader(open(path, encoding="utf-8")))
names = sorted({row["label"] for row in rows})
def part(split):
    own = [row for row in rows if row["split"] == split]
    return Dataset.from_dict({"text": [r["text"] for r in own], "label": [names.index(r["label"]) for r in own]})
model = SetFitModel.from_pretrained(folder)
encoder = model.model_body[0].auto_model
whole = encoder.forward
def trimmed(input_ids, attention_mask, **rest):
    # Hidden states behind a text's end are never pooled, so zeros stand there.
    lengths = attention_mask.sum(1)
    order = torch.argsort(lengths)
    groups = []
    for group in order.split(2):
        longest = int(lengths[group].max())
        own = {name: value[group, :longest] if torch.is_tensor(value) and value.shape == input_ids.shape else value
               for name, value in rest.items()}
        out = whole(input_ids=input_ids[group, :longest], attention_mask=attention_mask[group, :longest], **own)
        groups.append(torch.nn.functional.pad(out.last_hidden_state, (0, 0, 0, input_ids.shape[1] - longest)))
    out.last_hidden_state = torch.cat(groups)[torch.argsort(order)]
    return out
if trim == "True":
    encoder.forward = trimmed
arguments = TrainingArguments(batch_size=16, num_epochs=1, seed=int(seed), report_to="none", save_strategy="no")
trainer = Trainer(model=model, args=arguments, train_dataset=part("train"))
trainer.train()
test = part("test")
found = [int(label) for label in model.predict(test["text"])]
print(json.dumps(sum(a == b for a, b in zip(found, test["label"])) / len(found)))
"""


def ours(args, path, method, seed):
    command = [args.offshoot, "train", str(path), "--model", args.model, "--method", method, "--seed", str(seed),
               "--threads", str(args.threads), "--runs-dir", str(args.work / "runs"), "--no-cache", "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)["accuracy"]


def peer(args, path, seed):
    command = [sys.executable, "-c", PEER, str(path), args.model]
    command += [str(part) for part in (seed, args.threads, args.trim)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parse = data.arguments(__doc__)
    parse.add_argument("--data", default="movies,amazon,news4,r8")
    parse.add_argument("--seeds", type=int, default=10)
    parse.add_argument("--methods", default="probe,auto")
    parse.add_argument("--tests", type=int, default=1000)
    parse.add_argument("--first", type=int, default=0, metavar="SEED")
    parse.add_argument("--setfit", type=int, default=0, metavar="SEEDS")
    parse.add_argument("--threads", type=int, default=2)
    parse.add_argument("--trim", action="store_true")
    args = parse.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    results = Results(args.work / "few_shot.jsonl")
    tables = data.tables(args.packages, args.data.split(","))
    # Seed by seed, so that a run that is stopped has some of everything.
    package = PACKAGE + ", trimmed" * args.trim
    for seed in range(args.first, args.seeds):
        for name, rows in tables.items():
            path = args.work / f"{name}-{seed}-{args.tests}.csv"
            train, tests = data.few(rows, 8, seed, args.tests)
            data.write(path, train + tests)
            # In turn, so that a busy machine is busy for all of them.
            for method in args.methods.split(",") + [package] * (seed < args.setfit):
                if results.get(name, seed, args.tests, method):
                    continue
                load, start = os.getloadavg()[0], time.time()
                accuracy = peer(args, path, seed) if method == package else ours(args, path, method, seed)
                results.add(data=name, seed=seed, tests=args.tests, method=method, accuracy=accuracy,
                            seconds=time.time() - start, load=load)
    for name in tables:
        for method in args.methods.split(",") + [package] * (args.setfit > args.first):
            show(results, args, name, method)


class Results:
    """Finished runs, a line each."""

    def __init__(self, path):
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.runs = [json.loads(line) for line in lines]

    def get(self, name, seed, tests, method):
        wanted = {"data": name, "seed": seed, "tests": tests, "method": method}
        return next((run for run in self.runs if wanted.items() <= run.items()), None)

    def add(self, **run):
        self.runs.append(run)
        with open(self.path, "a") as file:
            file.write(json.dumps(run) + "\n")


def show(results, args, name, method):
    """Mean and deviation over seeds; beside them those of `auto` on the same seeds."""
    own = method in args.methods.split(",")
    seeds = range(args.first, args.seeds if own else min(args.seeds, args.setfit))
    got = [results.get(name, seed, args.tests, method) for seed in seeds]
    line = f"{name:8} {method:15} {spread([run['accuracy'] for run in got])}"
    line += f"  {statistics.median(run['seconds'] for run in got):7.1f} s at load {statistics.median(run['load'] for run in got):.1f}"
    auto = [results.get(name, seed, args.tests, "auto") for seed in seeds]
    if method != "auto" and all(auto):
        gains = [ours["accuracy"] - run["accuracy"] for ours, run in zip(auto, got)]
        ratio = statistics.median(ours["seconds"] / run["seconds"] for ours, run in zip(auto, got))
        line += f"  auto: {spread(gains)} more, {ratio:.3f} of its time"
    print(line, flush=True)


def spread(shares):
    deviation = statistics.stdev(shares) if len(shares) > 1 else float("nan")
    return f"{100 * statistics.mean(shares):5.1f} ± {100 * deviation:4.1f} %"


if __name__ == "__main__":
    main()
