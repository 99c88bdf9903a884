"""Runs `offshoot train` in a process of its own and reads what it measured."""

import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/offshoot"


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
