"""Reference values and gradients of terms of alignment, from PyTorch's autograd in double precision.

    pip install torch scipy
    python align.py     # rewrites align.json beside this file

Inputs are rounded to single precision, so that both sides begin with the same numbers. `given` holds them: a
batch of five samples of the source and five of the target, with features [10, 6] and logits [10, 3]; and the
tensors of the terms' own networks, under the names that checkpoints have for them. Formulas are the papers'; where
the authors' code holds a tensor constant (`detach`) or reverses a gradient, so does this.

Each case of `terms` is what a user writes, the share of training that is done, the term's value, and its gradients
with respect to features, to logits as the features below see them (`to_logits`), to logits as only the head sees
them beyond that (`to_head`), and to the term's own tensors.
"""

import json
import math
import pathlib

import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

SOURCE, N, DIM, CLASSES, HIDDEN = 5, 10, 6, 3, 4
torch.manual_seed(0)


def draw(*shape, scale=1.0):
    return (scale * torch.randn(*shape)).float().double()


given = {"features": draw(N, DIM), "logits": draw(N, CLASSES, scale=2.0)}
for name, sizes in {
    "dann": [DIM, HIDDEN, HIDDEN, 1],
    "cdan": [DIM * CLASSES, HIDDEN, HIDDEN, 1],
    "mdd": [DIM, HIDDEN, CLASSES],
}.items():
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        given[f"{name}.{i}.weight"] = draw(outputs, inputs, scale=0.7)
        given[f"{name}.{i}.bias"] = draw(outputs, scale=0.3)
given["mcd.weight"] = draw(CLASSES, DIM, scale=0.7)
given["mcd.bias"] = draw(CLASSES, scale=0.3)
labels = torch.arange(SOURCE) % CLASSES


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.factor * gradient, None


def reversal(p):
    return 2 / (1 + math.exp(-10 * p)) - 1


def halves(x):
    return x[:SOURCE], x[SOURCE:]


def network(x, name, rows):
    layers = 0
    while f"{name}.{layers}.weight" in x:
        rows = F.linear(rows if layers == 0 else F.relu(rows), x[f"{name}.{layers}.weight"], x[f"{name}.{layers}.bias"])
        layers += 1
    return rows


def deep_coral(x, p, weight):
    # Pairs of different rows only, whose mean product of outer products has no bias but for the centring.
    def outer(rows):
        centred = (rows - rows.mean(0)) * math.sqrt(len(rows) / (len(rows) - 1))
        return centred[:, :, None] * centred[:, None, :]

    s, t = (outer(half) for half in halves(x["features"]))
    apart = [(i, j) for i in range(SOURCE) for j in range(SOURCE) if i != j]
    within = sum((half[i] * half[j]).sum() for half in (s, t) for i, j in apart) / len(apart)
    return weight * (within - 2 * (s.mean(0) * t.mean(0)).sum()) / (4 * DIM**2)


def deep_coral_of_batch(x, p, weight):
    s, t = (torch.cov(half.T) for half in halves(x["features"]))
    return weight * (s - t).square().sum() / (4 * DIM**2)


def mmd(kernel):
    ss, tt, st = kernel[:SOURCE, :SOURCE], kernel[SOURCE:, SOURCE:], kernel[:SOURCE, SOURCE:]

    def within(k):
        n = len(k)
        return (k.sum() - k.diagonal().sum()) / (n * (n - 1))

    return within(ss) + within(tt) - 2 * st.mean()


def several(rows):
    d = (rows[:, None] - rows[None]).square().sum(2)
    mean = (d.sum() / (N * (N - 1))).detach()
    return torch.stack([torch.exp(-d / (2 * 2.0**k * mean)) for k in range(-3, 2)]).mean(0)


def dan(x, p, weight):
    return weight * mmd(several(x["features"]))


def jan(x, p, weight):
    said = F.softmax(x["logits"], 1)
    d = (said[:, None] - said[None]).square().sum(2)
    return weight * mmd(several(x["features"]) * torch.exp(-d / (2 * 0.92**2)))


def domains(said, each):
    is_source = (torch.arange(N) < SOURCE).double()
    loss = F.binary_cross_entropy_with_logits(said.squeeze(1), is_source, reduction="none")
    s, t = halves(each)
    return ((loss[:SOURCE] * s).sum() / s.sum() + (loss[SOURCE:] * t).sum() / t.sum()) / 2


def dann(x, p, weight):
    said = network(x, "dann", Reverse.apply(x["features"], reversal(p)))
    return weight * domains(said, torch.ones(N).double())


def entropies(probabilities):
    return -(probabilities * probabilities.log()).sum(1)


def cdan(x, p, weight, entropy):
    said = F.softmax(x["logits"], 1).detach()
    products = said[:, :, None] * Reverse.apply(x["features"], reversal(p))[:, None, :]
    each = 1 + torch.exp(-entropies(said)) if entropy else torch.ones(N).double()
    return weight * domains(network(x, "cdan", products.flatten(1)), each)


