"""Reference outputs of every backbone, stage by stage, from PyTorch.

    pip install torch torchvision timm numpy
    python recipes.py [RECIPE…]  # rewrites recipes/*.json beside this file, or these of them

The networks are those of timm and torchvision; the digit networks of ccexam 1.0.0 are written out
below. All run in double precision and evaluation mode, so what is stored is the true value to within
float32 rounding of the weights.

Weights and inputs need no file. Value i of the array called `key` comes from

    h = fnv1a64(key)
    r = splitmix64(h + i)                      (64 bits, wrapping)
    u = (r >> 40) / 2^24                       in [0, 1), exact in float32

and is, in float32,

    running_var                    0.5 + u
    1-D `weight` (a norm's scale)  0.75 + 0.5 u
    other 1-D arrays               (2u - 1) * 0.25
    arrays of more dimensions      (2u - 1) * b,  b = float32(sqrt(4.5 / fan_in)),
                                   fan_in = product of all sizes but the first
    `input…`, [n, h, w, c]         (2u - 1) * 2

Of every stage's output, as [n, h, w, c] or [n, d], the file keeps its shape, mean, root mean square,
and the values at the flat indices splitmix64(k) mod length, k = 0..63.
"""

import json
import math
import pathlib
import sys

import numpy as np
import timm
import torch
import torchvision
from torch import nn

