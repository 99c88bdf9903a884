"""Targets with classes that the source lacks: what `adapt --classes open` calls unknown, and what that is worth.

    cargo build --release
    python benches/adapt/open_set.py --features DIR --work DIR [--seeds 3] [--shares 0.4,0.15,0] [--method auto]

DIR of --features is what `pairs.py` filled. The source keeps the first six tenths of its classes; of the target's other
classes so many samples stay that they are the named share. `mean` is the rule without a share, `share` names the true one.
Printed are means over seeds, each another half of the source's rows (of target rows where both are one set): recall of
known classes with what is called unknown counted as wrong, without that, of unknown ones, their harmonic mean beside that
of the source's classifier, AUROC, and the share that is called unknown. `same` is the accuracy on known classes that
`--classes same` reaches on the same rows. One line of DIR/open_set.jsonl a run; what is there is not run again.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

import numpy as np
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAIRS = [("mnist", "mnist"), ("mnist", "optdigits"), ("optdigits", "mnist"), ("mnist", "mnist-inverted"),
         ("mnist", "mnist-background"), ("emoji-google", "emoji-twitter")]


def sides(args, source, target, share, seed):
    """Folders with `x.npy` and `y.npy` of both sides."""
    draws = np.random.default_rng(seed)
    a, b = (load_file(args.features / f"{name}.safetensors") for name in (source, target))
    known = len(np.unique(a["labels"])) * 6 // 10
    order = draws.permutation(len(a["labels"]))
    half = order[: len(order) // 2]
    xs, ys = a["features"][half], a["labels"][half]
    xs, ys = xs[ys < known], ys[ys < known]
    rows = order[len(order) // 2:] if source == target else np.arange(len(b["labels"]))
    xt, yt = b["features"][rows], b["labels"][rows]
    own, foreign = np.flatnonzero(yt < known), draws.permutation(np.flatnonzero(yt >= known))
    kept = np.sort(np.concatenate([own, foreign[: round(len(own) * share / (1 - share))]]))
    xt, yt = xt[kept], yt[kept]
    # As in choice.py: the first 128 principal directions of both sides.
    both = np.vstack([xs, xt])
    directions = np.linalg.svd(both - both.mean(0), full_matrices=False)[2][:128].T
    xs, xt = (xs - both.mean(0)) @ directions, (xt - both.mean(0)) @ directions
    folder = args.work / f"{source}-{target}-{share}-{seed}"
    for side, x, y in [("source", xs, ys), ("target", xt, yt)]:
        (folder / side).mkdir(parents=True, exist_ok=True)
        np.save(folder / side / "x.npy", x.astype("<f4"))
        np.save(folder / side / "y.npy", y.astype("<i8"))
    return folder


def run(args, folder, rule, share, seed):
    call = [args.offshoot, "adapt", folder / "source/x.npy", "--target", folder / "target/x.npy", "--method", args.method]
    call += ["--seed", seed, "--threads", args.threads, "--runs-dir", args.work / "runs", "--json", "-q"]
    call += ["--classes", "same" if rule == "same" else "open"]
    call += ["--unknown-share", share] if rule == "share" else []
    done = subprocess.run([str(c) for c in call], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    said = json.loads(done.stdout)
    return {"method": said["method"], "accuracy": said["accuracy"], "unknown": said.get("unknown")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--offshoot", type=pathlib.Path, default=ROOT / "target/release/offshoot")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shares", default="0.4,0.15,0")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    results = args.work / "open_set.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    known = {tuple(json.loads(line)["key"]): json.loads(line)["found"] for line in lines}
    print("| source to target | unknown | rule | chosen | known (closed) | unknown | harmonic (source-only) | AUROC | called unknown |")
    print("|---|---|---|---|---|---|---|---|---|")
    for source, target in PAIRS:
        for share in map(float, args.shares.split(",")):
            for rule in ["same", "mean"] + ["share"] * (share > 0):
                found = []
                for seed in range(args.seeds):
                    key = (args.method, source, target, share, rule, seed)
                    if key not in known:
                        known[key] = run(args, sides(args, source, target, share, seed), rule, share, seed)
                        with results.open("a") as out:
                            out.write(json.dumps({"key": key, "found": known[key]}) + "\n")
                    found.append(known[key])
                mean = lambda take: f"{100 * statistics.fmean(map(take, found)):.1f}"
                chosen = ", ".join(sorted({f["method"] for f in found}))
                figures = lambda name: mean(lambda f: f["unknown"]["figures"][name])
                row = [f"{source} to {target}", f"{100 * share:.0f} %", rule, chosen]
                if rule == "same":
                    row += [mean(lambda f: f["accuracy"]), "–", "–", "–", "–"]
                elif share == 0:
                    row += [mean(lambda f: f["accuracy"]), "–", "–", "–", mean(lambda f: f["unknown"]["share"])]
                else:
                    before = mean(lambda f: f["unknown"]["source_only_figures"]["harmonic"])
                    row += [f"{figures('known_recall')} ({figures('known_recall_closed')})", figures("unknown_recall"),
                            f"{figures('harmonic')} ({before})", figures("auroc"), mean(lambda f: f["unknown"]["share"])]
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
