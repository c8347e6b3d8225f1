"""Makes variants of the bundled model: 8-bit integers for CPUs, half precision for GPUs.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python make_variants.py int8 MODEL.onnx PHOTOS OUT.onnx
    .venv/bin/python make_variants.py half MODEL.onnx PHOTOS OUT.onnx

PHOTOS is a folder of photographs; a labels.csv (columns file and class_index) lies beside it. Every seventh of them sets the ranges of
the activations; accuracy is measured on the others, beside that of the model itself on the same images.
"""

import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

SIDE = 224
CALIBRATE_EVERY = 7


def read_photo(path):
    """The preprocessing of the model's card: centre square, bicubic, (x - 127) / 128."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    width, height = rgb.size
    side = int(SIDE / (SIDE + 32) * min(width, height))
    left, top = (width - side) // 2, (height - side) // 2
    square = rgb.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.BICUBIC)
    return ((np.asarray(square, np.float32) - 127) / 128).transpose(2, 0, 1)


def read_photos(folder):
    with open(folder.parent / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [folder / row["file"] for row in rows]
    return np.stack([read_photo(path) for path in found]), np.array([int(row["class_index"]) for row in rows])


def session_of(path, optimized=None):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if optimized is not None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimized)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def scores_of(path, photos):
    """Logits, and milliseconds of processor time an image."""
    session = session_of(path)
    taken = session.get_inputs()[0]
    batch = photos.astype(np.float16) if "float16" in taken.type else photos
    started = time.process_time()
    parts = [session.run(["logits"], {taken.name: batch[i : i + 4]})[0] for i in range(0, len(batch), 4)]
    cost = (time.process_time() - started) / len(batch) * 1000
    return np.concatenate(parts).astype(np.float32), cost


class Photos(CalibrationDataReader):
    def __init__(self, photos):
        self.left = iter(photos)

    def get_next(self):
        photo = next(self.left, None)
        return None if photo is None else {"input": photo[None]}


def int8(source, photos, out):
    with tempfile.TemporaryDirectory() as work:
        folded, prepared = Path(work) / "folded.onnx", Path(work) / "prepared.onnx"
        # Weights are stored as halves behind Casts, which the quantiser would not take for weights.
        session_of(source, folded)
        quant_pre_process(str(folded), str(prepared), skip_symbolic_shape=True)
        # Scores of 256 levels would tie: pooling and the last layer stay as they are.
        last = [node.name for node in onnx.load(prepared).graph.node if node.op_type in ("GlobalAveragePool", "Flatten", "Gemm")]
        quantize_static(
            str(prepared),
            str(out),
            Photos(photos[::CALIBRATE_EVERY]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_exclude=last,
            extra_options={"CalibPercentile": 99.99},
        )
    model = onnx.load(out)
    store_as_halves(model, "fc_w")
    del model.opset_import[:]
    model.opset_import.extend([onnx.helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    onnx.save(model, out)


def store_as_halves(model, name):
    """An initialiser in half precision behind a Cast, as the bundled model stores its weights."""
    [tensor] = [candidate for candidate in model.graph.initializer if candidate.name == name]
    halves = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half")
    model.graph.initializer.remove(tensor)
    model.graph.initializer.append(halves)
    cast = onnx.helper.make_node("Cast", [halves.name], [name], name=f"{name}_cast", to=onnx.TensorProto.FLOAT)
    model.graph.node.insert(0, cast)


def half(source, _, out):
    from onnxconverter_common import float16

    with tempfile.TemporaryDirectory() as work:
        folded = Path(work) / "folded.onnx"
        session_of(source, folded)
        model = float16.convert_float_to_float16(onnx.load(folded))
    del model.opset_import[:]
    model.opset_import.extend([onnx.helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    onnx.save(model, out)


def main():
    kind, source, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    photos, labels = read_photos(folder)
    {"int8": int8, "half": half}[kind](source, photos, out)
    others = np.arange(len(photos)) % CALIBRATE_EVERY != 0
    photos, labels = photos[others], labels[others]
    before, before_cost = scores_of(source, photos)
    after, after_cost = scores_of(out, photos)
    print(f"{len(labels)} photographs that set no range:")
    print(f"  {source.name}: {(before.argmax(1) == labels).mean():.4f} right, {before_cost:.2f} ms of one core an image")
    print(f"  {out.name}: {(after.argmax(1) == labels).mean():.4f} right, {after_cost:.2f} ms of one core an image")
    print(f"  same label: {(before.argmax(1) == after.argmax(1)).mean():.4f}; {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
