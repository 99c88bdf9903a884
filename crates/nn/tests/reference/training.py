"""Reference gradients of every backbone in training form, from PyTorch.

    pip install torch torchvision timm numpy
    python training.py [RECIPE…]     # rewrites training.json beside this file, or these networks in it

Networks, weights and inputs are those of recipes.py, in double precision, and dropout is off. Batch
norms use the running statistics, and learn all the same (`running`), or the batch's (`batch`, for the
small networks). The deep networks use the batch's without ReLUs (`smooth`): over few pixels, one
activation that rounding takes to the other side of a kink moves gradients by percents. The loss of a
network is the sum of its feature vector times the array called `probe` (as big as the features). A
gradient jumps where a ReLU's input is zero (or six), and single precision may end up on the other side;
so of the inputs `input 0`..`input 11`, each network gets the one that stays farthest from such kinks
(ResNet-50, of `input 0`..`input 63`), and the distance is kept as `margin`. Kept are the features, every
parameter's gradient and every running statistic after the pass: shape-free samples (root mean square,
and the values at the flat indices splitmix64(k) mod length, k = 0..3) of arrays in the checkpoint's
layout.

`single` is the largest relative error that PyTorch itself makes in the gradients when it computes in
single precision: deep batch norms over few pixels are ill-conditioned.

`steps` are three optimiser steps of digits_svhn on softmax cross-entropy with label smoothing 0.1,
sample i having label i, for two optimisers: losses before each step, and all weights after the last.
Decay is 0.05 on arrays of more than one dimension, and none on the others. Adam makes a whole step of
a small gradient's rounding, and may cross a kink on the way: of `input 0`..`input 11`, the last moves
PyTorch's own single precision least (4e-6 of a weight array's root mean square; others up to 2e-2).
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn

from recipes import RECIPES, channels_last, filled, splitmix64

SHAPES = {
    "digits_mnist": (3, 28, 28, 1),
    "digits_usps": (3, 16, 16, 1),
    "digits_svhn": (3, 32, 32, 3),
    "vgg16_bn": (2, 33, 32, 3),
    "craft_vgg16_bn": (2, 33, 32, 3),
}
USUAL = (3, 39, 35, 3)


def sample(x):
    flat = x.detach().flatten()
    at = splitmix64(np.arange(4, dtype=np.uint64)) % np.uint64(flat.numel())
    values = flat[torch.from_numpy(at.astype(np.int64))]
    rms = flat.square().mean().sqrt().item()
    return {"rms": float(f"{rms:.7g}"), "values": [float(f"{v:.7g}") for v in values.tolist()]}


def network(name, norm):
    builder, _ = RECIPES[name]
    model, run = builder(name)
    state = {
        key: filled(key, tuple(value.shape)) if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }
    # Keys are those of this project's recipes where recipes.py says so.
    model.load_state_dict(state)
    model.double().train(norm != "running")
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if norm == "smooth" and isinstance(part, (nn.ReLU, nn.ReLU6)):
            part.forward = lambda x: x
    return model, run


def features(run, x):
    outputs = [value for name, value in run(x) if name != "logits"]
    return channels_last(outputs[-1])


def margins(model, margin):
    """Notes the least distance of any ReLU's input from a kink."""

    def note(part, inputs):
        (x,) = inputs
        margin.append(x.abs().min().item())
        if isinstance(part, nn.ReLU6):
            margin.append((x - 6).abs().min().item())

    for part in model.modules():
        if isinstance(part, (nn.ReLU, nn.ReLU6)) and "forward" not in vars(part):
            part.register_forward_pre_hook(note)


def smooth_input(name, norm, shape):
    model, run = network(name, norm)
    margin, best = [], (-1.0, "")
    margins(model, margin)
    for salt in range(64 if name == "resnet50" else 12):
        margin[:] = [math.inf]
        with torch.no_grad():
            run(filled(f"input {salt}", shape).double().permute(0, 3, 1, 2))
        best = max(best, (min(margin), f"input {salt}"))
        if math.isinf(min(margin)):
            break
    return best


def gradients(name, norm):
    shape = SHAPES.get(name, USUAL)
    margin, key = smooth_input(name, norm, shape)
    print(name, norm, key, f"margin {margin:.1e}")
    y, found = one_pass(name, norm, filled(key, shape).double(), lambda model: model.double())
    _, rounded = one_pass(name, norm, filled(key, shape), lambda model: model.float())
    largest = max(g["rms"] for g in found["gradients"].values())
    single = 0.0
    for k, exact in found["gradients"].items():
        if exact["rms"] > 1e-9 * largest:
            errors = [abs(a - b) for a, b in zip(exact["values"], rounded["gradients"][k]["values"])]
            single = max(single, max(errors) / exact["rms"])
    print(f"    PyTorch's own single precision: {single:.1e}")
    return {
        "recipe": name,
        "norm": norm,
        "key": key,
        "margin": float(f"{margin:.3g}") if math.isfinite(margin) else None,
        "input": shape,
        "single": float(f"{single:.3g}"),
        "features": sample(y),
        **found,
    }


def one_pass(name, norm, x, precision):
    model, run = network(name, norm)
    precision(model)
    y = features(run, x.permute(0, 3, 1, 2))
    probe = filled("probe", (1, y.numel())).to(y.dtype).reshape(y.shape)
    (y * probe).sum().backward()
    grads = {k: sample(p.grad) for k, p in model.named_parameters() if p.grad is not None}
    # Norms behind the features saw nothing.
    norms = {k.rsplit(".", 1)[0] for k in grads}
    buffers = {k: sample(b) for k, b in model.named_buffers() if "running" in k}
    statistics = {k: b for k, b in buffers.items() if k.rsplit(".", 1)[0] in norms}
    return y, {"gradients": grads, "statistics": statistics}


def steps(rule):
    model, run = network("digits_svhn", "batch")
    key = "input 11"
    x = filled(key, (3, 32, 32, 3)).double().permute(0, 3, 1, 2)
    learnt = [(k, p) for k, p in model.named_parameters() if not k.startswith("classifier.4")]
    groups = [
        {"params": [p for _, p in learnt if p.dim() > 1], "weight_decay": 0.05},
        {"params": [p for _, p in learnt if p.dim() == 1], "weight_decay": 0.0},
    ]
    if rule == "adamw":
        optimiser = torch.optim.AdamW(groups, lr=1e-2)
    else:
        optimiser = torch.optim.SGD(groups, lr=1e-2, momentum=0.9, nesterov=True)
    losses = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(features(run, x), torch.arange(3), label_smoothing=0.1)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {"rule": rule, "key": key, "losses": losses, "weights": {k: sample(p) for k, p in learnt}}


def modes(name):
    return ("running", "batch" if name.startswith("digits") else "smooth")


def main():
    path = pathlib.Path(__file__).with_suffix(".json")
    wanted = sys.argv[1:] or list(RECIPES)
    kept = json.loads(path.read_text())["networks"] if sys.argv[1:] else []
    networks = [n for n in kept if n["recipe"] not in wanted]
    networks += [gradients(name, norm) for name in wanted for norm in modes(name)]
    networks.sort(key=lambda n: list(RECIPES).index(n["recipe"]))
    out = {"networks": networks, "steps": [steps("adamw"), steps("sgd")]}
    path.write_text(json.dumps(out, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
