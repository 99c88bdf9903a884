"""Is it worth guessing hidden words of the target's texts first? A probe with and without `--adapt-mlm`.

    python hidden_words.py --offshoot target/release/offshoot --packages PACKAGES --model FOLDER --work DIR \\
        [--data movies,amazon,news4] [--labels 8,50] [--seeds 5] [--first 0] [--texts 2000] [--tests 1000]

PACKAGES holds what data.py names; FOLDER is an encoder, that of `offshoot models pull all-minilm-l6-v2` for instance.
The unlabelled texts are those of the training part, labels left out; test texts are not among them. The encoder is
taken as it is, adapted whether it helps or not (`--guard off`), and adapted where the guard thinks that it helps;
what the guard saw is recorded. Every finished run is a line of DIR/hidden_words.jsonl and is not run again. Printed
are test accuracies over the seeds, and the gains over the encoder as it is with their 95 % interval (Student's t).
"""

import json
import random
import statistics
import subprocess

import data

#: 97.5 % points of Student's t by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


WAYS = ["as it is", "adapted", "guarded"]


def main():
    parse = data.arguments(__doc__)
    parse.add_argument("--data", default="movies,amazon,news4")
    parse.add_argument("--labels", default="8,50")
    parse.add_argument("--seeds", type=int, default=5)
    parse.add_argument("--first", type=int, default=0)
    parse.add_argument("--texts", type=int, default=2000)
    parse.add_argument("--tests", type=int, default=1000)
    args = parse.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    record = args.work / "hidden_words.jsonl"
    known = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    done = {(run["data"], run["labels"], run["seed"], run["adapted"]): run for run in known}
    for name, rows in data.tables(args.packages, args.data.split(",")).items():
        unlabelled = list(dict.fromkeys(text for text, _, split in rows if split == "train"))
        random.Random(1).shuffle(unlabelled)
        texts = args.work / f"{name}.csv"
        with open(texts, "w", newline="", encoding="utf-8") as out:
            table = data.csv.writer(out)
            table.writerow(["text"])
            table.writerows([text] for text in unlabelled[: args.texts])
        for labels in map(int, args.labels.split(",")):
            for seed in range(args.first, args.seeds):
                chosen, held = data.few(rows, labels, seed, args.tests)
                path = args.work / f"{name}-{labels}-{seed}.csv"
                data.write(path, chosen + held)
                for adapted in WAYS:
                    key = (name, labels, seed, adapted)
                    if key not in done:
                        done[key] = dict(zip(("data", "labels", "seed", "adapted"), key)) | run(args, path, seed, adapted, texts)
                        with open(record, "a", encoding="utf-8") as out:
                            out.write(json.dumps(done[key]) + "\n")
            tell(name, labels, done)


def run(args, path, seed, adapted, texts):
    command = [args.offshoot, "train", str(path), "--model", args.model, "--method", "probe"]
    command += ["--guard", "on" if adapted == "guarded" else "off"]
    command += ["--seed", str(seed), "--threads", "2", "--runs-dir", str(args.work / "runs"), "--no-cache", "--json", "-q"]
    if adapted != "as it is":
        command += ["--adapt-mlm", str(texts)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(ended.stderr)
    report = json.loads(ended.stdout)
    figures = {name: report[name] for name in ("accuracy", "log_loss", "seconds")}
    worth = (report.get("adapted") or {}).get("worth")
    return figures | ({"worth": worth} if worth else {})


def tell(name, labels, done):
    seeds = sorted({key[2] for key in done if key[:2] == (name, labels)})
    sides = [[done[name, labels, seed, adapted] for seed in seeds] for adapted in WAYS]
    for title, runs in zip(WAYS, sides):
        accuracies = [100 * run["accuracy"] for run in runs]
        spread = statistics.stdev(accuracies) if len(runs) > 1 else float("nan")
        seconds = statistics.median(run["seconds"] for run in runs)
        print(f"{name:8} {labels:3} labels  {title:9} {statistics.mean(accuracies):5.1f} ± {spread:.1f} %  {seconds:6.1f} s")
    for title, runs in zip(WAYS[1:], sides[1:]):
        gains = [100 * (b["accuracy"] - a["accuracy"]) for a, b in zip(sides[0], runs)]
        width = STUDENT.get(len(gains) - 1, 2.0) * statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        print(f"{name:8} {labels:3} labels  {title:9} gains {statistics.mean(gains):+.1f} ± {width:.1f} points", flush=True)


if __name__ == "__main__":
    main()
