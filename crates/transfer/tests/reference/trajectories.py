"""Reference losses of the first 20 updates of fine-tuning, from PyTorch in double precision.

    pip install torch torchvision timm numpy
    python trajectories.py     # rewrites trajectories.json beside this file

Networks, weights and inputs are those of ../../../nn/tests/reference/recipes.py. Batch b (0..3, in turn)
is the input called `input b`, eight pictures; sample i of it has label (i + b) mod 5. The head is linear:
`head.weight` [5, features] and `head.bias`, filled by their names like all weights. Each case names what
learns, and how:

- `full`: everything; `running` norms use their running statistics and keep them, `batch` norms the
  batch's;
- `discriminative`: everything, group k of K at lr·0.8^(K−k), where groups are the stages that have
  parameters and the head is group K;
- `last-k`: the last two stages that have parameters;
- `bitfit`: biases, those of norms included; `norm-tune`: weights and biases of norms;
- `lora`: on linear layers and dense convolutions of one pixel, W + (8/4)·B·A with A filled by the name
  `KEY.lora_A.weight` and B zero. W itself stays.

The head learns in every case. The learning rate is lr·factor(step) with `cosine` of 20 steps: a linear
rise over the first two, then half a cosine to zero. Weight decay is 0.05, decoupled for both optimisers,
on weights of convolutions and linear layers (of LoRA, on A and B), never on norms and biases. Gradients
are clipped to a global norm of 1 where `clip` says so. `losses` are those before each update. Rates are
low enough that a rounding in single precision, which takes an activation to the other side of its kink,
does not grow to a visible difference within the 20 updates: with noise of 3e-7 on every weight after every
update, `digits_svhn full running`, the most delicate, strays by 2e-5 at most (five draws; by 7e-3 without
clipping, at a rate of 1e-2).
"""

import json
import math
import pathlib
import sys

import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "../../../nn/tests/reference"))
from recipes import RECIPES, filled, channels_last  # noqa: E402

STEPS, WARM, DECAY = 20, 2, 0.05
CASES = [
    # recipe, shape, method, norms, optimiser, lr, clip
    ("digits_svhn", (8, 32, 32, 3), "full", "batch", "adamw", 2e-4, True),
    ("digits_svhn", (8, 32, 32, 3), "full", "running", "sgd", 1e-3, True),
    ("mobilenet_v2", (8, 64, 64, 3), "full", "running", "adamw", 2e-5, True),
    ("mobilenet_v2", (8, 64, 64, 3), "discriminative", "running", "sgd", 2e-3, True),
    ("mobilenet_v2", (8, 64, 64, 3), "last-k", "running", "adamw", 1e-3, False),
    ("mobilenet_v2", (8, 64, 64, 3), "lora", "running", "adamw", 2e-4, False),
    ("mobilenet_v2", (8, 64, 64, 3), "bitfit", "running", "adamw", 3e-4, False),
    ("mobilenet_v2", (8, 64, 64, 3), "norm-tune", "running", "adamw", 2e-4, False),
    ("resnet18", (8, 64, 64, 3), "full", "batch", "sgd", 1e-2, True),
]
# Stages that have parameters, by the beginnings of their keys.
GROUPS = {
    "digits_svhn": None,
    "resnet18": [["conv1", "bn1"], ["layer1"], ["layer2"], ["layer3"], ["layer4"]],
    "mobilenet_v2": [[f"features.{i}" for i in ids] for ids in
                     [[0], [1], [2, 3], [4, 5, 6], [7, 8, 9, 10], [11, 12, 13], [14, 15, 16], [17], [18]]],
}


def group_of(recipe, key):
    for number, starts in enumerate(GROUPS[recipe] or []):
        if any(key.startswith(start + ".") for start in starts):
            return number
    return 0


def factor(step):
    if step < WARM:
        return (step + 1) / WARM
    return (1 + math.cos(math.pi * (step - WARM) / (STEPS - WARM))) / 2


