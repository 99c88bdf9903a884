"""Writes {google,twitter}/<class>/*.png and manifest.csv of this folder.

    python make.py                          # fetches both packages with the user's own npm
    python make.py --packages FOLDER        # or takes the two .tgz files that are already there

Each picture is laid on white and stored as RGB: the packages' transparent pixels have no colour of
their own, and what a decoder makes of them is not what this set is about. Needs npm, numpy
and pillow.
The same packages and the same zlib give the same bytes; the pixels do not depend on zlib.
"""

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
VERSION = "16.0.0"
# One emoji drawn by two vendors makes a pair of samples: same content, other domain.
PACKAGES = {
    "google": "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    "twitter": "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
}
PER_CLASS = 36

# Class -> subcategories of emoji.json, and short names in them that do not show the class.
CLASSES = {
    "building": (
        ["place-building", "place-religious"],
        "bricks rock wood building_construction",
    ),
    "clothing": (
        ["clothing"],
        "folding_hand_fan shopping_bags hair_pick prayer_beads lipstick ring gem",
    ),
    "device": (
        ["phone", "computer", "light & video"],
        "abacus candle izakaya_lantern diya_lamp",
    ),
    "face": (
        [
            "face-smiling", "face-affection", "face-tongue", "face-hand", "face-neutral-skeptical",
            "face-sleepy", "face-unwell", "face-hat", "face-glasses", "face-concerned",
        ],
        "",
    ),
    "mammal": (["animal-mammal"], "pig_nose feet"),
    "plant": (["plant-flower", "plant-other"], "rosette empty_nest nest_with_eggs"),
    "produce": (["food-fruit", "food-vegetable"], ""),
    "sky": (
        ["sky & weather"],
        "thermometer fire wind_blowing_face closed_umbrella umbrella umbrella_with_rain_drops umbrella_on_ground",
    ),
    "tool": (["tool"], ""),
    "vehicle": (
        ["transport-ground", "transport-water", "transport-air"],
        "station busstop motorway railway_track oil_drum fuelpump wheel rotating_light traffic_light "
        "vertical_traffic_light octagonal_sign construction anchor ring_buoy parachute seat satellite",
    ),
}  # fmt: skip


def fetch(folder):
    for vendor in PACKAGES:
        subprocess.run(["npm", "pack", "--silent", f"emoji-datasource-{vendor}@{VERSION}"], cwd=folder, check=True)


def open_package(folder, vendor):
    path = Path(folder) / f"emoji-datasource-{vendor}-{VERSION}.tgz"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != PACKAGES[vendor]:
        sys.exit(f"error: sha256 of {path.name} is {found}, expected {PACKAGES[vendor]}")
    return tarfile.open(path)


def read(folder):
    """emoji.json, and for each vendor file name -> picture, of the subcategories that are used."""
    pictures = {}
    used = {name for subcategories, _ in CLASSES.values() for name in subcategories}
    for vendor in PACKAGES:
        package = open_package(folder, vendor)
        inside, files = f"package/img/{vendor}/64/", {}
        for member in package:  # in the archive's order, since seeking back would inflate it again
            if member.name == "package/emoji.json" or member.name.startswith(inside):
                files[member.name] = package.extractfile(member).read()
        emoji = [e for e in json.loads(files["package/emoji.json"]) if e["subcategory"] in used]
        pictures[vendor] = {
            e["image"]: on_white(files[inside + e["image"]]) for e in emoji if e[f"has_img_{vendor}"]
        }
    return emoji, pictures


def spread(items, count):
    """`count` items at even distances, so that no part of the category's order is left out."""
    if len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]


def on_white(png):
    picture = Image.open(BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def alike(a, b):
    """Whether a search for near-duplicates could take one picture for the other."""
    distance = np.abs(small(a, (32, 32)) - small(b, (32, 32))).mean()
    rises = [np.diff(small(p.convert("L"), (9, 8)), axis=1) > 0 for p in (a, b)]
    return distance < 10 or (rises[0] != rises[1]).sum() < 8


def small(picture, size):
    return np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float32)


def choose(emoji, pictures):
    """Class -> emoji, none too much like an earlier one of its class in either drawing."""
    chosen = {}
    for label, (subcategories, unfit) in CLASSES.items():
        candidates = []
        for e in sorted(emoji, key=lambda e: e["sort_order"]):
            if (
                e["subcategory"] in subcategories
                and e["has_img_google"]
                and e["has_img_twitter"]
                and e["short_name"] not in unfit.split()
                and not any(
                    alike(drawn[e["image"]], drawn[other["image"]]) for drawn in pictures.values() for other in candidates
                )
            ):
                candidates.append(e)
        chosen[label] = spread(candidates, PER_CLASS)
    return chosen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", type=Path, metavar="FOLDER")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.packages or scratch
        if not options.packages:
            fetch(folder)
        emoji, pictures = read(folder)

    rows, size, pixels = [], 0, {}
    chosen = choose(emoji, pictures)
    for vendor in PACKAGES:
        shutil.rmtree(HERE / vendor, ignore_errors=True)
        for label, several in chosen.items():
            (HERE / vendor / label).mkdir(parents=True)
            for e in several:
                name, picture = e["short_name"], pictures[vendor][e["image"]]
                relative = f"{vendor}/{label}/{name}.png"
                picture.save(HERE / relative, compress_level=9)
                size += (HERE / relative).stat().st_size
                pixels[relative] = hashlib.sha256(picture.tobytes()).hexdigest()
                rows.append((relative, label, vendor, name))

    rows.sort()
    with open(HERE / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        # The group keeps both drawings of one emoji on the same side of a split.
        writer.writerow(["path", "label", "domain", "group"])
        writer.writerows(rows)

    files = hashlib.sha256()
    decoded = hashlib.sha256()
    for path, *_ in rows:
        files.update(f"{hashlib.sha256((HERE / path).read_bytes()).hexdigest()}  {path}\n".encode())
        decoded.update(f"{pixels[path]}  {path}\n".encode())
    counts = {label: sum(row[1] == label and row[2] == "google" for row in rows) for label in CLASSES}
    print(f"{len(rows)} pictures, {size} bytes, a vendor: {counts}")
    print(f"{files.hexdigest()}  of the lines that sha256sum prints for the manifest's files, in its order")
    print(f"{decoded.hexdigest()}  the same over the decoded pixels")


if __name__ == "__main__":
    main()
