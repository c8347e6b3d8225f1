"""Makes cases.json: what Pillow gives for resampling and preprocessing.

    pip install pillow==13.0.0 numpy==2.4.6
    python test/images/goldens/make.py

Inputs are samples/chelsea.png (451 x 300) and noise of any size, which the test makes again by the same formula. Whole
results would be megabytes, so a case keeps the SHA-256 of its bytes, and its first sixteen values to look at when it fails.
"""

import hashlib
import json
import math
import platform
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

HERE = Path(__file__).parent
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def noise(width, height):
    """Top byte of i * 2654435761 mod 2^32: every value, edges as steep as can be."""
    i = np.arange(width * height * 3, dtype=np.uint64)
    values = ((i * 2654435761) & 0xFFFFFFFF) >> 24
    return Image.fromarray(values.astype(np.uint8).reshape(height, width, 3), "RGB")


def source(name):
    if name == "chelsea":
        return Image.open(HERE.parents[2] / "samples" / "chelsea.png").convert("RGB")
    width, height = map(int, name.split("x"))
    return noise(width, height)


def planes(image):
    """Mode F has one channel, so RGB in [0,1] goes through Pillow plane by plane."""
    rgb = np.asarray(image, dtype=np.float32) / np.float32(255)
    return [Image.fromarray(np.ascontiguousarray(rgb[:, :, c]), "F") for c in range(3)]


def fit(image, p):
    """The three ways of src/types.ts, in Pillow's own words. Works on RGB and on F."""
    w, h = image.size
    size = (p["width"], p["height"])
    kernel = FILTERS[p["interpolation"]]
    if p["fit"] == "stretch":
        return image.resize(size, kernel)
    if p["fit"] == "crop-then-resize":
        side = max(1, math.floor(p["cropFraction"] * min(w, h)))
        left, top = (w - side + 1) // 2, (h - side + 1) // 2
        return image.crop((left, top, left + side, top + side)).resize(size, kernel)
    short = p["resizeShortest"]
    scaled = [max(1, int(short * side / min(w, h))) for side in (w, h)]
    left, top = ((scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2)
    return image.resize(scaled, kernel).crop((left, top, left + size[0], top + size[1]))


def record(values):
    return {"sha256": hashlib.sha256(values.tobytes()).hexdigest(), "first": values.reshape(-1)[:16].tolist()}


def main():
    resize, preprocess = [], []
    for name in FILTERS:
        for image, sizes in {
            "chelsea": [(224, 224), (64, 43), (451, 100), (97, 300), (600, 400), (1, 1), (453, 301)],
            "17x13": [(5, 3), (17, 13), (64, 64), (13, 17), (1, 40)],
            "1x1": [(7, 5)],
            "1x500": [(224, 224), (3, 7)],
            "700x2": [(32, 32)],
            # Larger than what the kernel holds at a time.
            **({"2000x1500": [(700, 500)], "500x3000": [(450, 200)]} if name == "bicubic" else {}),
        }.items():
            for size in sizes:
                case = {"image": image, "width": size[0], "height": size[1], "interpolation": name}
                rgb = np.asarray(source(image).resize(size, FILTERS[name]))
                floats = np.stack([np.asarray(p.resize(size, FILTERS[name])) for p in planes(source(image))])
                resize.append({**case, "rgb": record(rgb), "planar": record(floats)})
        for image in ["chelsea", "300x301", "100x450", "40x30", "1x60"]:
            for how in [
                {"fit": "crop-then-resize", "cropFraction": 0.875, "resizeShortest": 256, "width": 224, "height": 224},
                {"fit": "crop-then-resize", "cropFraction": 1, "resizeShortest": 48, "width": 48, "height": 48},
                {"fit": "resize-then-crop", "cropFraction": 1, "resizeShortest": 256, "width": 224, "height": 224},
                {"fit": "resize-then-crop", "cropFraction": 1, "resizeShortest": 61, "width": 60, "height": 59},
                {"fit": "resize-then-crop", "cropFraction": 1, "resizeShortest": 40, "width": 64, "height": 50},
                {"fit": "stretch", "cropFraction": 1, "resizeShortest": 96, "width": 96, "height": 64},
            ]:
                p = {**how, "interpolation": name}
                rgb = np.asarray(fit(source(image), p))
                floats = np.stack([np.asarray(fit(plane, p)) for plane in planes(source(image))])
                preprocess.append({"image": image, **p, "rgb": record(rgb), "planar": record(floats)})
    made = {"python": platform.python_version(), "pillow": PIL.__version__, "numpy": np.__version__}
    lines = ",\n".join
    body = "{\n" + lines(
        [
            f'"madeWith": {json.dumps(made)}',
            '"resize": [\n' + lines(json.dumps(c) for c in resize) + "\n]",
            '"preprocess": [\n' + lines(json.dumps(c) for c in preprocess) + "\n]",
        ]
    )
    (HERE / "cases.json").write_text(body + "\n}\n")


main()
