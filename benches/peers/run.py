"""Features and training steps side by side: PyTorch, ONNX Runtime and Offshoot.

    cargo build --release -p offshoot-nn --example feature_speed --example step_speed \\
        --example text_speed --example text_step_speed
    python benches/peers/run.py [--venv DIR] [--works resnet18-step,minilm-full] [--rounds 3]

Each engine runs in a process of its own, in alternation, on the same shapes and threads. For each
work the table shows medians over all rounds, page faults a step after warm-up, peak resident memory
of the process and the share of the roofline: useful FLOPs ÷ time ÷ the peak of that precision (a
training step counts three forwards). Padding is no useful work. A goal holds for ours ÷ the *best*
peer of that precision; "f32-accurate" is the faster of ours in f32 and bf16x3.

Engines: "eager" is PyTorch as users run it; "tuned" adds channels-last and an allocator that keeps
its pages, as have all below; "compile" is torch.compile (needs a C++ compiler); "bf16" is autocast,
"bf16-compile" both; "onnxruntime" does features in f32. The Python that runs this script runs the
peers, unless --venv names an environment; it is made from requirements.txt if it does not exist.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import venv

import text

HERE = pathlib.Path(__file__).resolve().parent
BUILT = HERE.parents[1] / "target/release/examples"
KEEPS_PAGES = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"

# Work: title, goal of f32-accurate, goal of bf16 (ours ÷ best peer).
WORKS = {
    "mobilenet_v2-features": ("MobileNetV2 features, b32", 0.9, 0.5),
    "efficientnet_lite0-features": ("EfficientNet-Lite0 features, b32", 0.9, 0.5),
    "resnet18-features": ("ResNet-18 features, b32", 0.85, 0.9),
    "minilm-full": ("MiniLM-L6, 32×128", 0.8, 0.9),
    "minilm-mixed": ("MiniLM-L6, mixed lengths, unsorted", 0.5, 0.6),
    "minilm-sorted": ("MiniLM-L6, mixed lengths, sorted", 0.8, 0.9),
    "resnet18-step": ("ResNet-18 training step, b16", 0.9, 0.9),
    "mobilenet_v2-step": ("MobileNetV2 training step, b16", 0.6, 0.4),
    "minilm-step": ("MiniLM-L6 training step, 16×128", 0.7, 0.5),
}
PEERS = {
    "f32": ["eager", "tuned", "compile", "onnxruntime"],
    "bf16": ["bf16", "bf16-compile"],
}
OURS = {"f32": ["ours-f32", "ours-bf16x3"], "bf16": ["ours-bf16"]}
ENGINES = PEERS["f32"] + PEERS["bf16"] + OURS["f32"] + OURS["bf16"]


def precision(engine):
    return "bf16" if engine in PEERS["bf16"] + OURS["bf16"] else "f32"


def why_skipped(engine, work):
    if engine == "onnxruntime" and work.endswith("-step"):
        return "has no training"
    if engine.endswith("compile") and not any(map(shutil.which, [os.environ.get("CXX", "g++"), "clang++", "c++"])):
        return "no C++ compiler found"
    return None


def command(engine, work, args):
    model, kind = work.split("-")
    batch = 16 if kind == "step" else 32
    if not engine.startswith("ours"):
        worker = ["text.py", engine, kind] if model == "minilm" else ["vision.py", engine, model, kind, batch]
        return [args.python, HERE / worker[0], *worker[1:], args.threads, args.repeats]
    if model != "minilm":
        line = ["step_speed" if kind == "step" else "feature_speed", model, batch]
    else:
        own = text.lengths(kind)
        tokens = text.TOKENS if kind == "step" else ",".join(map(str, own))
        line = ["text_step_speed" if kind == "step" else "text_speed", "minilm_l6", len(own), tokens]
    return [args.ours / line[0], *line[1:], args.threads, args.repeats, engine.removeprefix("ours-")]


def last_json(line, **variables):
    """The JSON of the last line that a command prints; raises RuntimeError with its last complaint."""
    shown = subprocess.run([str(word) for word in line], env=dict(os.environ, **variables),
                           capture_output=True, text=True)
    if shown.returncode != 0:
        raise RuntimeError((shown.stderr.strip().splitlines() or [f"exit code {shown.returncode}"])[-1])
    return json.loads(shown.stdout.splitlines()[-1])


def measure(work, args):
    """Every engine's runs of one work, and the reason of each engine that has none."""
    runs, missing = {}, {}
    for turn in range(args.rounds):
        # Every other round runs backwards, so that no engine always follows the same one.
        for engine in args.engines[:: -1 if turn % 2 else 1]:
            reason = missing.get(engine) or why_skipped(engine, work)
            if not reason:
                variables = {"OMP_NUM_THREADS": str(args.threads)}
                if engine != "eager" and not engine.startswith("ours"):
                    variables["GLIBC_TUNABLES"] = KEEPS_PAGES
                try:
                    runs.setdefault(engine, []).append(last_json(command(engine, work, args), **variables))
                except (RuntimeError, OSError) as error:
                    reason = f"failed: {error}"
            if reason:
                missing[engine] = reason
    return runs, missing


