"""Pillow's results of the changes that augmentation makes, on a small colour and a small grey picture.

    pip install pillow
    python tones.py     # rewrites tones.json beside this file
"""

import json
import pathlib

from PIL import Image, ImageEnhance, ImageOps

W, H = 9, 7


def picture(channels):
    values = bytes((i * i * 31 + i * 17 + 40) % 219 + 20 for i in range(W * H * channels))
    return Image.frombytes("RGB" if channels == 3 else "L", (W, H), values)


def affine(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


CHANGES = {
    "brightness": (lambda im, v: ImageEnhance.Brightness(im).enhance(v), [0.0, 0.4, 1.0, 1.7]),
    "contrast": (lambda im, v: ImageEnhance.Contrast(im).enhance(v), [0.0, 0.6, 1.0, 1.5]),
    "saturation": (lambda im, v: ImageEnhance.Color(im).enhance(v), [0.0, 0.5, 1.0, 1.9]),
    "sharpness": (lambda im, v: ImageEnhance.Sharpness(im).enhance(v), [0.1, 0.5, 1.0, 1.9]),
    "posterize": (lambda im, v: ImageOps.posterize(im, int(v)), [4, 7, 8]),
    "solarize": (lambda im, v: ImageOps.solarize(im, v), [0, 100.5, 128, 255]),
    "autocontrast": (lambda im, v: ImageOps.autocontrast(im), [0]),
    "equalize": (lambda im, v: ImageOps.equalize(im), [0]),
    "rotate": (lambda im, v: im.rotate(v, Image.Resampling.NEAREST), [7.3, -30, 90]),
    "shear_x": (lambda im, v: affine(im, (1, v, 0, 0, 1, 0)), [0.3, -0.21]),
    "shear_y": (lambda im, v: affine(im, (1, 0, 0, v, 1, 0)), [0.3, -0.21]),
    "translate": (lambda im, v: affine(im, (1, 0, -int(v), 0, 1, int(v))), [2.9, -3.2]),
}

if __name__ == "__main__":
    cases = []
    for channels in (1, 3):
        for change, (apply, values) in CHANGES.items():
            for value in values:
                pixels = list(apply(picture(channels), value).tobytes())
                cases.append({"change": change, "value": value, "channels": channels, "pixels": pixels})
    pictures = {str(c): list(picture(c).tobytes()) for c in (1, 3)}
    text = json.dumps({"pictures": pictures, "cases": cases}, separators=(",", ":"))
    pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")
