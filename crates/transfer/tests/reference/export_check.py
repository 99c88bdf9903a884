"""Loads exported folders with timm (and torchvision where names are its own), those of texts with transformers
and, where it is installed, sentence-transformers, and compares them with their self-test.

    pip install torch timm torchvision safetensors transformers sentence-transformers
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


def embeddings(folder, text):
    """The text's vector by each library that is there: transformers' with the pooling by hand."""
    from transformers import AutoModel, AutoTokenizer

    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    missing = [key for key in info["missing_keys"] if not key.startswith("pooler.")]
    assert not missing and not info["unexpected_keys"], info
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", truncation=True, max_length=limit)
    rows = model.eval()(**tokens).last_hidden_state[0]
    pooling = json.loads((folder / "1_Pooling/config.json").read_text())
    row = rows[0] if pooling["pooling_mode_cls_token"] else rows.mean(0)
    yield "transformers", torch.nn.functional.normalize(row, dim=0) if (folder / "2_Normalize").is_dir() else row
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        print("skipped: sentence-transformers is not installed")
        return
    yield "sentence-transformers", SentenceTransformer(str(folder), device="cpu").encode(text, convert_to_tensor=True)


def text_classifier(folder):
    """The largest difference of a probability, by library."""
    expected = json.loads((folder / "selftest.json").read_text())
    head = {key: value.double() for key, value in load_file(folder / "classifier.safetensors").items()}
    with torch.no_grad():
        for library, row in embeddings(folder, expected["input"]):
            found = (head["weight"] @ row.double() + head["bias"]).softmax(0)
            yield library, (found - torch.tensor(expected["probabilities"])).abs().max().item()


if __name__ == "__main__":
    worst = 0.0
    for folder in map(pathlib.Path, sys.argv[1:]):
        config = json.loads((folder / "config.json").read_text())
        if (folder / "classifier.safetensors").exists():
            for library, error in text_classifier(folder):
                worst = max(worst, error)
                print(f"{config['offshoot']['recipe']:20} {library:21} {config['model_type']:15} {error:.1e}")
            continue
        library, model = network(folder, config)
        with torch.no_grad():
            found = model.eval()(made_input(folder)).double().softmax(1)[0]
        expected = torch.tensor(json.loads((folder / "selftest.json").read_text())["probabilities"])
        error = (found - expected).abs().max().item()
        worst = max(worst, error)
        print(f"{config['offshoot']['recipe']:20} {library:12} {config['architecture']:24} {error:.1e}")
    sys.exit(worst > 1e-4)
