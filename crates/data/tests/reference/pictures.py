"""Writes small pictures of every kind and what Pillow makes of them.

    python pictures.py        # writes pictures/* and pictures.json beside this file

`pictures.json` lists, for each file in `pictures/`, the size and the bytes that
`ImageOps.exif_transpose(Image.open(f)).convert("RGB")` gives (zlib, base64). `resized.json` has
one picture, and what `Image.resize` and torchvision's resize and centre crop make of it.
"""

import base64
import io
import json
import math
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from torchvision.transforms import functional

HERE = pathlib.Path(__file__).parent
OUT = HERE / "pictures"


def scene(h, w, seed=0, channels=3):
    """Smooth colour, edges and texture: everything a codec can get wrong."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    base = np.stack(
        [np.sin((3 + i) * x + 2 * y + i) + np.cos(5 * y * (i + 1) - x) for i in range(channels)], -1
    )
    base += 1.5 * (((x - 0.5) ** 2 + (y - 0.4) ** 2) < 0.06)[..., None] * rng.normal(size=channels)
    base += 0.25 * rng.normal(size=base.shape)
    base = (base - base.min()) / (base.max() - base.min())
    return (base * 255).round().astype(np.uint8)


def packed(array):
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    return e


def png16(path, array):
    """A 16-bit PNG; Pillow itself writes only grey ones."""
    h, w, c = array.shape
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = {1: 0, 2: 4, 3: 2, 4: 6}[c]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, colour, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(raw, 9))
        + chunk(b"IEND", b"")
    )


def write_all():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    rgb = Image.fromarray(scene(37, 53))
    grey = rgb.convert("L")
    for name, sampling in [("444", 0), ("422", 1), ("420", 2)]:
        rgb.save(OUT / f"jpeg_{name}.jpg", quality=80, subsampling=sampling)
        rgb.save(OUT / f"jpeg_{name}_progressive.jpg", quality=60, subsampling=sampling, progressive=True)
    # Pillow writes no other sampling factors. Declaring those of a 32 × 32 picture anew keeps the
    # number of blocks; the picture is scrambled, but the same for every decoder.
    square = Image.fromarray(scene(32, 32, seed=6))
    for name, sampling, declared in [("440", 1, 0x12), ("411", 2, 0x41), ("441", 2, 0x14)]:
        buffer = io.BytesIO()
        square.save(buffer, "jpeg", quality=85, subsampling=sampling)
        (OUT / f"jpeg_{name}.jpg").write_bytes(with_sampling(buffer.getvalue(), declared))
    for w, h in [(1, 1), (2, 3), (3, 2), (5, 1), (16, 16), (17, 33)]:
        Image.fromarray(scene(h, w, seed=w)).save(OUT / f"jpeg_{w}x{h}.jpg", quality=85, subsampling=2)
    rgb.save(OUT / "jpeg_restart.jpg", quality=75, subsampling=2, restart_marker_blocks=3)
    rgb.save(OUT / "jpeg_optimised.jpg", quality=30, optimize=True)
    rgb.save(OUT / "jpeg_best.jpg", quality=100, subsampling=0)
    rgb.save(OUT / "jpeg_worst.jpg", quality=2)
    rgb.save(OUT / "jpeg_rgb.jpg", quality=90, keep_rgb=True)
    grey.save(OUT / "jpeg_grey.jpg", quality=80)
    grey.save(OUT / "jpeg_grey_progressive.jpg", quality=80, progressive=True)
    cmyk = Image.fromarray(scene(24, 30, channels=4), mode="CMYK")
    cmyk.save(OUT / "jpeg_cmyk.jpg", quality=90)
    cmyk.save(OUT / "jpeg_cmyk_progressive.jpg", quality=70, progressive=True)
    (OUT / "jpeg_ycck.jpg").write_bytes(as_ycck((OUT / "jpeg_cmyk.jpg").read_bytes()))
    small = Image.fromarray(scene(20, 12))
    for orientation in range(1, 9):
        small.save(OUT / f"exif_{orientation}.jpg", quality=85, exif=exif(orientation))
    small.save(OUT / "exif_6.png", exif=exif(6))
    small.save(OUT / "exif_8.webp", exif=exif(8), lossless=True)

    tiny = Image.fromarray(scene(15, 21, seed=3))
    tiny.save(OUT / "png_rgb.png")
    tiny.convert("L").save(OUT / "png_grey.png")
    tiny.convert("1").save(OUT / "png_1_bit.png")
    palette = tiny.quantize(13)
    palette.save(OUT / "png_palette.png", bits=4)
    palette.save(OUT / "png_palette_transparent.png", transparency=5)
    palette.save(OUT / "png_palette_alpha.png", transparency=bytes(range(0, 260, 20)))
    rgba = Image.fromarray(scene(15, 21, seed=4, channels=4), mode="RGBA")
    rgba.save(OUT / "png_rgba.png")
    rgba.convert("LA").save(OUT / "png_grey_alpha.png")
    tiny.save(OUT / "png_rgb_transparent.png", transparency=tiny.getpixel((2, 2)))
    wide = np.random.default_rng(5).integers(0, 65536, (9, 11, 4))
    wide[:3] //= 200  # Values below 256 too, which grey keeps.
    for c, name in [(1, "grey"), (2, "grey_alpha"), (3, "rgb"), (4, "rgba")]:
        png16(OUT / f"png_16_bit_{name}.png", wide[..., :c])
    tiny.save(OUT / "bmp_rgb.bmp")
    tiny.convert("L").save(OUT / "bmp_grey.bmp")
    palette.save(OUT / "bmp_palette.bmp")
    rgba.save(OUT / "bmp_rgba.bmp")
    palette.save(OUT / "gif.gif")
    palette.save(OUT / "gif_transparent.gif", transparency=4)
    frames = [Image.fromarray(scene(15, 21, seed=s)).quantize(16) for s in (7, 8)]
    frames[0].save(OUT / "gif_animated.gif", save_all=True, append_images=frames[1:])
    rgb.save(OUT / "webp_lossy.webp", quality=75)
    rgb.save(OUT / "webp_lossless.webp", lossless=True)
    rgba.save(OUT / "webp_lossy_alpha.webp", quality=80)
    tiny.save(OUT / "tiff_rgb.tif")
    tiny.save(OUT / "tiff_deflate.tif", compression="tiff_adobe_deflate")
    tiny.convert("L").save(OUT / "tiff_grey.tif")
    cmyk.save(OUT / "tiff_cmyk.tif")
    tiny.save(OUT / "ppm.ppm")
    tiny.convert("L").save(OUT / "pgm.pgm")


def with_sampling(jpeg, declared):
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 11] + bytes([declared]) + jpeg[at + 12 :]


def as_ycck(cmyk):
    """The same data declared as YCCK: the Adobe marker's transform byte becomes 2."""
    at = cmyk.index(b"Adobe")
    return cmyk[: at + 11] + b"\x02" + cmyk[at + 12 :]


