"""Runs `offshoot train` in a process of its own and reads what it measured."""

import json
import math
import os
import pathlib
import shutil
import statistics
import struct
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
    start, began = time.perf_counter(), time.time()
    shown = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if shown.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\nexit code {shown.returncode}\n{shown.stderr}")
    document = json.loads(shown.stdout)
    document["process_seconds"] = seconds
    lines = (pathlib.Path(document["run"]) / "metrics.jsonl").read_text().splitlines()
    document["epochs"] = [line for line in map(json.loads, lines) if line.get("kind") == "epoch"]
    events = pathlib.Path(document["run"]) / "tensorboard"
    # The event file says when each epoch was told.
    told = [
        at - began
        for file in events.glob("*")
        for at, tag in scalars(file.read_bytes())
        if tag.endswith("loss/train")
    ]
    for epoch, at in zip(document["epochs"], told):
        epoch["after"] = at
    return document


def scalars(events):
    """Wall time and name of each scalar of an event file, which is records of a length, a sum, an event, a sum."""
    at = 0
    while at < len(events):
        (length,) = struct.unpack_from("<Q", events, at)
        event = events[at + 12 : at + 12 + length]
        (wall,) = struct.unpack_from("<d", event, 1)
        # Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1 } } }; all sizes are one byte.
        field = 9
        if event[field] == 0x10:
            field += 1
            while event[field] & 0x80:
                field += 1
            field += 1
        if event[field] == 0x2A:
            size = event[field + 5]
            yield wall, event[field + 6 : field + 6 + size].decode()
        at += 16 + length


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
    # Once more on train and validation, there is nothing that judges.
    judged = [epoch for epoch in document["epochs"] if epoch["val_metric"] is not None]
    curve = [[round(epoch["after"], 3), epoch["val_metric"]] for epoch in judged]
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