def case(recipe, shape, method, norms, optimiser, lr, clip):
    builder, _ = RECIPES[recipe]
    model, run = builder(recipe)
    state = {k: filled(k, tuple(v.shape)) if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    model.double().train(norms == "batch")
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0

    def features(x):
        outputs = [value for name, value in run(x) if name != "logits"]
        return channels_last(outputs[-1])

    inputs = [filled(f"input {b}", shape).double().permute(0, 3, 1, 2) for b in range(4)]
    with torch.no_grad():
        dim = features(inputs[0]).shape[1]
        model.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in state.items()})
    head = {key: filled(key, size).double().requires_grad_() for key, size in
            [("head.weight", (5, dim)), ("head.bias", (5,))]}
    named = dict(model.named_parameters())
    # The source's own classifier takes no part.
    features(inputs[0]).sum().backward()
    named = {k: p for k, p in named.items() if p.grad is not None}
    model.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in state.items()})
    of_norm = {f"{name}.{field}" for name, part in model.named_modules()
               if isinstance(part, torch.nn.BatchNorm2d) for field in ("weight", "bias")}
    groups = len(GROUPS[recipe] or [0])
    matrix = lambda k, p: p.dim() > 1 and all(s == 1 for s in p.shape[2:]) and k not in of_norm and not (
        p.shape[1] == 1 and p.shape[0] > 1)
    chosen = {
        "full": lambda k, p: True,
        "discriminative": lambda k, p: True,
        "last-k": lambda k, p: group_of(recipe, k) >= groups - 2,
        "lora": matrix,
        "bitfit": lambda k, p: k.endswith("bias"),
        "norm-tune": lambda k, p: k in of_norm,
    }[method]
    learns = {k: p for k, p in named.items() if chosen(k, p)}
    for k, p in named.items():
        p.requires_grad_(k in learns)
        p.grad = None
    rate = {k: 0.8 ** (groups - group_of(recipe, k)) if method == "discriminative" else 1.0 for k in learns}
    tensors = {k: (p, rate[k], p.dim() > 1) for k, p in learns.items()}
    if method == "lora":
        tensors, base, adapters = {}, {}, {}
        for k, p in learns.items():
            stem = k.removesuffix(".weight")
            a = filled(f"{stem}.lora_A.weight", (4, p.shape[1])).double().requires_grad_()
            b = torch.zeros(p.shape[0], 4, dtype=torch.double, requires_grad=True)
            base[k], adapters[k] = p.detach().clone(), (a, b)
            p.requires_grad_(False)
            tensors[f"{k}.a"], tensors[f"{k}.b"] = (a, 1.0, True), (b, 1.0, True)
    tensors |= {k: (p, 1.0, p.dim() > 1) for k, p in head.items()}
    values = [{"params": [p], "rate": r, "decays": d} for p, r, d in tensors.values()]
    rule = (torch.optim.AdamW(values, lr=lr, weight_decay=0.0) if optimiser == "adamw"
            else torch.optim.SGD(values, lr=lr, momentum=0.9))
    losses = []
    for step in range(STEPS):
        b = step % 4
        labels = (torch.arange(shape[0]) + b) % 5
        if method == "lora":
            merged = {k: base[k] + 2.0 * (adapters[k][1] @ adapters[k][0]).reshape(base[k].shape) for k in base}
            from torch.nn.utils.stateless import _reparametrize_module
            with _reparametrize_module(model, merged):
                out = features(inputs[b])
                loss = F.cross_entropy(out @ head["head.weight"].T + head["head.bias"], labels)
                rule.zero_grad()
                loss.backward()
        else:
            out = features(inputs[b])
            loss = F.cross_entropy(out @ head["head.weight"].T + head["head.bias"], labels)
            rule.zero_grad()
            loss.backward()
        losses.append(loss.item())
        if clip:
            torch.nn.utils.clip_grad_norm_([p for p, _, _ in tensors.values()], 1.0)
        for group in rule.param_groups:
            group["lr"] = lr * factor(step) * group["rate"]
            if group["decays"]:
                with torch.no_grad():
                    group["params"][0].mul_(1 - group["lr"] * DECAY)
        rule.step()
    print(recipe, method, norms, optimiser, [f"{x:.4f}" for x in losses[::4]], f"{losses[-1]:.4f}", flush=True)
    return {"recipe": recipe, "input": shape, "method": method, "norm": norms, "optimiser": optimiser, "lr": lr,
            "clip": clip, "losses": losses, "learning": sum(p.numel() for p, _, _ in tensors.values())}


if __name__ == "__main__":
    torch.set_num_threads(2)
    results = [case(*each) for each in CASES]
    (HERE / "trajectories.json").write_text(json.dumps(results, indent=1) + "\n")
