"""Reference losses of the first 20 updates of tuning text encoders, from PyTorch in double precision.

    pip install torch transformers peft torchvision timm numpy
    python trajectories_text.py     # rewrites trajectories_text.json beside this file

As `trajectories.py`, whose schedule, decay and clipping these have, with the small encoders and weights of
../../../nn/tests/reference/encoders.py; the mean of a text's tokens is scaled to length 1. Batch b (0..3, in
turn) holds sequences of LENGTHS tokens: token t of sequence s is (7919 t + 104729 (s + 4 b) + 17) mod
vocabulary, of type 0, and its label is (s + b) mod 5. The groups are the embeddings, the first layer, the
second, and the head.

`lora` is PEFT's own (LoraConfig, rank 4, alpha 8) on all matrices of attention and of the feed-forward networks.
Ours holds queries, keys and values as one matrix with one A; so PEFT's three adapters of a layer share the A
that is filled by the name of the queries, and their three B are the rows of ours.
`gradual` is the first phase of it: the second layer learns. In `full`, the head learns at 100 times the rate.
"""

import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "../../../nn/tests/reference"))
from encoders import FEATURES, HEADS, HIDDEN, LAYERS, LONGEST, VOCABULARY, FAMILIES, build  # noqa: E402
from recipes import filled  # noqa: E402
from trajectories import DECAY, STEPS, factor  # noqa: E402

LENGTHS = [9, 33, 4, 17]
METHODS = [
    # method, optimiser, lr, clip
    ("full", "adamw", 2e-4, True),
    ("discriminative", "sgd", 5e-3, True),
    ("gradual", "adamw", 5e-4, False),
    ("bitfit", "adamw", 1e-3, False),
    ("norm-tune", "adamw", 1e-3, False),
    ("lora", "adamw", 5e-4, False),
]


def group_of(key):
    if key.startswith("embeddings."):
        return 0
    return 1 + int(key.split(".layer.")[1].split(".")[0])


def adapted(model):
    """The parameters of PEFT's adapters, put into `model` in place; A is filled by its name, B is zero."""
    matrices = [k.removesuffix(".weight") for k, p in model.named_parameters()
                if p.dim() == 2 and not k.startswith("embeddings.")]
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, bias="none", target_modules=matrices)
    get_peft_model(model, config)
    model.double()
    tensors = {}
    for name in matrices:
        layer = model.get_submodule(name)
        layer.lora_A["default"].weight.data = filled(f"{name}.lora_A.weight", (4, layer.in_features)).double()
        tensors[f"{name}.b"] = layer.lora_B["default"].weight
        # Queries own the A that keys and values share.
        for names in [("query", "key", "value"), ("q_lin", "k_lin", "v_lin")]:
            stem, _, last = name.rpartition(".")
            if last in names[1:]:
                layer.lora_A["default"].weight = model.get_submodule(f"{stem}.{names[0]}").lora_A["default"].weight
                break
        else:
            tensors[f"{name}.a"] = layer.lora_A["default"].weight
    return tensors


def case(family, method, optimiser, lr, clip):
    types = FAMILIES[family][1]
    model = build(family, VOCABULARY, LONGEST, types, FEATURES, HEADS, HIDDEN, LAYERS).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(filled(key, parameter.shape))
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    model = model.double()
    n, longest = len(LENGTHS), max(LENGTHS)

    def batch(b):
        ids = torch.ones((n, longest), dtype=torch.long)
        keep = torch.zeros((n, longest), dtype=torch.long)
        for s, length in enumerate(LENGTHS):
            t = torch.arange(length)
            ids[s, :length] = (7919 * t + 104729 * (s + 4 * b) + 17) % VOCABULARY
            keep[s, :length] = 1
        return ids, keep

    def features(b):
        ids, keep = batch(b)
        arguments = {"input_ids": ids, "attention_mask": keep}
        if family == "roberta":
            arguments["position_ids"] = torch.arange(longest).expand(n, longest) + 2
        rows = model(**arguments).last_hidden_state
        weight = keep.unsqueeze(2).double()
        return F.normalize((rows * weight).sum(1) / weight.sum(1))

    head = {key: filled(key, size).double().requires_grad_() for key, size in
            [("head.weight", (5, FEATURES)), ("head.bias", (5,))]}
    named = dict(model.named_parameters())
    of_norm = {k for k in named if "norm" in k.lower()}
    chosen = {
        "full": lambda k, p: True,
        "discriminative": lambda k, p: True,
        "gradual": lambda k, p: group_of(k) == LAYERS,
        "bitfit": lambda k, p: k.endswith("bias"),
        "norm-tune": lambda k, p: k in of_norm,
        "lora": lambda k, p: False,
    }[method]
    learns = {k: p for k, p in named.items() if chosen(k, p)}
    for k, p in named.items():
        p.requires_grad_(k in learns)
    groups = LAYERS + 1
    rate = {k: 0.8 ** (groups - group_of(k)) if method == "discriminative" else 1.0 for k in learns}
    tensors = {k: (p, rate[k], p.dim() > 1) for k, p in learns.items()}
    if method == "lora":
        tensors = {k: (p, 1.0, True) for k, p in adapted(model).items()}
    of_head = 100.0 if method == "full" else 1.0
    tensors |= {k: (p, of_head, p.dim() > 1) for k, p in head.items()}
    values = [{"params": [p], "rate": r, "decays": d} for p, r, d in tensors.values()]
    rule = (torch.optim.AdamW(values, lr=lr, weight_decay=0.0) if optimiser == "adamw"
            else torch.optim.SGD(values, lr=lr, momentum=0.9))

    losses = []
    for step in range(STEPS):
        b = step % 4
        labels = (torch.arange(n) + b) % 5
        loss = F.cross_entropy(features(b) @ head["head.weight"].T + head["head.bias"], labels)
        rule.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if clip:
            torch.nn.utils.clip_grad_norm_([p for p, _, _ in tensors.values() if p.grad is not None], 1.0)
        for group in rule.param_groups:
            group["lr"] = lr * factor(step) * group["rate"]
            if group["decays"]:
                with torch.no_grad():
                    group["params"][0].mul_(1 - group["lr"] * DECAY)
        rule.step()
    print(family, method, [f"{x:.4f}" for x in losses[::4]], f"{losses[-1]:.4f}", flush=True)
    return {"recipe": family, "input": LENGTHS, "method": method, "norm": "running", "optimiser": optimiser,
            "lr": lr, "clip": clip, "losses": losses,
            "learning": sum(p.numel() for p, _, _ in tensors.values())}  # fmt: skip


if __name__ == "__main__":
    results = [case(family, *method) for family in FAMILIES for method in METHODS]
    (HERE / "trajectories_text.json").write_text(json.dumps(results, indent=1) + "\n")
