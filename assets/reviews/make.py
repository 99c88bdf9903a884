"""Writes reviews.csv: 600 sentences of reviews, from the package vaderSentiment (MIT).

    pip download --no-deps --no-binary :all: -d PACKAGES vaderSentiment==3.3.2
    python make.py PACKAGES/vaderSentiment-3.3.2.tar.gz

150 sentences of each domain (Amazon products, films) and opinion, those with the smallest SHA-256 among the
sentences of 5 to 40 words that twenty raters agree on: their mean is 1 or more, or -1 or less, on a scale from
-4 to 4. The group is the review that a sentence is from, where that is known.
"""

import csv
import hashlib
import io
import sys
import tarfile

INSIDE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAINS = {"amazon": "amazonReviewSnippets_GroundTruth.txt", "film": "movieReviewSnippets_GroundTruth.txt"}
EACH = 150


def sentences(package, file):
    with tarfile.open(package) as outer:
        inner = io.BytesIO(outer.extractfile(INSIDE).read())
    with tarfile.open(fileobj=inner) as files:
        member = next(m for m in files.getmembers() if m.name.endswith(file) and "/._" not in m.name)
        lines = files.extractfile(member).read().decode("latin-1").splitlines()
    for line in lines:
        number, mean, text = line.split("\t", 2)
        yield number, float(mean), " ".join(text.split())


def main(package):
    rows, seen = [], set()
    for domain, file in DOMAINS.items():
        for label, side in (("positive", 1), ("negative", -1)):
            found = []
            for number, mean, text in sentences(package, file):
                if side * mean >= 1 and 5 <= len(text.split()) <= 40 and text.isascii() and text not in seen:
                    seen.add(text)
                    group = f"{domain}-{number.split('_')[0]}" if "_" in number else ""
                    found.append((hashlib.sha256(text.encode()).hexdigest(), text, label, domain, group))
            rows += sorted(found)[:EACH]
    with open("reviews.csv", "w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["text", "label", "domain", "group"])
        table.writerows(row[1:] for row in sorted(rows))


if __name__ == "__main__":
    main(sys.argv[1])
