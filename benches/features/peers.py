"""Frozen features side by side: PyTorch (eager, tuned), ONNX Runtime and Offshoot.

Each engine runs in a process of its own, in alternation, on the same shapes and threads; the table
shows medians over all rounds and the ratio of ours to each peer.

    cargo build --release -p offshoot-nn --example feature_speed
    python benches/features/peers.py [--models mobilenet_v2,resnet18] [--batch 32] [--rounds 3]

Needs torch, torchvision, timm, onnx and onnxruntime in the Python that runs it. "eager" is what users
run: default memory format and allocator. "tuned" is channels-last with an allocator that keeps its
pages. Weights are random: speed does not depend on them.
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = {
    "mobilenet_v2": ("torchvision", "mobilenet_v2", 224),
    "resnet18": ("torchvision", "resnet18", 224),
    "resnet50": ("torchvision", "resnet50", 224),
    "efficientnet_lite0": ("timm", "tf_efficientnet_lite0", 224),
}


def build(name):
    import torch

    package, model, size = MODELS[name]
    if package == "torchvision":
        import torchvision

        network = getattr(torchvision.models, model)(weights=None)
        if hasattr(network, "fc"):
            network.fc = torch.nn.Identity()
        else:
            network.classifier = torch.nn.Identity()
    else:
        import timm

        network = timm.create_model(model, pretrained=False, num_classes=0)
    return network.eval(), size


def run_peer(engine, name, batch, threads, repeats):
    """Prints the milliseconds of each repeat as JSON."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network, size = build(name)
    x = torch.randn(batch, 3, size, size)
    if engine == "onnxruntime":
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/model.onnx"
            torch.onnx.export(network, (x,), path, input_names=["x"], dynamo=False)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feed = {"x": x.numpy()}
        step = lambda: session.run(None, feed)
    else:
        if engine == "tuned":
            network = network.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)

        def step():
            with torch.inference_mode():
                network(x)

    step()
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    print(json.dumps(times))


def measure(engine, name, args):
    environment = dict(os.environ, OMP_NUM_THREADS=str(args.threads))
    if engine == "offshoot":
        command = [args.ours, name, args.batch, args.threads, args.repeats]
    else:
        command = [sys.executable, __file__, "--engine", engine, "--models", name,
                   "--batch", args.batch, "--threads", args.threads, "--repeats", args.repeats]
        if engine == "tuned":
            environment["GLIBC_TUNABLES"] = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"
    shown = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True)
    if shown.returncode != 0:
        raise SystemExit(f"{engine}: {shown.stderr}")
    return json.loads(shown.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="mobilenet_v2,efficientnet_lite0,resnet18")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", default=ROOT / "target/release/examples/feature_speed")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.engine:
        return run_peer(args.engine, args.models, args.batch, args.threads, args.repeats)

    import onnxruntime
    import torch

    print(f"PyTorch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}; "
          f"f32, batch {args.batch}, {args.threads} threads, medians of {args.rounds} × {args.repeats}, ms")
    engines = ["eager", "tuned", "onnxruntime", "offshoot"]
    for name in args.models.split(","):
        times = {engine: [] for engine in engines}
        for _ in range(args.rounds):
            for engine in engines:
                times[engine] += measure(engine, name, args)
        medians = {engine: statistics.median(t) for engine, t in times.items()}
        ours = medians["offshoot"]
        row = "  ".join(f"{e} {medians[e]:.0f} ({ours / medians[e]:.2f})" for e in engines[:-1])
        print(f"{name:20} offshoot {ours:.0f}   ours ÷ peer: {row}")


if __name__ == "__main__":
    main()
