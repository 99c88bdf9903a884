"""The timed loop of one peer and its line of JSON, as `crates/nn/examples/measured` prints ours."""

import json
import pathlib
import resource
import time

WARM_UP = 2


def milliseconds(step):
    start = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - start)


def measure(step, repeats):
    """Prints the time of each call, page faults a call after warm-up and peak memory of the process."""
    for _ in range(WARM_UP):
        step()
    faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    before = faults()
    times = [milliseconds(step) for _ in range(repeats)]
    print(json.dumps({"ms": times, "faults": (faults() - before) // max(repeats, 1), "peak_bytes": peak_bytes()}))


def peak_bytes():
    # ru_maxrss may count the parent's pages from before exec; VmHWM is this program's own.
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024


def training_step(loss, parameters, engine):
    """One step: loss, backward, fused AdamW, gradients cleared; tuned engines take the faster clearing."""
    import torch

    optimiser = torch.optim.AdamW(parameters, 1e-6, weight_decay=0.01, fused=True)

    def step(drop=True):
        loss().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=drop)

    if engine == "eager":
        return step
    fastest = {}
    for drop in (True, False):
        for _ in range(WARM_UP):
            step(drop)
        fastest[drop] = min(milliseconds(lambda: step(drop)) for _ in range(3))
    drop = min(fastest, key=fastest.get)
    return lambda: step(drop)


def autocast(engine):
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=engine.startswith("bf16"))


def compiled(engine, function, **options):
    """`function` through torch.compile where the engine asks for it."""
    import torch

    return torch.compile(function, **options) if engine.endswith("compile") else function
