"""Pixel deflection as one writes it in Python: Pillow, NumPy, scikit-image, ONNX Runtime.

    python pipeline.py MODEL.onnx HEAD.f32 SCORES FEATURES PROCESSES < requests

For bench/pipeline.ts. The settings are the recipe `paper`: ten runs of 100 deflections in a window of apothem 10 under a
robust activation map of five classes, BayesShrink on Haar wavelets in YCbCr with sigma 0.04, majority vote. The images are
shared out over PROCESSES processes; the ten runs of one go through the model as one batch.

MODEL has an input [n, 3, 224, 224] and the outputs SCORES [n, classes] and FEATURES [n, channels, height, width]; HEAD holds
the weights [classes, channels] of its last layer. Each line on standard input is a JSON list of paths; the answer is a line
of JSON with the labels and the seconds. Before the first, a line says that all processes are ready.
"""

import json
import multiprocessing
import sys
import time
from collections import Counter

import numpy as np
import onnxruntime
from PIL import Image, ImageOps
from skimage.restoration import denoise_wavelet
from skimage.transform import resize

SIZE, CROP = 224, 0.875
RUNS, DEFLECTIONS, WINDOW, SIGMA, CLASSES = 10, 100, 10, 0.04, 5

session = head = names = None


def start(model, weights, scores, features, barrier):
    global session, head, names
    options = onnxruntime.SessionOptions()
    # One thread for each process: sessions with a thread for every core would fight over the cores.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [scores, features]
    channels = session.run([features], {session.get_inputs()[0].name: np.zeros((1, 3, SIZE, SIZE), np.float32)})[0].shape[1]
    head = np.fromfile(weights, np.float32).reshape(-1, channels)
    barrier.wait()


def load(path):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    side = int(CROP * min(image.size))
    left, top = ((length - side + 1) // 2 for length in image.size)
    fitted = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(fitted) / 255


def tensor(images):
    return ((np.stack(images) * 255 - 127) / 128).transpose(0, 3, 1, 2).astype(np.float32)


def activation_map(scores, features):
    top = np.argsort(-scores)[:CLASSES]
    weights = sum(head[c] / 2 ** (i + 1) for i, c in enumerate(top))
    small = np.tensordot(weights, features, 1)
    large = resize(small, (SIZE, SIZE), order=1)
    return np.clip(large / large.max(), 0, 1) if large.max() > 0 else np.zeros_like(large)


def deflect(image, activations, random):
    out = image.copy()
    for _ in range(DEFLECTIONS):
        row, column = random.integers(SIZE, size=2)
        if activations[row, column] < random.random():
            top, left = max(row - WINDOW, 0), max(column - WINDOW, 0)
            bottom, right = min(row + WINDOW, SIZE - 1), min(column + WINDOW, SIZE - 1)
            out[row, column] = image[random.integers(top, bottom + 1), random.integers(left, right + 1)]
    return out


def denoise(image):
    return denoise_wavelet(
        image, sigma=SIGMA, wavelet="db1", method="BayesShrink", mode="soft", convert2ycbcr=True, channel_axis=-1
    )


def defend(path):
    image = load(path)
    feed = session.get_inputs()[0].name
    scores, features = session.run(names, {feed: tensor([image])})
    activations = activation_map(scores[0], features[0])
    random = np.random.default_rng(0)
    runs = [denoise(deflect(image, activations, random)) for _ in range(RUNS)]
    votes = session.run(names[:1], {feed: tensor(runs)})[0].argmax(axis=1)
    return int(Counter(votes.tolist()).most_common(1)[0][0])


def main(model, weights, scores, features, processes):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    with context.Pool(processes, start, (model, weights, scores, features, barrier)) as pool:
        barrier.wait()
        print(json.dumps({"onnxruntime": onnxruntime.__version__}), flush=True)
        for line in sys.stdin:
            begun = time.perf_counter()
            labels = pool.map(defend, json.loads(line), chunksize=4)
            print(json.dumps({"seconds": time.perf_counter() - begun, "labels": labels}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]))
