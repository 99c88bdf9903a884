"""How far PyTorch's own bf16 training strays from double precision, as a bound for ours.

    pip install torch torchvision timm numpy
    python training_bf16.py     # rewrites training_bf16.json beside this file

Networks, inputs and exact gradients are those of training.json; the passes here run under
`torch.autocast("cpu", torch.bfloat16)` with weights in single precision, as users train. `error` is the
root mean square, over all arrays that have a gradient, of the relative error of their samples.
"""

import json
import pathlib

import torch

from training import filled, one_pass

RECIPES = (
    "digits_mnist", "digits_usps", "digits_svhn", "mobilenet_v2", "efficientnet_b0", "efficientnet_lite0",
    "resnet18", "resnext50_32x4d", "vgg16_bn",
)  # fmt: skip


def error(case):
    with torch.autocast("cpu", torch.bfloat16):
        x = filled(case["key"], tuple(case["input"]))
        _, rounded = one_pass(case["recipe"], case["norm"], x, lambda model: model.float())
    largest = max(g["rms"] for g in case["gradients"].values())
    squares = [
        ((a - b) / exact["rms"]) ** 2
        for key, exact in case["gradients"].items()
        if exact["rms"] > 1e-9 * largest
        for a, b in zip(exact["values"], rounded["gradients"][key]["values"])
    ]
    return (sum(squares) / len(squares)) ** 0.5


def main():
    here = pathlib.Path(__file__)
    out = []
    for case in json.loads(here.with_name("training.json").read_text())["networks"]:
        if case["recipe"] in RECIPES:
            found = {"recipe": case["recipe"], "norm": case["norm"], "error": float(f"{error(case):.3g}")}
            print(found)
            out.append(found)
    here.with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
