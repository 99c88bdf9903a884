"""All of 20 Newsgroups: probe and fine-tuning, beside a loop with transformers; same encoder, same texts, two threads.

    python full_data.py --offshoot target/release/offshoot --packages PACKAGES --model FOLDER --work DIR \\
        [--tokens 128] [--epochs 1] [--loop-epochs E] [--loop-bf16] [--lr 5e-5] [--batch 32] [--rounds 1] \\
        [--sides probe,lp-ft,scikit,transformers]

PACKAGES holds what data.py names; FOLDER is the encoder in the form of sentence-transformers (that of
`offshoot models pull all-minilm-l6-v2`), of which DIR gets a copy that reads `--tokens` of a text.

`transformers` is the loop of its course: AutoModelForSequenceClassification, AdamW with the same rate for
everything and linear decay after a tenth of warm-up, batches padded to their longest text. `scikit` encodes with
sentence-transformers and fits scikit-learn's LogisticRegression. Each side is a process of its own, from reading
the texts to the accuracy on the test split, and the time is its whole wall time; so is ours, with data doctor,
baselines, report and run folder. Sides run in turn, round after round. Beside it stands the processor time, which
other work on the machine changes little. `--loop-epochs` gives the loop another number of epochs than ours, as its
head begins at random; what it reached after each is told, and judging it is left out of its wall time (not of its
processor time). `--loop-bf16` lets it round with PyTorch's autocast. Needs torch, transformers,
sentence-transformers and scikit-learn for the peers.

Also printed is the peak of resident memory while all texts, training and test, are embedded (`offshoot extract`).
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

import data

LOOP = """
import csv, json, sys, time, torch
begun = time.time()
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup
torch.set_num_threads(2)
torch.manual_seed(0)
path, folder, tokens, epochs, lr, batch, bf16 = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
csv.field_size_limit(1 << 24)
rows = list(csv.DictReader(open(path, encoding="utf-8")))
names = sorted({row["label"] for row in rows})
train, test = ([row for row in rows if row["split"] == split] for split in ("train", "test"))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(names))
def batches(rows, order):
    for first in range(0, len(rows), int(batch)):
        own = [rows[i] for i in order[first:first + int(batch)]]
        read = tokenizer([r["text"] for r in own], truncation=True, max_length=int(tokens), padding=True, return_tensors="pt")
        yield read, torch.tensor([names.index(r["label"]) for r in own])
optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
steps = int(epochs) * -(-len(train) // int(batch))
schedule = get_linear_schedule_with_warmup(optimiser, steps // 10, steps)
# Sorted by length, so that little is padded.
by_length = sorted(range(len(test)), key=lambda i: len(test[i]["text"]))
rounded = lambda: torch.autocast("cpu", torch.bfloat16, enabled=bool(bf16))
def judged():
    model.eval()
    right = 0
    with torch.inference_mode(), rounded():
        for read, labels in batches(test, by_length):
            right += int((model(**read).logits.argmax(1) == labels).sum())
    return right / len(test)
aside = 0.0
for epoch in range(int(epochs)):
    model.train()
    for read, labels in batches(train, torch.randperm(len(train)).tolist()):
        with rounded():
            loss = model(**read, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step(); schedule.step(); optimiser.zero_grad()
    trained = time.time()
    accuracy = judged()
    print(f"  epoch {epoch + 1}: {100 * accuracy:.1f} % after {trained - begun - aside:.1f} s", file=sys.stderr, flush=True)
    if epoch + 1 < int(epochs):
        aside += time.time() - trained
print(json.dumps([accuracy, aside]))
"""

SCIKIT = """
import csv, json, sys, torch
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegressionCV
torch.set_num_threads(2)
csv.field_size_limit(1 << 24)
rows = list(csv.DictReader(open(sys.argv[1], encoding="utf-8")))
model = SentenceTransformer(sys.argv[2], device="cpu")
part = {}
for split in ("train", "test"):
    own = [row for row in rows if row["split"] == split]
    part[split] = model.encode([r["text"] for r in own], batch_size=32), [r["label"] for r in own]
head = LogisticRegressionCV(Cs=5, cv=5, max_iter=1000).fit(*part["train"])
print(json.dumps([head.score(*part["test"]), 0.0]))
"""


def ours(args, method):
    """Accuracy, and the seconds that are not its own (none)."""
    command = [args.offshoot, "train", str(args.table), "--model", str(args.encoder), "--method", method, "--threads", "2",
               "--runs-dir", str(args.work / "runs"), "--no-cache", "--json", "-q"]
    if method != "probe":
        command += ["--epochs", str(args.epochs), "--lr", str(args.lr), "--tune-batch", str(args.batch), "--val", "0.05"]
    return json.loads(output(command))["accuracy"], 0.0


def peer(args, code):
    """Accuracy, and the seconds in which epochs before the last were judged for our curiosity."""
    given = [args.table, args.encoder, args.tokens, args.loop_epochs or args.epochs, args.lr, args.batch, int(args.loop_bf16)]
    return json.loads(output([sys.executable, "-c", code, *map(str, given)]).splitlines()[-1])


def output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[:2])} failed")
    return done.stdout


def processor_seconds():
    """Of all processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shortened(args):
    """A copy of the encoder that reads so many tokens, and the table of texts."""
    folder = args.work / f"encoder-{args.tokens}"
    if not folder.exists():
        shutil.copytree(args.model, folder)
        place = folder / "sentence_bert_config.json"
        settings = json.loads(place.read_text()) if place.exists() else {}
        place.write_text(json.dumps({**settings, "max_seq_length": args.tokens}))
    table = args.work / "news20.csv"
    if not table.exists():
        data.write(table, data.tables(args.packages, ["news20"])["news20"])
    return folder, table


def main():
    parse = data.arguments(__doc__)
    parse.add_argument("--tokens", type=int, default=128)
    parse.add_argument("--epochs", type=int, default=1)
    parse.add_argument("--loop-epochs", type=int)
    parse.add_argument("--loop-bf16", action="store_true")
    parse.add_argument("--lr", type=float, default=5e-5)
    parse.add_argument("--batch", type=int, default=32)
    parse.add_argument("--rounds", type=int, default=1)
    parse.add_argument("--sides", default="probe,scikit,lp-ft,transformers")
    args = parse.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.encoder, args.table = shortened(args)
    found = {side: [] for side in args.sides.split(",")}
    for _ in range(args.rounds):
        for side, runs in found.items():
            load, start, used = os.getloadavg()[0], time.time(), processor_seconds()
            code = {"transformers": LOOP, "scikit": SCIKIT}.get(side)
            accuracy, aside = peer(args, code) if code else ours(args, side)
            runs.append((time.time() - start - aside, accuracy))
            used = processor_seconds() - used
            print(
                f"{side:13} {100 * accuracy:5.1f} %  {runs[-1][0]:7.1f} s at load {load:.1f}, {used:7.1f} s of processors",
                flush=True,
            )
    seconds = {side: statistics.median(run[0] for run in runs) for side, runs in found.items()}
    for side, other in (("probe", "scikit"), ("lp-ft", "transformers"), ("full", "transformers")):
        if side in seconds and other in seconds:
            apart = 100 * (statistics.median(a for _, a in found[side]) - statistics.median(a for _, a in found[other]))
            print(f"{side} / {other}: {seconds[side] / seconds[other]:.2f} of its time, {apart:+.1f} points")
    start = time.time()
    measured = "import resource,subprocess,sys; subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL); " \
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    rows = args.work / "news20.safetensors"
    command = [args.offshoot, "extract", args.table, "--model", args.model, "-o", rows, "--no-cache", "-q", "--threads", "2"]
    peak = int(output([sys.executable, "-c", measured, *map(str, command)]).split()[-1])
    print(f"extract, all texts as the encoder reads them: {time.time() - start:.1f} s, {peak / 1024:.0f} MB at most")


if __name__ == "__main__":
    main()
