"""Runs `offshoot train` in a process of its own and reads what it measured."""

import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/offshoot"
# Student's t for a two-sided 95 % interval, by degrees of freedom.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 14: 2.145, 19: 2.093}


def train(binary, data, flags, scratch, threads, cache):
    """The document of one run, with `process_seconds` and the `epochs` of its metrics."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OFFSHOOT_OFFLINE="1", OFFSHOOT_CACHE=str(cache))
    command = [binary, "train", data, "--json", "--threads", threads, "--runs-dir", scratch, *flags]
    start = time.perf_counter()
    shown = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if shown.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\nexit code {shown.returncode}\n{shown.stderr}")
    document = json.loads(shown.stdout)
    document["process_seconds"] = seconds
    lines = (pathlib.Path(document["run"]) / "metrics.jsonl").read_text().splitlines()
    document["epochs"] = [line for line in map(json.loads, lines) if line.get("kind") == "epoch"]
    return document


class Book:
    """Finished runs, one JSON line each: what is written is not run again, so a bench may be stopped at any time."""

    def __init__(self, path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.known = {json.dumps(line["key"], sort_keys=True): line for line in map(json.loads, lines)}

    def get(self, key, run):
        """The line of `key`, a dictionary; where there is none, what `run()` gives is written as one."""
        name = json.dumps(key, sort_keys=True)
        if name not in self.known and run:
            self.known[name] = {"key": key} | run()
            with open(self.path, "a") as file:
                file.write(json.dumps(self.known[name]) + "\n")
        return self.known.get(name)


def measured(binary, data, flags, work, threads):
    """The figures of one run that benches keep; its folder is removed. Rows of frozen layers stay in one cache."""
    document = train(binary, data, flags, work / "runs", threads, work / "cache")
    shutil.rmtree(document["run"])
    tuning = document.get("tuning") or {}
    seconds = document["process_seconds"]
    # Everything but the epochs: opening, features, the head, judging. The part before the first epoch is what
    # tuning waits for, and the test figures come after it, so this is at most that much too long.
    before, curve = seconds - tuning.get("seconds", 0.0), []
    for epoch in document["epochs"]:
        before += epoch["seconds"]
        curve.append([round(before, 3), epoch["val_metric"]])
    probe = next((b["accuracy"] for b in document["baselines"] if b["name"] == "probe"), None)
    return {
        "accuracy": document["accuracy"],
        "log_loss": document["log_loss"],
        "probe": probe,
        "seconds": round(seconds, 3),
        "curve": curve,
        "kept_probe": tuning.get("kept_probe"),
        "best_update": tuning.get("best_update"),
        "updates": tuning.get("updates"),
        "load": os.getloadavg()[0],
    }


def interval(values):
    """Mean and half of its 95 % interval (Student's t)."""
    mean, n = statistics.mean(values), len(values)
    if n < 2:
        return mean, float("nan")
    return mean, T.get(n - 1, 1.96) * statistics.stdev(values) / math.sqrt(n)
