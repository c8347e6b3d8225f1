"""Gradients of the bundled model by another framework: JAX differentiates the nodes of the ONNX file.

    pip install jax==0.10.2 onnx==1.23.2
    python test/goldens-gradients/make.py        (from the root of the repository; writes efficientnet-lite0.json)
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import numpy_helper

HERE = Path(__file__).parent
MODEL = HERE.parent.parent / "models/efficientnet-lite0/onnx/model.onnx"
LABEL = 281
SAMPLES = 96


def run(graph, image):
    """The scores of one batch, in double precision."""
    values = {t.name: jnp.asarray(numpy_helper.to_array(t)) for t in graph.initializer}
    values[graph.input[0].name] = image
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = [values[name] for name in node.input if name]
        values[node.output[0]] = OPERATORS[node.op_type](*inputs, **attributes)
    return values[graph.output[0].name]


def conv(x, w, b=None, kernel_shape=None, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1):
    y = jax.lax.conv_general_dilated(
        x,
        w.astype(x.dtype),
        strides,
        [(pads[0], pads[2]), (pads[1], pads[3])],
        rhs_dilation=dilations,
        feature_group_count=group,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )
    return y if b is None else y + b.astype(x.dtype).reshape(1, -1, 1, 1)


def gemm(a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
    a, b = (a.T if transA else a), (b.T if transB else b).astype(a.dtype)
    return alpha * (a @ b) + (0 if c is None else beta * c.astype(a.dtype))


def cast(x, to):
    return x.astype(onnx.helper.tensor_dtype_to_np_dtype(to))


OPERATORS = {
    "Add": lambda a, b: a + b,
    "Cast": cast,
    "Clip": lambda x, low, high: jnp.clip(x, low, high),
    "Conv": conv,
    "Flatten": lambda x, axis=1: x.reshape(x.shape[0], -1),
    "Gemm": gemm,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdims=True),
}


def main():
    jax.config.update("jax_enable_x64", True)
    graph = onnx.load(MODEL).graph
    i = np.arange(3 * 224 * 224)
    image = jnp.asarray((np.sin(i * 0.11) * np.cos(i * 0.0013)).astype(np.float32).reshape(1, 3, 224, 224), jnp.float64)

    def cross_entropy(x):
        z = run(graph, x)[0]
        return jax.nn.logsumexp(z) - z[LABEL]

    def margin(x):
        z = run(graph, x)[0]
        return jnp.max(z.at[LABEL].set(-jnp.inf)) - z[LABEL]

    at = np.linspace(0, i.size - 1, SAMPLES).astype(int)
    losses = {}
    for loss in (cross_entropy, margin):
        value, gradient = jax.value_and_grad(loss)(image)
        flat = np.asarray(gradient).ravel()
        losses[loss.__name__.replace("_", "-")] = {
            "value": float(value),
            "norm": float(np.linalg.norm(flat)),
            "sumOfMagnitudes": float(np.abs(flat).sum()),
            "samples": [float(v) for v in flat[at]],
        }
    golden = {"model": "efficientnet-lite0", "label": LABEL, "jax": jax.__version__, "at": at.tolist(), "losses": losses}
    (HERE / "efficientnet-lite0.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