def golden():
    entries = {}
    for path in sorted(OUT.iterdir()):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        w, h = image.size
        entries[path.name] = {"width": w, "height": h, "rgb": packed(np.asarray(image))}
    return entries


def resized():
    """A picture, and what becomes of it: sizes up and down, both filters, crops, grey."""
    source = Image.fromarray(scene(46, 61, seed=9))
    # Hard edges make the cubic filter overshoot.
    source.paste((255, 255, 255), (10, 10, 30, 25))
    source.paste((0, 0, 0), (18, 14, 50, 19))
    filters = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
    cases = []
    for filter, code in filters.items():
        for w, h in [(24, 24), (7, 50), (61, 20), (90, 46), (100, 77), (1, 1), (61, 46)]:
            cases.append({"filter": filter, "width": w, "height": h,
                          "rgb": packed(np.asarray(source.resize((w, h), code)))})
    crops = []
    for filter, code in filters.items():
        for size, fraction in [(28, 0.875), (28, 0.9), (20, 0.95), (31, 1.0), (33, 0.875)]:
            for turned in (False, True):
                picture = source.transpose(Image.TRANSPOSE) if turned else source
                short = math.floor(size / fraction)
                picture = functional.resize(picture, short, code)
                picture = functional.center_crop(picture, [size, size])
                crops.append({"filter": filter, "size": size, "fraction": fraction,
                              "turned": turned, "rgb": packed(np.asarray(picture))})
    grey = source.convert("L")
    return {
        "source": {"width": 61, "height": 46, "rgb": packed(np.asarray(source))},
        "exact": cases,
        "crops": crops,
        "grey": packed(np.asarray(grey)),
        "grey_24": packed(np.asarray(grey.resize((24, 24), Image.BICUBIC))),
    }


def main():
    write_all()
    (HERE / "pictures.json").write_text(json.dumps(golden(), indent=0) + "\n")
    (HERE / "resized.json").write_text(json.dumps(resized(), indent=0) + "\n")


if __name__ == "__main__":
    main()
