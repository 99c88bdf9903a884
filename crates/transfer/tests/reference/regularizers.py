"""Reference values and gradients of regularisers, from PyTorch's autograd in double precision.

    pip install torch
    python regularizers.py     # rewrites regularizers.json beside this file

Inputs are rounded to single precision, so that both sides begin with the same numbers. `given` holds them:
a batch of six samples with features [6, 8], logits [6, 3] and a feature map [6, 4 pixels, 8 channels]
(`map`, with `source_map` of the frozen network); the source's features of the six training samples
(`source_features`), its own classifier of five classes (`classifier_weight`, `classifier_bias`) and the
head that was fitted on its features (`head_weight`, `head_bias`). The classifier that LWF and co-tuning
tune along has moved away from the source's by `moved_weight` and `moved_bias`. Of R-Drop, samples 3, 4, 5
are samples 0, 1, 2 once more.

Each case of `terms` is what a user writes, the term's value, and its gradients with respect to features,
logits, map and the term's own tensors. `cross_entropy` has soft targets, with smoothing and weights.
"""

import json
import pathlib

import torch
from torch.nn import functional as F

N, DIM, CLASSES, PIXELS, SOURCE = 6, 8, 3, 4, 5
torch.manual_seed(0)


def draw(*shape, scale=1.0):
    return (scale * torch.randn(*shape)).float().double()


given = {
    "features": draw(N, DIM),
    "logits": draw(N, CLASSES, scale=2.0),
    "map": draw(N, PIXELS, DIM),
    "source_map": draw(N, PIXELS, DIM),
    "source_features": draw(N, DIM),
    "classifier_weight": draw(SOURCE, DIM),
    "classifier_bias": draw(SOURCE),
    "moved_weight": draw(SOURCE, DIM, scale=0.3),
    "moved_bias": draw(SOURCE, scale=0.3),
    "head_weight": draw(CLASSES, DIM),
    "head_bias": draw(CLASSES),
    "targets": torch.softmax(draw(N, CLASSES), 1).float().double(),
}
labels = torch.arange(N) % CLASSES
weights = torch.tensor([0.5, 2.0, 1.25]).double()


def source_logits():
    return given["source_features"] @ given["classifier_weight"].T + given["classifier_bias"]


def bss(x, k, eta):
    return eta * torch.linalg.svdvals(x["features"])[-k:].square().sum()


def lwf(x, weight, temperature):
    now = x["features"] @ x["weight"].T + x["bias"]
    return weight * temperature**2 * F.kl_div(
        F.log_softmax(now / temperature, 1), F.softmax(source_logits() / temperature, 1), reduction="batchmean")


def co_tuning(x, weight):
    answers = F.softmax(source_logits(), 1)
    relation = torch.stack([answers[labels == c].mean(0) for c in range(CLASSES)])
    return weight * F.cross_entropy(x["features"] @ x["weight"].T + x["bias"], relation[labels])


def r_drop(x, alpha):
    p, q = F.log_softmax(x["logits"][: N // 2], 1), F.log_softmax(x["logits"][N // 2:], 1)
    both = [F.kl_div(b, a, reduction="batchmean", log_target=True) for a, b in ((p, q), (q, p))]
    return alpha * sum(both) / 2


def delta(x, beta):
    def loss(features):
        return F.cross_entropy(features @ given["head_weight"].T + given["head_bias"], labels)

    features = given["source_features"]
    growth = []
    for channel in range(DIM):
        without = features.clone()
        without[:, channel] = 0
        growth.append(loss(without) - loss(features))
    growth = torch.stack(growth)
    attention = DIM * torch.softmax((growth - growth.mean()) / growth.std(correction=0) / 5, 0)
    distance = (x["map"] - given["source_map"]).square().mean((0, 1))
    return beta * (attention * distance).sum()


CASES = [
    ("bss(k=1,eta=0.5)", lambda x: bss(x, 1, 0.5)),
    ("bss(k=3,eta=0.25)", lambda x: bss(x, 3, 0.25)),
    ("co-tuning(weight=0.75)", lambda x: co_tuning(x, 0.75)),
    ("delta(beta=0.5)", lambda x: delta(x, 0.5)),
    ("lwf(weight=1.5)", lambda x: lwf(x, 1.5, 2.0)),
    ("lwf(weight=0.5,temperature=1)", lambda x: lwf(x, 0.5, 1.0)),
    ("r-drop(alpha=2)", lambda x: r_drop(x, 2.0)),
]


def flat(tensor):
    return tensor.flatten().tolist()


def term(text, value_of):
    x = {key: given[key].clone() for key in ("features", "logits", "map")}
    for field in ("weight", "bias"):
        # As single precision adds them.
        x[field] = (given[f"classifier_{field}"].float() + given[f"moved_{field}"].float()).double()
    for tensor in x.values():
        tensor.requires_grad_()
    value = value_of(x)
    gradients = torch.autograd.grad(value, list(x.values()), allow_unused=True)
    case = {"text": text, "value": value.item()}
    for (key, tensor), gradient in zip(x.items(), gradients):
        case[f"to_{key}"] = flat(torch.zeros_like(tensor) if gradient is None else gradient)
    return case


def cross_entropy(smoothing, weighted):
    logits = given["logits"].clone().requires_grad_()
    value = F.cross_entropy(logits, given["targets"], label_smoothing=smoothing, weight=weights if weighted else None)
    value.backward()
    return {"label_smoothing": smoothing, "class_weights": flat(weights) if weighted else None,
            "value": value.item(), "to_logits": flat(logits.grad)}


if __name__ == "__main__":
    document = {
        "given": {key: flat(value) for key, value in given.items()},
        "labels": labels.tolist(),
        "terms": [term(*case) for case in CASES],
        "cross_entropy": [cross_entropy(s, w) for s in (0.0, 0.1) for w in (False, True)],
    }
    target = pathlib.Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(document, indent=None, separators=(",", ":")).replace('},{', '},\n{') + "\n")
