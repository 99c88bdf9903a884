"""How good the choice of an adaptation is that sees no labels of the target: `auto`, every adapter, every validator
alone, and the oracle that sees them.

    cargo build --release -p offshoot-stats --example adaptation_shifts
    python benches/adapt/choice.py --work DIR --seeds 5 --features DIR

Simulated pairs need nothing; DIR of --features is what `pairs.py` filled, and without it the real pairs are left out.
Needs the standard library only. Results are lines of DIR/choice.jsonl; what is there is not measured again, so the
script goes on where it was stopped. `--only-sum` measures nothing.

`--record FILE` writes what the choice went by on the first seed of every pair, which a test of the rule reads.

What decides (the likelihood of answers), its companions, their weights and the margin were chosen on simulated pairs
of seeds 0 to 4 and on the real pairs of three draws (seeds 5 to 7); simulated pairs of seeds 5 to 9 had no part in it.
Pairs of texts with all features (seed 5) showed that more uneven answers must not count for anything.
"""

import argparse
import collections
import itertools
import json
import math
import pathlib
import statistics
import subprocess

REAL = [("MNIST to optdigits", "mnist", "optdigits"), ("optdigits to MNIST", "optdigits", "mnist"),
        ("MNIST, other background", "mnist", "mnist-background"), ("MNIST, noise", "mnist", "mnist-noise"),
        ("MNIST, inverted", "mnist", "mnist-inverted"), ("emoji, Google to Twitter", "emoji-google", "emoji-twitter"),
        ("sentiment, movies to Amazon", "movies", "amazon"), ("sentiment, movies to tweets", "movies", "tweets"),
        ("sentiment, movies to NYT", "movies", "nyt")]
# All ordered pairs of four sets of texts, good or bad, with all features. They showed that uneven answers must not count.
TEXTS = [(f"{source} to {target}", source, target)
         for source, target in itertools.permutations(["movies", "amazon", "tweets", "nyt"], 2)]
ALL = 10**9
# Several source domains pooled, which `source-only` and the methods of pairs see, and by themselves.
DOMAINS = [("MNIST + optdigits to noise", ["mnist", "optdigits"], "mnist-noise"),
           ("MNIST + background + optdigits to inverted", ["mnist", "mnist-background", "optdigits"], "mnist-inverted"),
           ("MNIST + inverted + optdigits to background", ["mnist", "mnist-inverted", "optdigits"], "mnist-background"),
           ("MNIST + noise + background to optdigits", ["mnist", "mnist-noise", "mnist-background"], "optdigits"),
           ("movies + Amazon + tweets to NYT", ["movies", "amazon", "tweets"], "nyt"),
           ("movies + NYT + tweets to Amazon", ["movies", "nyt", "tweets"], "amazon"),
           ("movies + Amazon + NYT to tweets", ["movies", "amazon", "nyt"], "tweets")]
# The validators that decide (`ENSEMBLE` of adaptation/choice.rs).
DECIDE = ["likelihood", "circular", "iwv"]
# Two-sided 95 % of Student's t by degrees of freedom.
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def interval(values):
    mean = statistics.fmean(values)
    if len(values) < 3:
        return mean, math.nan
    return mean, STUDENT.get(len(values) - 1, 1.96) * statistics.stdev(values) / math.sqrt(len(values))


def sign_test(losses, wins):
    """One-sided: how probable so many losses would be if both were as good."""
    n = losses + wins
    log = lambda k: math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    return min(1.0, sum(math.exp(log(k)) for k in range(losses, n + 1)))


def told(values):
    (mean, half), scale = interval(values), 100
    # Two seeds have an interval that says nothing.
    return f"{scale * mean:.1f} ± {scale * half:.1f}" if len(values) > 2 else f"{scale * mean:.1f}"


def summary(title, rows):
    by_pair = collections.defaultdict(list)
    for row in rows:
        by_pair[row["pair"]].append(row)
    print(f"\n### {title}: {len(by_pair)} pairs, {max(map(len, by_pair.values()))} seeds\n")
    adapters = sorted({name for row in rows for name in row["accuracies"]} - {"source-only"})
    print("Accuracy of the source's head, and gains over it in points, each fitted to the same seven tenths of the source")
    print("| pair | source-only | " + " | ".join(adapters) + " | oracle |")
    print("|---" * (len(adapters) + 3) + "|")
    gains = lambda rows, name: [row["accuracies"][name] - row["accuracies"]["source-only"]
                                for row in rows if name in row["accuracies"]]
    best = lambda row: max(row["accuracies"].values()) - row["accuracies"]["source-only"]
    for pair, own in by_pair.items():
        cells = [told(gains(own, name)) if gains(own, name) else "refused" for name in adapters]
        only = told([row["accuracies"]["source-only"] for row in own])
        print(f"| {pair} | {only} | " + " | ".join(cells) + f" | {told([best(row) for row in own])} |")
    print("\n| pair | shipped, against source-only | significantly below | chosen | of the oracle's gain |")
    print("|---|---|---|---|---|")
    reached, possible, below = [], [], 0
    for pair, own in by_pair.items():
        change = [row["shipped"] - row["source_only"] for row in own]
        mean, half = interval(change)
        # Over seeds, by Student's t on paired differences; of one or two, over the target's rows.
        if math.isnan(half):
            p = sign_test(sum(row["losses"] for row in own), sum(row["wins"] for row in own))
            worse, test = p < 0.025, f"p {p:.2g} of {len(own)}"
        else:
            worse, test = mean + half < 0, f"{len(own)} seeds"
        below += worse
        chosen = collections.Counter(row["chosen"] for row in own)
        got = statistics.fmean(row["accuracies"][row["chosen"]] - row["accuracies"]["source-only"] for row in own)
        most = statistics.fmean(best(row) for row in own)
        reached.append(got)
        possible.append(most)
        of = f"{100 * got / most:.0f} %" if most > 0.005 else "nothing to gain"
        names = ", ".join(f"{name} {n}" for name, n in chosen.most_common())
        print(f"| {pair} | {told(change)} | {'YES' if worse else 'no'} ({test}) | {names} | {of} |")
    print(f"\nauto reaches {100 * statistics.fmean(reached):.1f} of {100 * statistics.fmean(possible):.1f} points on average: "
          f"{100 * sum(reached) / sum(possible):.0f} % of the oracle's gain; significantly below source-only on {below} of "
          f"{len(by_pair)} pairs; median time {statistics.median(row['auto_seconds'] for row in rows):.1f} s")
    print("\n| chosen by | mean gain | regret | worst pair |")
    print("|---|---|---|---|")

    def line(name, pick):
        means = {pair: statistics.fmean(row["accuracies"][pick(row)] - row["accuracies"]["source-only"] for row in own)
                 for pair, own in by_pair.items()}
        mean, worst = statistics.fmean(means.values()), min(means.items(), key=lambda item: item[1])
        print(f"| {name} | {100 * mean:+.1f} | {100 * (statistics.fmean(possible) - mean):.1f} | {worst[0]}, {100 * worst[1]:+.1f} |")

    line("oracle", lambda row: max(row["accuracies"], key=row["accuracies"].get))
    line("auto", lambda row: row["chosen"])
    line("source-only", lambda row: "source-only")
    # The largest score of all adapters; the source's head wins ties.
    for validator in sorted(rows[0]["scores"]["source-only"]):
        line(validator, lambda row: max(row["scores"], key=lambda name: (row["scores"][name].get(validator, -math.inf),
                                                                         name == "source-only")))
    return reached, possible


