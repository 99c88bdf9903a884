"""Fifteen corruptions of small pictures in five strengths, after ImageNet-C (Hendrycks and Dietterich 2019,
arXiv:1903.12261): four families, noise, blur, weather and digital.

Own code on NumPy, SciPy and Pillow. Sizes of blurs and grains follow the picture's side, so that 28 and 64 pixels lose
about as much as 224 do there. Every draw is keyed by corruption, strength and picture.
"""

import io
import zlib

import numpy as np
from PIL import Image
from scipy import ndimage


def _draws(name, severity, index):
    return np.random.default_rng([zlib.crc32(name.encode()), severity, index])


def _at(values, severity):
    return values[severity - 1]


def gaussian_noise(x, s, r):
    return x + r.normal(0, _at([0.08, 0.12, 0.18, 0.26, 0.38], s), x.shape)


def shot_noise(x, s, r):
    photons = _at([60, 25, 12, 5, 3], s)
    return r.poisson(np.clip(x, 0, 1) * photons) / photons


def impulse_noise(x, s, r):
    hit = r.random(x.shape)
    share = _at([0.03, 0.06, 0.09, 0.17, 0.27], s)
    return np.where(hit < share / 2, 0.0, np.where(hit < share, 1.0, x))


def _disk(radius):
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return disk / disk.sum()


def _each(x, function):
    return np.stack([function(x[..., c]) for c in range(x.shape[-1])], -1)


def defocus_blur(x, s, r):
    disk = _disk(max(0.8, _at([3, 4, 6, 8, 10], s) * x.shape[0] / 160))
    return _each(x, lambda c: ndimage.convolve(c, disk, mode="nearest"))


def glass_blur(x, s, r):
    sigma, reach, times = _at([(0.4, 1, 1), (0.5, 1, 1), (0.5, 1, 2), (0.6, 2, 1), (0.7, 2, 2)], s)
    x = ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest").copy()
    h, w = x.shape[:2]
    for _ in range(times):
        for i in range(reach, h - reach):
            for j in range(reach, w - reach):
                di, dj = r.integers(-reach, reach + 1, 2)
                x[[i, i + di], [j, j + dj]] = x[[i + di, i], [j + dj, j]]
    return ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest")


def motion_blur(x, s, r):
    length = max(2, round(_at([10, 15, 15, 20, 25], s) * x.shape[0] / 110))
    angle = np.deg2rad(r.uniform(-45, 45))
    steps = np.linspace(-length / 2, length / 2, 2 * length + 1)
    moved = [ndimage.shift(x, (k * np.sin(angle), k * np.cos(angle), 0), order=1, mode="nearest") for k in steps]
    return np.mean(moved, 0)


def zoom_blur(x, s, r):
    h, w = x.shape[:2]
    zooms = np.arange(1, _at([1.11, 1.16, 1.21, 1.26, 1.31], s), 0.02)
    out = np.zeros_like(x)
    for zoom in zooms:
        y, x_ = np.mgrid[0:h, 0:w].astype(float)
        at = [(y - h / 2 + 0.5) / zoom + h / 2 - 0.5, (x_ - w / 2 + 0.5) / zoom + w / 2 - 0.5]
        out += _each(x, lambda c: ndimage.map_coordinates(c, at, order=1, mode="nearest"))
    return out / len(zooms)


def _cloud(side, roughness, r):
    """Plasma: noise of many sizes, in [0, 1]."""
    n, total = 1, np.zeros((side, side))
    weight = 1.0
    while n < side:
        n *= 2
        field = ndimage.zoom(r.random((n, n)), side / n, order=1, mode="nearest", grid_mode=True)
        total += weight * field[:side, :side]
        weight /= roughness
    total -= total.min()
    return total / max(total.max(), 1e-9)


def snow(x, s, r):
    mean, amount = _at([(0.1, 0.2), (0.2, 0.3), (0.3, 0.35), (0.3, 0.5), (0.35, 0.6)], s)
    flakes = np.clip(r.normal(mean, 0.3, x.shape[:2]), 0, 1)
    flakes = ndimage.zoom(flakes, 2, order=1)[: x.shape[0], : x.shape[1]]
    flakes[flakes < 0.55] = 0
    flakes = np.mean([ndimage.shift(flakes, (k, k / 2), order=1) for k in range(3)], 0)[..., None]
    grey = np.maximum(x, x.mean(-1, keepdims=True) * 1.5 + 0.5)
    return (1 - amount) * x + amount * grey + flakes + np.rot90(flakes, 2)


def frost(x, s, r):
    keep, ice = _at([(1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)], s)
    grains = _cloud(x.shape[0], 1.3, r) ** 2
    return keep * x + ice * grains[..., None] * np.linspace(0.9, 1.0, x.shape[-1])


def fog(x, s, r):
    amount, roughness = _at([(1.0, 2.0), (1.4, 2.0), (1.8, 1.7), (2.2, 1.5), (2.6, 1.4)], s)
    largest = x.max()
    return (x + amount * _cloud(x.shape[0], roughness, r)[..., None]) * largest / (largest + amount)


def brightness(x, s, r):
    return x + _at([0.1, 0.2, 0.3, 0.4, 0.5], s)


def contrast(x, s, r):
    mean = x.mean((0, 1), keepdims=True)
    return (x - mean) * _at([0.4, 0.3, 0.2, 0.1, 0.05], s) + mean


def elastic(x, s, r):
    h, w = x.shape[:2]
    strength, grain = _at([(0.6, 1.6), (0.8, 1.6), (1.0, 1.5), (1.2, 1.4), (1.4, 1.3)], s)
    scale = h / 28
    fields = []
    for _ in range(2):
        field = ndimage.gaussian_filter(r.uniform(-1, 1, (h, w)), grain * scale, mode="reflect")
        fields.append(field / max(field.std(), 1e-9) * strength * scale)
    y, x_ = np.mgrid[0:h, 0:w].astype(float)
    return _each(x, lambda c: ndimage.map_coordinates(c, [y + fields[0], x_ + fields[1]], order=1, mode="nearest"))


def pixelate(x, s, r):
    h, w = x.shape[:2]
    part = _at([0.6, 0.5, 0.4, 0.3, 0.25], s)
    small = (max(2, round(w * part)), max(2, round(h * part)))

    def channel(c):
        picture = Image.fromarray(np.clip(c * 255, 0, 255).astype(np.uint8))
        return np.asarray(picture.resize(small, Image.BOX).resize((w, h), Image.NEAREST)) / 255

    return _each(x, channel)


def jpeg(x, s, r):
    pixels = np.clip(x * 255, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if x.shape[-1] == 1 else pixels)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_at([25, 18, 15, 10, 7], s))
    back = np.asarray(Image.open(file)) / 255
    return back.reshape(x.shape)


ALL = [gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur, snow, frost, fog,
       brightness, contrast, elastic, pixelate, jpeg]


def corrupted(function, pixels, severity, index):
    """`pixels` as uint8, `[h, w]` or `[h, w, 3]`, after a corruption."""
    x = pixels.astype(float) / 255
    x = x[..., None] if x.ndim == 2 else x
    x = function(x, severity, _draws(function.__name__, severity, index))
    return np.clip(np.rint(x * 255), 0, 255).astype(np.uint8).reshape(pixels.shape)
