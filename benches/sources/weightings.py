"""Several sources side by side: each alone, and all of them under every weighting.

    python benches/sources/weightings.py --offshoot target/release/offshoot --work DIR \
        --case digits=DATA:A,B,C --case emoji=DATA:A,B [--seeds 0,1,2]

For each case (a data set that `offshoot train` reads, and sources) it prints the accuracy on the test split, mean
over seeds: of each source alone, and of all of them with `--weighting equal`, `alignment` and `cv`; beside it, how
often sources were left out and the log-loss. A seed draws the splits, so that all runs of one are paired; the last
column is the difference to `equal` in points with the standard error over seeds. Runs that are there are not
repeated. Needs no package.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

WEIGHTINGS = ["equal", "alignment", "cv"]


def run(args, case, data, models, weighting, seed):
    name = f"{case}-{'-'.join(models)}-{weighting}-{seed}".replace("/", "_").replace(":", "_").replace("@", "_")
    kept = args.work / f"{name}.json"
    if not kept.exists():
        line = [str(args.offshoot), "train", data, "--model", ",".join(models), "--weighting", weighting]
        line += ["--seed", str(seed), "--guard", "off", "--json", "--runs-dir", str(args.work / "runs")]
        line += args.extra.split()
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(line)}\n{done.stderr}")
        kept.write_text(done.stdout)
    return json.loads(kept.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offshoot", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--case", action="append", required=True, help="NAME=DATA:A,B")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--extra", default="", help="further flags of `offshoot train`, such as `--size 64`")
    args = parser.parse_args()
    args.offshoot = args.offshoot.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    for case in args.case:
        name, rest = case.split("=", 1)
        data, models = rest.split(":", 1)
        models = models.split(",")
        rows = [([model], "equal", model) for model in models]
        rows += [(models, weighting, f"all, {weighting}") for weighting in WEIGHTINGS]
        found = {}
        print(f"\n{name}: {data}")
        for used, weighting, title in rows:
            reports = [run(args, name, data, used, weighting, seed) for seed in seeds]
            found[title] = [report["accuracy"] for report in reports]
            loss = statistics.mean(report["log_loss"] for report in reports)
            out = sum(bool(source["left_out"]) for report in reports for source in report.get("sources", []))
            base = found.get("all, equal")
            text = ""
            if base and title != "all, equal":
                gaps = [100 * (a - b) for a, b in zip(found[title], base)]
                error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
                text = f"{statistics.mean(gaps):+.2f} ± {error:.2f}"
            accuracy = 100 * statistics.mean(found[title])
            print(f"  {title:42} {accuracy:6.2f} %   log-loss {loss:.4f}   left out {out}   {text}", flush=True)


if __name__ == "__main__":
    main()