def record(rows, file):
    """What the rule goes by on the first seed of every pair: `DECIDE` and vetoes of what was tried, and accuracies."""
    first = {}
    for row in rows:
        if row["pair"] not in first or row["seed"] < first[row["pair"]]["seed"]:
            first[row["pair"]] = row
    short = lambda value: float(f"{value:.6g}")
    uneven = lambda shares: sum(p * math.log(p) for p in shares if p > 0)
    pairs = [{"kind": row["kind"], "pair": row["pair"], "seed": row["seed"], "chosen": row["chosen"],
              "tried": [{"name": name, "vetoed": name in row["vetoed"], "accuracy": short(row["accuracies"][name]),
                        "concentration": short(uneven(row["shares"][name])),
                         "scores": {key: short(row["scores"][name][key]) for key in DECIDE}} for name in row["listed"]]}
             for row in first.values()]
    lines = ",\n".join(json.dumps(pair) for pair in pairs)
    pathlib.Path(file).write_text(f'{{"by": "benches/adapt/choice.py --record", "pairs": [\n{lines}\n]}}\n')


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--ours", default="target/release/examples/adaptation_shifts")
    args.add_argument("--work", required=True, type=pathlib.Path)
    args.add_argument("--features", type=pathlib.Path)
    args.add_argument("--seeds", type=int, default=5)
    args.add_argument("--first-seed", type=int, default=5)
    args.add_argument("--share", default="1", help="of the simulated pairs' full number of rows")
    args.add_argument("--kinds", default="simulated,real,texts,domains")
    args.add_argument("--directions", default="128", help="principal directions of real features that are kept")
    args.add_argument("--rows", default="1500", help="of the source of a real pair")
    args.add_argument("--only-sum", action="store_true")
    args.add_argument("--record", type=pathlib.Path)
    args = args.parse_args()
    kinds = args.kinds.split(",")
    args.work.mkdir(parents=True, exist_ok=True)
    file = args.work / "choice.jsonl"
    read = lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {(row["kind"], row["pair"], row["seed"]) for row in read()}

    def run(kind, seed, command):
        said = subprocess.run([args.ours, *map(str, command)], check=True, capture_output=True, text=True).stdout
        with file.open("a") as out:
            out.writelines(json.dumps({"kind": kind, **json.loads(line)}) + "\n" for line in said.splitlines())
        print(f"seed {seed}: {command[0]} measured", flush=True)

    seeds = [] if args.only_sum else range(args.first_seed, args.first_seed + args.seeds)
    for seed in seeds:
        if "simulated" in kinds and not any(kind == "simulated" and own == seed for kind, _, own in done):
            run("simulated", seed, ["simulated", seed, args.share])
        real = [(kind, name, [source], target) for kind, pairs in (("real", REAL), ("texts", TEXTS))
                for name, source, target in pairs]
        for kind, name, sources, target in real + [("domains", *one) for one in DOMAINS] if args.features else []:
            places = [args.features / f"{side}.safetensors" for side in (*sources, target)]
            missing = [place.name for place in places if not place.exists()]
            if missing:
                print(f"{name} is left out: no {', '.join(missing)}")
            elif kind in kinds and (kind, name, seed) not in done:
                directions = args.directions if kind != "texts" else ALL
                rows = args.rows if kind != "domains" else ALL
                run(kind, seed, [name, "+".join(map(str, places[:-1])), places[-1], seed, directions, rows])
    reached, possible = [], []
    for kind in ("simulated", "real", "texts", "domains"):
        rows = [row for row in read() if row["kind"] == kind]
        if rows:
            for all_pairs, own in zip((reached, possible), summary(kind, rows)):
                all_pairs.extend(own)
    print(f"\nall {len(reached)} pairs: {100 * sum(reached) / sum(possible):.0f} % of the oracle's gain")
    if args.record:
        record(read(), args.record)


if __name__ == "__main__":
    main()
