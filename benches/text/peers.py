"""MiniLM-L6 side by side: PyTorch (eager, tuned, bf16) and Offshoot; sentence vectors and training steps.

Each engine runs in a process of its own, in alternation, on the same shapes and threads; the table
shows medians over all rounds and the ratio of ours to each peer of that precision.

    cargo build --release -p offshoot-nn --example text_speed --example text_step_speed
    python benches/text/peers.py [--works full,mixed,sorted,step] [--rounds 3]

Needs torch, transformers and numpy in the Python that runs it. "eager" is what users run; "tuned" keeps
the allocator's pages; "bf16" is autocast, tuned. Peers pad to the longest of a batch of 32; of the 256
sentences of mixed lengths, "mixed" takes the batches as they come, "sorted" by length. A training step
is forward, backward and AdamW on every parameter; the peer's is the fused AdamW. Weights are random:
speed does not depend on them.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH, STEP_BATCH, TOKENS, SENTENCES = 32, 16, 128, 256


def lengths(work):
    """Tokens of each sentence: full, or log-normal around 22 word pieces, cut to 4..=128."""
    import numpy as np

    if work == "full":
        return [TOKENS] * BATCH
    if work == "step":
        return [TOKENS] * STEP_BATCH
    drawn = np.exp(np.log(22) + 0.7 * np.random.default_rng(0).standard_normal(SENTENCES))
    drawn = np.clip(np.rint(drawn), 4, 128).astype(int).tolist()
    return sorted(drawn) if work == "sorted" else drawn


def run_peer(engine, work, threads, repeats):
    """Prints the milliseconds of each repeat as JSON."""
    import torch
    from transformers import BertConfig, BertModel

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
                        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = BertModel(config, add_pooling_layer=False)
    all_lengths = lengths(work)
    batches = []
    for first in range(0, len(all_lengths), BATCH):
        own = torch.tensor(all_lengths[first : first + BATCH])
        longest = int(own.max())
        ids = torch.randint(1000, 30000, (len(own), longest))
        batches.append((ids, (torch.arange(longest) < own.unsqueeze(1)).long()))

    def vectors():
        for ids, mask in batches:
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            weight = mask.unsqueeze(2)
            yield torch.nn.functional.normalize((states * weight).sum(1) / weight.sum(1))

    autocast = torch.autocast("cpu", torch.bfloat16, enabled=engine == "bf16")
    if work == "step":
        optimiser = torch.optim.AdamW(model.parameters(), 1e-6, fused=True)

        def step():
            with autocast:
                loss = sum((v * 0.01).sum() for v in vectors())
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()

    else:
        model.eval()

        def step():
            with torch.inference_mode(), autocast:
                list(vectors())

    step()
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    print(json.dumps(times))


def measure(engine, work, args):
    environment = dict(os.environ, OMP_NUM_THREADS=str(args.threads))
    if engine.startswith("ours"):
        precision = engine.split("-")[1]
        own = lengths(work)
        if work == "step":
            command = [args.ours / "text_step_speed", "minilm_l6", len(own), TOKENS]
        else:
            command = [args.ours / "text_speed", "minilm_l6", len(own), ",".join(map(str, own))]
        command += [args.threads, args.repeats, precision]
    else:
        command = [sys.executable, __file__, "--engine", engine, "--works", work,
                   "--threads", args.threads, "--repeats", args.repeats]
        if engine != "eager":
            environment["GLIBC_TUNABLES"] = (
                "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"
            )
    shown = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True)
    if shown.returncode != 0:
        raise SystemExit(f"{engine}: {shown.stderr}")
    return json.loads(shown.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--works", default="full,mixed,sorted,step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", type=pathlib.Path, default=ROOT / "target/release/examples")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.engine:
        return run_peer(args.engine, args.works, args.threads, args.repeats)

    import torch
    import transformers

    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}; MiniLM-L6, "
          f"{args.threads} threads, medians of {args.rounds} × {args.repeats}, ms")
    engines = ["eager", "tuned", "bf16", "ours-f32", "ours-bf16x3", "ours-bf16"]
    for work in args.works.split(","):
        times = {engine: [] for engine in engines}
        for _ in range(args.rounds):
            for engine in engines:
                times[engine] += measure(engine, work, args)
        medians = {engine: statistics.median(t) for engine, t in times.items()}
        own, longest = lengths(work), max(lengths(work))
        print(f"{work:6} {len(own)} sentences, {sum(own)} tokens, longest {longest}: "
              + "  ".join(f"{engine} {medians[engine]:.0f}" for engine in engines))
        exact = min(medians["eager"], medians["tuned"])
        print(f"       ours ÷ best peer: f32 {medians['ours-f32'] / exact:.2f}, "
              f"bf16x3 {medians['ours-bf16x3'] / exact:.2f}, "
              f"bf16 {medians['ours-bf16'] / medians['bf16']:.2f}", flush=True)


if __name__ == "__main__":
    main()