def mcc(x, p, weight, temperature):
    said = F.softmax(x["logits"][SOURCE:] / temperature, 1)
    each = 1 + torch.exp(-entropies(said).detach())
    each = each * len(said) / each.sum()
    confusion = (said * each[:, None]).T @ said
    confusion = confusion / confusion.sum(1, keepdim=True)
    return weight * (confusion.sum() - confusion.trace()) / CLASSES


def afn(x, p, weight, delta):
    # The same gradient as of the published loss, which is constant; see the Rust file.
    published, told = 0, 0
    for half in halves(x["features"]):
        lengths = half.norm(dim=1)
        published = published + weight * ((lengths.detach() + delta - lengths) ** 2).mean()
        told = told - 2 * delta * weight * lengths.mean()
    return told.detach() + published - published.detach()


def bsp(x, p, weight, k):
    return weight * sum(torch.linalg.svdvals(half)[:k].square().sum() for half in halves(x["features"]))


def mdd(x, p, weight, margin):
    said = network(x, "mdd", Reverse.apply(x["features"], 0.1 * reversal(p)))
    answers = x["logits"].detach().argmax(1)
    agrees = F.softmax(said, 1)[torch.arange(N), answers]
    return weight * (-margin * agrees[:SOURCE].log().mean() - (1 - agrees[SOURCE:]).log().mean())


def mcd(x, p, weight):
    def second(rows):
        return F.linear(rows, x["mcd.weight"], x["mcd.bias"])

    s, t = halves(x["features"])
    labelled = F.cross_entropy(second(s), labels)
    said = F.softmax(second(Reverse.apply(t, reversal(p))), 1)
    first = F.softmax(x["logits"][SOURCE:], 1)
    return weight * (labelled - (first - said).abs().mean())


def deep_jdot(x, p, weight, alpha, beta):
    s, t = halves(x["features"])
    surprise = -F.log_softmax(x["logits"][SOURCE:], 1)[:, labels].T
    cost = alpha * (s[:, None] - t[None]).square().sum(2) + beta * surprise
    pairs = linear_sum_assignment(cost.detach().numpy())
    return weight * cost[pairs].mean()


CASES = [
    ("deep-coral(weight=2)", 0.5, deep_coral, {"weight": 2}),
    ("deep-coral(weight=2,unbiased=0)", 0.5, deep_coral_of_batch, {"weight": 2}),
    ("dan(weight=1.5)", 0.5, dan, {"weight": 1.5}),
    ("jan(weight=0.5)", 0.5, jan, {"weight": 0.5}),
    ("dann(weight=0.7,hidden=4)", 0.3, dann, {"weight": 0.7}),
    ("dann(hidden=4)", 0.0, dann, {"weight": 1}),
    ("cdan(weight=2,hidden=4)", 0.2, cdan, {"weight": 2, "entropy": True}),
    ("cdan(hidden=4,entropy=0)", 0.6, cdan, {"weight": 1, "entropy": False}),
    ("mcc(weight=3)", 0.5, mcc, {"weight": 3, "temperature": 2.5}),
    ("mcc(temperature=1)", 0.5, mcc, {"weight": 1, "temperature": 1}),
    ("afn(weight=0.5,delta=2)", 0.5, afn, {"weight": 0.5, "delta": 2}),
    ("bsp(weight=0.1,k=2)", 0.5, bsp, {"weight": 0.1, "k": 2}),
    ("mdd(weight=2,margin=3,hidden=4)", 0.4, mdd, {"weight": 2, "margin": 3}),
    ("mcd(weight=2)", 0.4, mcd, {"weight": 2}),
    ("deep-jdot(weight=2,alpha=0.3,beta=0.5)", 0.5, deep_jdot, {"weight": 2, "alpha": 0.3, "beta": 0.5}),
]


def case(text, progress, term, options):
    x = {key: value.clone().requires_grad_() for key, value in given.items()}
    value = term(x, progress, **options)
    value.backward()
    zero = {key: torch.zeros_like(value) for key, value in given.items()}
    gradient = {key: zero[key] if v.grad is None else v.grad for key, v in x.items()}
    to_logits, to_head = gradient["logits"], torch.zeros(N, CLASSES).double()
    if term is mcd:
        # The head sees the gradient, features below it the opposite times the reversal.
        to_logits, to_head = -reversal(progress) * to_logits, (1 + reversal(progress)) * to_logits
    name = text.split("(")[0]
    return {
        "text": text,
        "progress": progress,
        "value": value.item(),
        "to_features": gradient["features"].flatten().tolist(),
        "to_logits": to_logits.flatten().tolist(),
        "to_head": to_head.flatten().tolist(),
        "own": {key: g.flatten().tolist() for key, g in gradient.items() if key.startswith(f"{name}.")},
    }


reference = {
    "given": {key: value.flatten().tolist() for key, value in given.items()},
    "labels": labels.tolist(),
    "terms": [case(*c) for c in CASES],
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(reference) + "\n")
