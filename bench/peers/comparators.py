"""Times scikit-image, SciPy, OpenCV and Pillow on one image, one thread: the peers of bench/comparators.ts.

usage: comparators.py IMAGE WIDTH HEIGHT   (IMAGE: float32, planar [3, HEIGHT, WIDTH], RGB in [0, 1])
Prints JSON: versions, and for each comparator the peer's call and its processor milliseconds (median of 7 after one call).
"""
import io
import json
import statistics
import sys
import time
import warnings

import cv2
import numpy as np
import PIL
import scipy
import skimage
from PIL import Image
from scipy import ndimage
from skimage import restoration

warnings.simplefilter("ignore")
cv2.setNumThreads(1)
path, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
image = np.fromfile(path, np.float32).reshape(3, height, width).transpose(1, 2, 0)
image = np.ascontiguousarray(image)
levels = np.rint(image * 255).astype(np.uint8)
bgr = np.ascontiguousarray(levels[..., ::-1])
axis = np.exp(-0.5 * np.arange(-2, 3) ** 2)
psf = np.outer(axis, axis) / axis.sum() ** 2


def per_channel(function):
    return np.stack([function(image[..., c]) for c in range(3)], -1)


def jpeg():
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=75)
    np.asarray(Image.open(io.BytesIO(buffer.getvalue())))


CALLS = {
    "bits:5": ("NumPy rint", lambda: np.rint(image * 31) / 31),
    "median:2": ("SciPy median_filter", lambda: ndimage.median_filter(image, (2, 2, 1))),
    "median:3": ("OpenCV medianBlur, 8 bits", lambda: cv2.medianBlur(levels, 3)),
    "nlm:11-3-2": ("OpenCV fastNlMeansDenoisingColored", lambda: cv2.fastNlMeansDenoisingColored(bgr, None, 2, 2, 3, 11)),
    "nlm:13-3-4": ("OpenCV fastNlMeansDenoisingColored", lambda: cv2.fastNlMeansDenoisingColored(bgr, None, 4, 4, 3, 13)),
    "nlmrgb:3-11-0.1-skimage": ("scikit-image denoise_nl_means, fast", lambda: restoration.denoise_nl_means(image, 7, 11, 0.1, channel_axis=-1)),
    "nlmrgb:3-11-0.1-skimageslow": ("scikit-image denoise_nl_means, slow", lambda: restoration.denoise_nl_means(image, 7, 11, 0.1, fast_mode=False, channel_axis=-1)),
    "jpeg:75": ("Pillow JPEG, entropy coding included", jpeg),
    "bilateral:3-1-auto-black-skimage": ("scikit-image denoise_bilateral", lambda: restoration.denoise_bilateral(image, bins=1000, channel_axis=-1)),
    "bilateral:3": ("OpenCV bilateralFilter, 8 bits", lambda: cv2.bilateralFilter(levels, 7, 50, 1)),
    "tv:0.1": ("scikit-image denoise_tv_chambolle", lambda: restoration.denoise_tv_chambolle(image, 0.1, channel_axis=-1)),
    "tvbregman:5": ("scikit-image denoise_tv_bregman", lambda: restoration.denoise_tv_bregman(image, 5, channel_axis=-1)),
    "wiener:0.1": ("scikit-image wiener", lambda: per_channel(lambda c: restoration.wiener(c, psf, 0.1))),
    "uwiener:1": ("scikit-image unsupervised_wiener", lambda: per_channel(lambda c: restoration.unsupervised_wiener(c, psf)[0])),
    "lucy:10": ("scikit-image richardson_lucy", lambda: per_channel(lambda c: restoration.richardson_lucy(c, psf, num_iter=10))),
    "crop:0.4": ("Pillow crop and resize, 8 bits", lambda: Image.fromarray(levels).crop((60, 60, 150, 150)).resize((width, height), Image.BILINEAR)),
}


def milliseconds(call):
    call()
    times = []
    for _ in range(7):
        start = time.process_time()
        call()
        times.append((time.process_time() - start) * 1000)
    return statistics.median(times)


versions = {"python": sys.version.split()[0], "scikit-image": skimage.__version__, "scipy": scipy.__version__,
            "numpy": np.__version__, "opencv": cv2.__version__, "pillow": PIL.__version__}
rows = {text: {"call": name, "ms": milliseconds(call)} for text, (name, call) in CALLS.items()}
print(json.dumps({"versions": versions, "rows": rows}))
