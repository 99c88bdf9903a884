"""Peak of this machine, as JSON in GFLOP/s: one large PyTorch matrix product in f32 and in bf16.

    python benches/peers/peaks.py THREADS
"""

import json
import sys

import measured


def main():
    import torch

    torch.set_num_threads(int(sys.argv[1]))
    n, peaks = 2048, {}
    for name, kind in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(n, n).to(kind), torch.randn(n, n).to(kind)
        out = torch.empty(n, n, dtype=kind)
        product = lambda: torch.mm(a, b, out=out)
        product()
        # The best of many, since a peak is what nothing disturbed.
        peaks[name] = 2e-6 * n**3 / min(measured.milliseconds(product) for _ in range(15))
    print(json.dumps(peaks))


if __name__ == "__main__":
    main()
