"""Writes cases.json: what image processors of the Transformers library make of one image.

pip install transformers==4.57.1 pillow numpy; python make.py > cases.json
"""
import json
import sys

import numpy as np
import transformers
from PIL import Image

WIDTH, HEIGHT = 61, 47
y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
IMAGE = Image.fromarray(((x * 4 + y * 3 + c * 31 + (x * y) % 29 * 2) % 256).astype(np.uint8))

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
SQUARE = {"height": 10, "width": 10}
CASES = [
    ("ViTImageProcessor", {"size": {"height": 10, "width": 12}, "resample": 2, **HALF}),
    ("ViTImageProcessor", {"size": 10, "resample": 3, **HALF}),
    ("BeitImageProcessor", {"size": SQUARE, "resample": 3, "do_center_crop": False, **HALF}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 10}, "crop_pct": 0.875, "resample": 3, **IMAGENET}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 10}, "resample": 2, **IMAGENET}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 14}, "crop_size": SQUARE, "resample": 3, **IMAGENET}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 10}, "crop_size": {"height": 12, "width": 12}, "resample": 3, **HALF}),
    ("BitImageProcessor", {"size": {"shortest_edge": 10}, "crop_size": SQUARE, "resample": 3, **IMAGENET}),
    ("MobileNetV2ImageProcessor", {"size": {"shortest_edge": 12}, "crop_size": SQUARE, "resample": 2, **HALF}),
    ("MobileViTImageProcessor", {"size": {"shortest_edge": 12}, "crop_size": SQUARE, "resample": 2}),
    ("LevitImageProcessor", {"size": {"shortest_edge": 10}, "crop_size": SQUARE, "resample": 3, **IMAGENET}),
    ("PoolFormerImageProcessor", {"size": {"shortest_edge": 10}, "crop_pct": 0.9, "crop_size": SQUARE, "resample": 3, **IMAGENET}),
    ("EfficientNetImageProcessor", {"size": SQUARE, "resample": 0, "include_top": True, **IMAGENET}),
    ("EfficientNetImageProcessor", {
        "size": SQUARE, "resample": 3, "rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False,
        "include_top": False,
    }),
    ("ViTImageProcessor", {"size": SQUARE, "resample": 1, "do_rescale": False, "image_mean": [127, 127, 127], "image_std": [128, 128, 128]}),
]

cases = []
for name, arguments in CASES:
    processor = getattr(transformers, name)(**arguments)
    tensor = processor(IMAGE, return_tensors="np")["pixel_values"][0]
    cases.append({
        "config": processor.to_dict(),
        "height": tensor.shape[1],
        "width": tensor.shape[2],
        "values": [round(float(value), 4) for value in tensor.reshape(-1)],
    })
json.dump({"transformers": transformers.__version__, "width": WIDTH, "height": HEIGHT, "cases": cases}, sys.stdout)
