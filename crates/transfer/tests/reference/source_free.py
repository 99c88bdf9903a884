"""Losses of answers without labels, and their slopes, by PyTorch in double precision.

    python source_free.py   (torch 2.15.0; writes source_free.json beside it)

Entropy as in Wang et al. 2021 (arXiv:2006.10726), filtered as in Niu et al. 2022 (arXiv:2204.02610); the diversity of
Liang et al. 2020 (arXiv:2002.08546) as a divergence from equal shares, and from others; cross-entropy where only some
rows have a label.
"""

import json
import math
import pathlib

import torch

N, CLASSES = 6, 4
torch.manual_seed(5)
logits = (3 * torch.randn(N, CLASSES, dtype=torch.float64)).float().double()


def measured(loss):
    at = logits.clone().requires_grad_()
    value = loss(at)
    value.backward()
    return {"value": value.item(), "slope": at.grad.flatten().tolist()}


def entropies(at):
    return torch.distributions.Categorical(logits=at).entropy()


def divergence(at, expected):
    mean = at.softmax(1).mean(0)
    return torch.nn.functional.kl_div(torch.tensor(expected, dtype=torch.float64).log(), mean, reduction="sum")


limit = 0.4 * math.log(CLASSES)
kept = entropies(logits) < limit
labels = torch.tensor([i % CLASSES if i % 3 != 1 else -100 for i in range(N)])
document = {
    "logits": logits.flatten().tolist(),
    "entropy": measured(lambda at: entropies(at).mean()),
    "filtered": {"limit": limit, "kept": int(kept.sum()), **measured(lambda at: entropies(at)[kept].mean())},
    "diversity": measured(lambda at: divergence(at, [1 / CLASSES] * CLASSES)),
    "shares": measured(lambda at: divergence(at, [0.5, 0.2, 0.2, 0.1])),
    "labels": measured(lambda at: torch.nn.functional.cross_entropy(at, labels)),
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(document, indent=1) + "\n")
