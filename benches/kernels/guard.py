"""Has any kernel become slower? Compares `kernel_speed` with the figures that were recorded.

    cargo build --release -p offshoot-kernels --example kernel_speed
    python benches/kernels/guard.py             # exit code 1 where a kernel fell behind
    python benches/kernels/guard.py --record    # after a change that is meant, on a quiet machine

Machines differ and are noisy, so each kernel's best of several runs is divided by its record, and the
median of these ratios stands for the machine: a kernel has fallen behind where its own ratio is below
`--floor` (0.7) of that median. The median itself is printed; on the machine of the record it is near 1.
Needs nothing but Python.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
RECORD = HERE / "record.json"
LINE = re.compile(r"(.{22}) (.{28}) +[0-9.]+ ms +([0-9.]+) \S+")
BUILT = HERE.parents[1] / "target/release/examples/kernel_speed"


def measured(program, level, precision):
    """Work a second of each kernel and shape, from one run."""
    out = subprocess.run([program, level, precision], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in out.splitlines()[1:]:
        match = LINE.fullmatch(line)
        if not match:
            sys.exit(f"error: `{line}` is no figure")
        kernel, shape, rate = match.groups()
        found[f"{kernel.strip()}, {shape.strip()}"] = float(rate)
    return found


def best(program, level, precision, rounds):
    runs = [measured(program, level, precision) for _ in range(rounds)]
    return {kernel: max(run[kernel] for run in runs) for kernel in runs[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=BUILT, help="the built example")
    parser.add_argument("--levels", default="amx:f32,amx:bf16,avx512:f32", help="instruction levels and precisions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--floor", type=float, default=0.7)
    parser.add_argument("--record", action="store_true", help="write the figures instead of comparing them")
    args = parser.parse_args()
    levels = args.levels.split(",")
    figures = {level: best(args.program, *level.split(":"), args.rounds) for level in levels}
    if args.record:
        kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        RECORD.write_text(json.dumps({**kept, **figures}, indent=1, ensure_ascii=False) + "\n")
        return 0
    record = json.loads(RECORD.read_text())
    behind = 0
    for level, found in figures.items():
        known = record.get(level, {})
        for kernel in sorted(found.keys() ^ known.keys()):
            print(f"{level}: {kernel} is only {'here' if kernel in found else 'in the record'}")
            behind += 1
        ratios = {kernel: found[kernel] / known[kernel] for kernel in found.keys() & known.keys() if known[kernel] > 0}
        if not ratios:
            continue
        machine = statistics.median(ratios.values())
        slow = sorted((ratio / machine, kernel) for kernel, ratio in ratios.items() if ratio < args.floor * machine)
        print(f"{level}: {len(ratios)} kernels, median {machine:.2f} of the record, {len(slow)} behind")
        for ratio, kernel in slow:
            print(f"  {kernel}: {found[kernel]:.1f} against {known[kernel]:.1f}, {ratio:.2f} of what others keep")
        behind += len(slow)
    return 1 if behind else 0


if __name__ == "__main__":
    sys.exit(main())
