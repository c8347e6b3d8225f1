"""Preprocesses a folder of photographs with Pillow, for bench/preprocessing.ts to compare with.

    pip install pillow==13.0.0
    python bench/peers/pillow_preprocess.py FOLDER OUT

Writes one 224 x 224 x 3 block of bytes a photograph, in ascending order of file names, and prints the processor time an image took.
"""

import sys
import time
from pathlib import Path

from PIL import Image, ImageOps

SIZE, CROP = 224, 0.875


def main(folder, out):
    decode = resize = 0.0
    photos = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    with open(out, "wb") as file:
        for photo in photos:
            start = time.process_time()
            image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
            decoded = time.process_time()
            side = int(CROP * min(image.size))
            left, top = ((length - side + 1) // 2 for length in image.size)
            fitted = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            resize += time.process_time() - decoded
            decode += decoded - start
            file.write(fitted.tobytes())
    n = len(photos)
    print(f"{n} photographs, processor ms an image: decode {1000 * decode / n:.2f}, crop and resize {1000 * resize / n:.2f}")


main(Path(sys.argv[1]), sys.argv[2])
