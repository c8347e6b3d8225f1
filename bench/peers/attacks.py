"""Attacks of Foolbox on the bundled model, which JAX runs and differentiates from the same ONNX file.

    python attacks.py FOLDER        (bench/attacks.ts calls it)

Reads FOLDER/clean.npy (float32 [N, 3, H, W], RGB in [0,1]), FOLDER/labels.json and FOLDER/cases.json; prints one JSON line a case.
Foolbox needs PyTorch, TensorFlow or JAX; JAX is the one that comes without gigabytes of GPU libraries.
"""

import json
import sys
import time
from pathlib import Path

import foolbox as fb
import jax
import jax.numpy as jnp
import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "test/goldens-gradients"))
from make import MODEL, run  # noqa: E402

ATTACKS = {
    "fgsm": lambda p: fb.attacks.LinfFastGradientAttack(random_start=False),
    "pgd": lambda p: fb.attacks.LinfPGD(abs_stepsize=p["step"], steps=p["steps"], random_start=True),
    "deepfool": lambda p: fb.attacks.L2DeepFoolAttack(steps=p["steps"], candidates=p["candidates"], overshoot=p["overshoot"]),
    "cw": lambda p: fb.attacks.L2CarliniWagnerAttack(
        binary_search_steps=p["searches"],
        steps=p["steps"],
        stepsize=p["rate"],
        confidence=p["confidence"],
        initial_const=p["constant"],
    ),
}


def main():
    folder = Path(sys.argv[1])
    clean = jnp.asarray(np.load(folder / "clean.npy"))
    labels = jnp.asarray(json.loads((folder / "labels.json").read_text()))
    graph = onnx.load(MODEL).graph
    classify = jax.jit(lambda x: run(graph, (x - 127 / 255) / (128 / 255)))
    model = fb.JAXModel(classify, bounds=(0, 1))
    agreement = float((classify(clean).argmax(-1) == labels).mean())
    for case in json.loads((folder / "cases.json").read_text()):
        values = case["parameters"]
        attack = ATTACKS[case["attack"]](values)
        np.random.seed(0)
        started = time.process_time()
        _, found, _ = attack(model, clean, labels, epsilons=values.get("epsilon"))
        seconds = time.process_time() - started
        found = np.asarray(found)
        fooled = np.asarray(classify(jnp.asarray(found)).argmax(-1) != labels)
        x = np.asarray(clean)
        l2 = np.sqrt(((found - x) ** 2).sum((1, 2, 3)) / (x**2).sum((1, 2, 3)))
        print(
            json.dumps(
                {
                    "attack": case["attack"],
                    "success": float(fooled.mean()),
                    "medianL2": float(np.median(l2[fooled])) if fooled.any() else None,
                    "processorSeconds": seconds / len(x),
                    "sameCleanLabels": agreement,
                }
            ),
            flush=True,
        )


main()
