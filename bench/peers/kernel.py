"""The reference of bench/kernel.ts: pixel deflection in NumPy, denoise_wavelet of scikit-image. One thread.

    python kernel.py IMAGE.u8 HEIGHT WIDTH

Reads one JSON object a line, {"variant": "legacy" or "modern", "runs": n, "repeats": m, "deflections": k}, and answers each with
{"ms": [processor milliseconds of each repeat]}; with "write": FILE it writes one image that was denoised without deflections, as
float64 [H,W,3]. Ends with its input.
"""
import json
import os
import sys
import time
import warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import pywt
import scipy
import skimage
from skimage.color import rgb2ycbcr
from skimage.restoration import denoise_wavelet

warnings.simplefilter("ignore")
WINDOW = 10
SIGMA = 0.04


def deflect(image, activation, draws, rng):
    """Algorithm 1 of the paper, all draws at once: what is read is the original, so their order matters only where two meet."""
    height, width = activation.shape
    rows = rng.integers(0, height, draws)
    columns = rng.integers(0, width, draws)
    chosen = activation[rows, columns] < rng.random(draws)
    rows, columns = rows[chosen], columns[chosen]
    low, high = np.maximum(rows - WINDOW, 0), np.minimum(rows + WINDOW, height - 1)
    left, right = np.maximum(columns - WINDOW, 0), np.minimum(columns + WINDOW, width - 1)
    deflected = image.copy()
    deflected[rows, columns] = image[rng.integers(low, high + 1), rng.integers(left, right + 1)]
    return deflected


def denoise(image, variant, sigmas):
    if variant == "modern":
        return denoise_wavelet(
            image, sigma=SIGMA, wavelet="db1", mode="soft", method="BayesShrink", convert2ycbcr=True, rescale_sigma=True, channel_axis=-1
        )
    # As up to scikit-image 0.15: sigma counts on the planes stretched to [0,1], which 0.26 divides by their ranges; clipped.
    out = denoise_wavelet(
        image, sigma=sigmas, wavelet="db1", mode="soft", method="BayesShrink", convert2ycbcr=True, rescale_sigma=False, channel_axis=-1
    )
    return np.clip(out, 0, 1)


def main():
    file, height, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    image = np.fromfile(file, np.uint8).reshape(height, width, 3) / 255.0
    activation = np.zeros((height, width))
    rng = np.random.default_rng(2018)
    # Of the image that is not deflected: near enough to time, and no cost of the reference's.
    sigmas = [SIGMA * float(np.ptp(plane)) for plane in np.moveaxis(rgb2ycbcr(image), -1, 0)]
    versions = {"python": sys.version.split()[0], "scikit-image": skimage.__version__, "numpy": np.__version__}
    print(json.dumps({**versions, "scipy": scipy.__version__, "PyWavelets": pywt.__version__}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        if "write" in task:
            denoise(image, task["variant"], sigmas).astype("<f8").tofile(task["write"])
            print(json.dumps({"ms": []}), flush=True)
            continue
        times = []
        for _ in range(task["repeats"]):
            start = time.process_time()
            for _ in range(task["runs"]):
                denoise(deflect(image, activation, task["deflections"], rng), task["variant"], sigmas)
            times.append((time.process_time() - start) * 1000)
        print(json.dumps({"ms": times}), flush=True)


main()