MASK = (1 << 64) - 1


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def splitmix64(x):
    """One step of SplitMix64 on an array of uint64; arithmetic wraps."""
    with np.errstate(over="ignore"):
        z = x + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def filled(key, shape):
    n = math.prod(shape)
    with np.errstate(over="ignore"):
        r = splitmix64(np.uint64(fnv1a64(key)) + np.arange(n, dtype=np.uint64))
    u = (r >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    signed = np.float32(2) * u - np.float32(1)
    if key.startswith("input"):
        out = signed * np.float32(2)
    elif key.endswith("running_var"):
        out = np.float32(0.5) + u
    elif len(shape) == 1 and key.endswith("weight"):
        out = np.float32(0.75) + np.float32(0.5) * u
    elif len(shape) == 1:
        out = signed * np.float32(0.25)
    else:
        out = signed * np.float32(math.sqrt(4.5 / math.prod(shape[1:])))
    return torch.from_numpy(out.reshape(shape))


def grey_digits(norms, last, side):
    """ccexam's MNISTNet and USPSNet."""
    layers, inputs = [], 1
    for outputs in (32, 64):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if norms else []
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        inputs = outputs
    hidden = [nn.Linear(64 * (side // 4) ** 2, 128), nn.ReLU()]
    if norms:
        classifier = [nn.Dropout(0.3), *hidden, nn.Dropout(0.3), nn.Linear(128, last)]
    else:
        classifier = [*hidden, nn.Linear(128, last)]
    return nn.ModuleDict({"features": nn.Sequential(*layers), "classifier": nn.Sequential(*classifier)})


def house_numbers():
    """ccexam's SVHNNet."""

    def block(i, o):
        return nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(),
            nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(),
            nn.MaxPool2d(2),
        )  # fmt: skip

    return nn.ModuleDict({
        "features": nn.Sequential(block(3, 32), block(32, 64), block(64, 128)),
        "classifier": nn.Sequential(
            nn.Dropout(0.3), nn.Linear(128 * 16, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10)
        ),
    })  # fmt: skip


def mean(x):
    return x.mean((2, 3))


def sequence(parts):
    """Runs (stage name, function) pairs one after the other and keeps every output."""

    def run(x):
        out = []
        for name, part in parts:
            x = part(x)
            out.append((name, x))
        return out

    return run


def efficientnet(name):
    m = timm.create_model(f"tf_{name}" if "lite" in name else name)
    stages = [(f"stage{i + 1}", stage) for i, stage in enumerate(m.blocks)]
    stem = ("stem", lambda x: m.bn1(m.conv_stem(x)))
    top = ("top", lambda x: m.bn2(m.conv_head(x)))
    return m, sequence([stem, *stages, top, ("pool", mean), ("logits", m.classifier)])


def mobilenet_v2(_):
    m = torchvision.models.mobilenet_v2()
    f = m.features
    bounds = [1, 2, 4, 7, 11, 14, 17, 18]
    stages = [(f"stage{i + 1}", f[a:b]) for i, (a, b) in enumerate(zip(bounds, bounds[1:]))]
    last = [("top", f[18]), ("pool", mean), ("logits", m.classifier)]
    return m, sequence([("stem", f[0]), *stages, *last])


def resnet(name):
    m = getattr(torchvision.models, name)()
    stem = ("stem", nn.Sequential(m.conv1, m.bn1, m.relu, m.maxpool))
    layers = [(f"layer{i}", getattr(m, f"layer{i}")) for i in (1, 2, 3, 4)]
    return m, sequence([stem, *layers, ("pool", mean), ("logits", m.fc)])


def vgg(name):
    m = torchvision.models.vgg16_bn()
    # CRAFT keeps everything up to the twelfth convolution's ReLU.
    bounds = [0, 7, 14, 24, 34, 44 if name == "vgg16_bn" else 40]
    stages = [(f"conv{i + 1}", m.features[a:b]) for i, (a, b) in enumerate(zip(bounds, bounds[1:]))]
    return m, sequence([*stages, ("pool", mean)])


def digits(name):
    if name == "digits_svhn":
        m, bounds, cut = house_numbers(), [0, 1, 2, 3], 3
    elif name == "digits_usps":
        m, bounds, cut = grey_digits(True, 10, 16), [0, 4, 8], 3
    else:
        m, bounds, cut = grey_digits(False, 10, 28), [0, 3, 6], 2
    f, c = m["features"], m["classifier"]
    stages = [(f"conv{i + 1}", f[a:b]) for i, (a, b) in enumerate(zip(bounds, bounds[1:]))]
    hidden = ("hidden", lambda x: c[:cut](x.flatten(1)))
    return m, sequence([*stages, hidden, ("logits", c[cut:])])


# Builder and input shapes [n, h, w, c]; the second is odd in both directions where that is legal.
RECIPES = {
    "efficientnet_b0": (efficientnet, [(2, 64, 64, 3), (1, 75, 67, 3)]),
    "efficientnet_lite0": (efficientnet, [(2, 64, 64, 3), (1, 75, 67, 3)]),
    "efficientnet_lite1": (efficientnet, [(2, 64, 64, 3), (1, 75, 67, 3)]),
    "efficientnet_lite2": (efficientnet, [(2, 64, 64, 3), (1, 75, 67, 3)]),
    "mobilenet_v2": (mobilenet_v2, [(2, 64, 64, 3), (1, 75, 67, 3)]),
    "resnet18": (resnet, [(2, 64, 64, 3), (1, 71, 83, 3)]),
    "resnet34": (resnet, [(2, 64, 64, 3), (1, 71, 83, 3)]),
    "resnet50": (resnet, [(2, 64, 64, 3), (1, 71, 83, 3)]),
    "resnext50_32x4d": (resnet, [(2, 64, 64, 3), (1, 71, 83, 3)]),
    "vgg16_bn": (vgg, [(2, 32, 32, 3), (1, 37, 51, 3)]),
    "craft_vgg16_bn": (vgg, [(2, 32, 32, 3), (1, 37, 51, 3)]),
    "digits_mnist": (digits, [(3, 28, 28, 1)]),
    "digits_usps": (digits, [(3, 16, 16, 1)]),
    "digits_svhn": (digits, [(2, 32, 32, 3)]),
}


def channels_last(x):
    return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).contiguous()


def summary(name, x):
    x = channels_last(x)
    flat = x.flatten()
    at = splitmix64(np.arange(64, dtype=np.uint64)) % np.uint64(flat.numel())
    values = flat[torch.from_numpy(at.astype(np.int64))]
    return {
        "stage": name,
        "shape": list(x.shape),
        "mean": flat.mean().item(),
        "rms": flat.square().mean().sqrt().item(),
        "values": [float(f"{v:.9g}") for v in values.tolist()],
    }


@torch.no_grad()
def main():
    folder = pathlib.Path(__file__).parent / "recipes"
    folder.mkdir(exist_ok=True)
    for name in sys.argv[1:] or RECIPES:
        build, shapes = RECIPES[name]
        model, run = build(name)
        state = {
            key: value if value.dim() == 0 else filled(key, tuple(value.shape))
            for key, value in model.state_dict().items()
        }
        model.load_state_dict(state)
        model.double().eval()
        cases = []
        for shape in shapes:
            x = filled("input", shape).double().permute(0, 3, 1, 2)
            outputs = run(x)
            # `sequence` takes the networks apart; the whole must still be the same.
            if outputs[-1][0] == "logits" and not isinstance(model, nn.ModuleDict):
                assert torch.equal(model(x), outputs[-1][1]), name
            stages = [summary(stage, y) for stage, y in outputs]
            cases.append({"input": list(shape), "stages": stages})
            print(name, shape, *(f"{s['stage']}:{s['rms']:.2f}" for s in stages))
        lines = ",\n".join(
            '{"input": %s, "stages": [\n%s\n]}'
            % (json.dumps(case["input"]), ",\n".join(json.dumps(s) for s in case["stages"]))
            for case in cases
        )
        (folder / f"{name}.json").write_text(f"[{lines}]\n")


if __name__ == "__main__":
    main()