def summary(runs):
    return {engine: {"ms": statistics.median(ms for run in own for ms in run["ms"]),
                     "faults": statistics.median(run["faults"] for run in own),
                     "peak_mb": max(run["peak_bytes"] for run in own) / 2**20}
            for engine, own in runs.items()}


def verdict(kind, goal, measured):
    """Ours ÷ best peer of one precision, beside its goal."""
    fastest = lambda engines: min((e for e in engines if e in measured), key=lambda e: measured[e]["ms"], default=None)
    ours, peer = fastest(OURS[kind]), fastest(PEERS[kind])
    if not ours or not peer:
        return "not measured"
    ratio = measured[ours]["ms"] / measured[peer]["ms"]
    return (f"{ratio:.2f} ({ours} {measured[ours]['ms']:.0f} ÷ {peer} {measured[peer]['ms']:.0f}), "
            f"goal ≤ {goal}: {'met' if ratio <= goal else 'MISSED'}")


def prepare(args):
    """The Python of the peers; makes the environment that --venv names if it is not there."""
    if not args.venv:
        return sys.executable
    python = args.venv / "bin/python"
    if not python.exists():
        venv.create(args.venv, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-r", HERE / "requirements.txt"], check=True)
    return python


def listed(known):
    def parse(words):
        unknown = [word for word in words.split(",") if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; known: {', '.join(known)}")
        return words.split(",")

    return parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", type=listed(WORKS), default=list(WORKS))
    parser.add_argument("--engines", type=listed(ENGINES), default=ENGINES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak-f32", type=float, help="GFLOP/s; measured if not given")
    parser.add_argument("--peak-bf16", type=float, help="GFLOP/s; measured if not given")
    parser.add_argument("--ours", type=pathlib.Path, default=BUILT, help="folder of the built examples")
    parser.add_argument("--venv", type=pathlib.Path, help="environment of the peers, made if absent")
    parser.add_argument("--json", type=pathlib.Path, help="also write every figure there")
    args = parser.parse_args()
    if min(args.rounds, args.repeats, args.threads) < 1:
        parser.error("--rounds, --repeats and --threads must be at least 1")
    return args


def main():
    args = arguments()
    args.python = prepare(args)
    peaks = {"f32": args.peak_f32, "bf16": args.peak_bf16}
    if None in peaks.values():
        found = last_json([args.python, HERE / "peaks.py", args.threads], OMP_NUM_THREADS=str(args.threads))
        peaks = {kind: peaks[kind] or found[kind] for kind in peaks}
    print(f"{args.threads} threads, {args.rounds} rounds of {args.repeats}; peak f32 {peaks['f32']:.0f}, "
          f"bf16 {peaks['bf16']:.0f} GFLOP/s; load average {os.getloadavg()[0]:.1f}")
    figures, goals, failed = {}, [], False
    for work in args.works:
        title, *bounds = WORKS[work]
        runs, missing = measure(work, args)
        measured = summary({engine: runs[engine] for engine in args.engines if engine in runs and engine not in missing})
        gflop = next((run["gflop"] for own in runs.values() for run in own if "gflop" in run), None)
        print(f"\n{title}\n{'engine':14} {'ms':>9} {'faults':>8} {'peak MB':>8} {'roofline':>9}")
        for engine, own in measured.items():
            # Without one of ours nobody has counted the work.
            share = f"{gflop / own['ms'] * 1e3 / peaks[precision(engine)]:.0%}" if gflop else "–"
            print(f"{engine:14} {own['ms']:9.1f} {own['faults']:8.0f} {own['peak_mb']:8.0f} {share:>9}")
        for engine, reason in missing.items():
            print(f"{engine:14} {reason}")
        failed |= any(reason.startswith("failed") for reason in missing.values())
        figures[work] = {"engines": measured, "missing": missing, "gflop": gflop}
        verdicts = [verdict(kind, goal, measured) for kind, goal in zip(("f32", "bf16"), bounds)]
        goals.append(f"| {title} | {' | '.join(verdicts)} |")
        print(f"f32-accurate {verdicts[0]}\nbf16 {verdicts[1]}", flush=True)
    print(f"\nload average {os.getloadavg()[0]:.1f}\n\n| work | f32-accurate | bf16 |\n|---|---|---|")
    print("\n".join(goals))
    if args.json:
        args.json.write_text(json.dumps({"peaks_gflops": peaks, "works": figures}, indent=1) + "\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
