"""Loads exported folders with timm (and torchvision where names are its own) and compares them with their
self-test.

    pip install torch timm torchvision safetensors
    python export_check.py FOLDER...

Every folder was written by `offshoot export RUN --to hf` or `--to safetensors`. Printed is the largest
difference of a probability; it must stay below 1e-4.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file


def made_input(folder):
    """Pixels (37·pixel + 83·channel) mod 256, normalised as preprocessor_config.json says."""
    spec = json.loads((folder / "preprocessor_config.json").read_text())
    side, channels = spec["size"]["height"], spec["num_channels"]
    pixel = torch.arange(side * side).reshape(side, side, 1)
    values = ((37 * pixel + 83 * torch.arange(channels)) % 256).double() / 255
    mean, std = torch.tensor(spec["image_mean"]).double(), torch.tensor(spec["image_std"]).double()
    return ((values - mean) / std).float().permute(2, 0, 1)[None]


def network(folder, config):
    """The network by timm's own loading of a folder, or torchvision's with the weights as they are."""
    own = config["offshoot"]["recipe"]
    if config["architecture"] != own or own.startswith(("resnet", "resnext", "efficientnet_b0")):
        import timm

        return "timm", timm.create_model(f"local-dir:{folder}", pretrained=True)
    import torchvision

    model = getattr(torchvision.models, own)(num_classes=config["num_classes"])
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    return "torchvision", model


if __name__ == "__main__":
    worst = 0.0
    for folder in map(pathlib.Path, sys.argv[1:]):
        config = json.loads((folder / "config.json").read_text())
        library, model = network(folder, config)
        with torch.no_grad():
            found = model.eval()(made_input(folder)).double().softmax(1)[0]
        expected = torch.tensor(json.loads((folder / "selftest.json").read_text())["probabilities"])
        error = (found - expected).abs().max().item()
        worst = max(worst, error)
        print(f"{config['offshoot']['recipe']:20} {library:12} {config['architecture']:24} {error:.1e}")
    sys.exit(worst > 1e-4)
