"""Makes samples/adversarial/: attacks on the sample photographs, against the bundled model.

    pip install -r scripts/samples/requirements.txt
    python scripts/samples/make_adversarial.py MODEL.onnx samples

White-box and unaware of the defence: the attacker has the network and its gradients, and knows nothing of deflection or
denoising. Every photograph that the model is at least 20 % sure of is attacked by every attack, and every result that
fools the model is kept, whatever the defence then makes of it. Strength is ||adversarial - clean|| / ||clean||, in 8-bit pixel values, over the 224 x 224 pixels
that the model sees.

Files are 256 x 256: the model's preprocessing takes their centre square of 224 pixels and leaves it at its size, so that
the pixels reach the network as the attack left them. The border is clean.
"""

import io
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image, ImageCms

SIDE, INPUT = 256, 224
BORDER = (SIDE - INPUT) // 2
MEAN, STD = 127.0, 128.0
SURE = 0.2


def depthwise(x, weights, stride):
    """As a sum of shifted products: its gradient by XLA on a CPU is many times as fast as that of a grouped convolution."""
    size = weights.shape[2:]
    height, width = ((x.shape[2 + i] - size[i]) // stride[i] + 1 for i in (0, 1))
    return sum(
        x[:, :, i : i + height * stride[0] : stride[0], j : j + width * stride[1] : stride[1]][:, :, :height, :width]
        * weights[None, :, 0, i, j, None, None]
        for i in range(size[0])
        for j in range(size[1])
    )


def network(path):
    """The ONNX graph as a function of JAX, which differentiates it. Only the operators of EfficientNet-Lite."""
    graph = onnx.load(path).graph
    constants = {t.name: jnp.asarray(numpy_helper.to_array(t)) for t in graph.initializer}

    def attributes(node):
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    def apply(node, x):
        a = attributes(node)
        match node.op_type:
            case "Conv":
                top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
                stride = a.get("strides", [1, 1])
                if a.get("group", 1) == 1:
                    y = jax.lax.conv_general_dilated(x[0], x[1], stride, [(top, bottom), (left, right)])
                else:
                    y = depthwise(jnp.pad(x[0], [(0, 0), (0, 0), (top, bottom), (left, right)]), x[1], stride)
                return y + x[2][None, :, None, None] if len(x) > 2 else y
            case "Clip":
                return jnp.clip(x[0], x[1], x[2])
            case "Add":
                return x[0] + x[1]
            case "GlobalAveragePool":
                return x[0].mean(axis=(2, 3), keepdims=True)
            case "Flatten":
                return x[0].reshape(x[0].shape[0], -1)
            case "Gemm":
                w = x[1].T if a.get("transB") else x[1]
                return x[0] @ w + x[2]
            case "Cast":
                return x[0].astype(onnx.helper.tensor_dtype_to_np_dtype(a["to"]))
        raise ValueError(f"operator {node.op_type}")

    @jax.jit
    def logits(pixels):
        """pixels: [224, 224, 3] on 0..255."""
        values = dict(constants)
        values[graph.input[0].name] = ((pixels - MEAN) / STD).transpose(2, 0, 1)[None]
        for node in graph.node:
            values[node.output[0]] = apply(node, [values[n] for n in node.input if n])
        return values[graph.output[0].name][0]

    return logits


def round8(x):
    return jnp.clip(jnp.round(x), 0, 255)


def igsm(logits, clean, label):
    """Kurakin, Goodfellow and Bengio 2017: steps of one grey level along the sign of the gradient, until fooled."""
    gradient = jax.jit(jax.grad(lambda x: jax.nn.log_softmax(logits(x))[label]))
    x = clean
    for _ in range(16):
        x = round8(x - jnp.sign(gradient(x)))
        if logits(x).argmax() != label:
            return x
    return None


def carlini_wagner(logits, clean, label, kappa=1.0):
    """Carlini and Wagner 2017, L2, towards the tenth likeliest class.

    The constant is searched for by bisection; of the images that, rounded to 8 bits, reach the margin kappa, the nearest
    one is kept.
    """
    target = int(jnp.argsort(-logits(clean))[9])

    def margin(z):
        return z[target] - jnp.max(z.at[target].set(-jnp.inf))

    def to_pixels(w):
        return 127.5 * (jnp.tanh(w) + 1)

    @jax.jit
    def step(w, m, v, count, constant):
        def loss(w):
            x = to_pixels(w)
            reached = margin(logits(x))
            return (((x - clean) / 255) ** 2).sum() + constant * jnp.maximum(kappa - reached, 0), reached

        g, reached = jax.grad(loss, has_aux=True)(w)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        return w - 0.005 * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8), m, v, reached

    low, high, constant = 0.0, None, 1.0
    best, best_norm = None, np.inf
    for _ in range(4):
        w = jnp.arctanh(jnp.clip(clean / 127.5 - 1, -0.999999, 0.999999))
        m, v = jnp.zeros_like(w), jnp.zeros_like(w)
        fooled = False
        for count in range(1, 81):
            x = round8(to_pixels(w))
            w, m, v, reached = step(w, m, v, count, constant)
            if reached >= kappa and margin(logits(x)) >= kappa:
                fooled = True
                norm = float(jnp.linalg.norm(x - clean))
                if norm < best_norm:
                    best, best_norm = x, norm
        if fooled:
            high = constant
        else:
            low = constant
        constant = constant * 10 if high is None else (low + high) / 2
    return best


ATTACKS = {"igsm": igsm, "cw": carlini_wagner}


def centre_square(path):
    image = Image.open(path).convert("RGB")
    if profile := image.info.get("icc_profile"):
        image = ImageCms.profileToProfile(image, io.BytesIO(profile), ImageCms.createProfile("sRGB"))
    side = min(image.size)
    left, top = ((s - side) // 2 for s in image.size)
    return image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def main(model, folder):
    logits = network(model)
    out = folder / "adversarial"
    out.mkdir(exist_ok=True)
    entries = []
    for photo in sorted(p for p in folder.iterdir() if p.suffix in {".png", ".jpg"}):
        whole = np.asarray(centre_square(photo))
        inner = slice(BORDER, BORDER + INPUT)
        clean = jnp.asarray(whole[inner, inner], dtype=jnp.float32)
        scores = jax.nn.softmax(logits(clean))
        label = int(scores.argmax())
        if scores[label] < SURE:
            print(f"{photo.name}: the model is {float(scores[label]):.0%} sure, so it is not attacked")
            continue
        for name, attack in ATTACKS.items():
            x = attack(logits, clean, label)
            if x is None:
                print(f"{photo.stem}: {name} did not fool the model")
                continue
            z = np.asarray(logits(x))
            entry = {
                "file": f"adversarial/{photo.stem}-{name}.png",
                "photograph": photo.name,
                "attack": name,
                "cleanLabel": label,
                "adversarialLabel": int(z.argmax()),
                "l2": round(float(jnp.linalg.norm(x - clean) / jnp.linalg.norm(clean)), 5),
                "largestChange": int(jnp.abs(x - clean).max()),
                "margin": round(float(z.max() - z[label]), 3),
            }
            entries.append(entry)
            print(entry)
            pixels = whole.copy()
            pixels[inner, inner] = np.asarray(x, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / entry["file"], optimize=True)
    (out / "manifest.json").write_text(json.dumps(entries, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
