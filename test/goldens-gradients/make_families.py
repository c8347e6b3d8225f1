"""Gradients of small networks of the families that Deflector differentiates, by PyTorch in double precision.

    pip install torch==1.13.1 numpy==1.24.2
    python test/goldens-gradients/make_families.py   (from the root of the repository; writes families/*.onnx, families.json)

Made with Debian's build of torch 1.13.1. Each network has the operators and the shape of its family at a fraction of the width, with random weights. The ONNX file is
PyTorch's own export; the gradient is that of the PyTorch module, so both the operators' meaning and their derivatives are tested.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent
CLASSES = 10
SIDE = 32
LABEL = 3
SAMPLES = 64


def conv_bn(inputs, outputs, size, stride=1, groups=1, padding=None, activation=nn.ReLU):
    if padding is None:
        padding = size // 2 if isinstance(size, int) else tuple(s // 2 for s in size)
    layers = [nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Squeeze(nn.Module):
    """Squeeze and excitation, as MobileNetV3 and EfficientNet have it."""

    def __init__(self, channels, inner, gate):
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1), gate

    def forward(self, x):
        return x * self.gate(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """Inverted residual of MobileNetV2, MobileNetV3 and EfficientNet."""

    def __init__(self, inputs, outputs, expand, size, stride, activation, squeeze=None):
        super().__init__()
        inner = inputs * expand
        self.body = nn.Sequential(
            conv_bn(inputs, inner, 1, activation=activation),
            conv_bn(inner, inner, size, stride, groups=inner, activation=activation),
            *([Squeeze(inner, 4, squeeze)] if squeeze else []),
            conv_bn(inner, outputs, 1, activation=None),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


def mobile(activation, squeeze, stem=nn.ReLU6):
    return nn.Sequential(
        conv_bn(3, 8, 3, 2, activation=stem),
        Inverted(8, 8, 2, 3, 1, activation, squeeze),
        Inverted(8, 12, 3, 5, 2, activation, squeeze),
        Inverted(12, 12, 3, 3, 1, activation, squeeze),
        conv_bn(12, 24, 1, activation=activation),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(24, CLASSES),
    )


class Bottleneck(nn.Module):
    def __init__(self, inputs, inner, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(inputs, inner, 1), conv_bn(inner, inner, 3, stride), conv_bn(inner, outputs, 1, activation=None)
        )
        self.side = nn.Identity() if inputs == outputs and stride == 1 else conv_bn(inputs, outputs, 1, stride, activation=None)

    def forward(self, x):
        return F.relu(self.body(x) + self.side(x))


def resnet():
    return nn.Sequential(
        conv_bn(3, 8, 7, 2),
        nn.MaxPool2d(3, 2, 1),
        Bottleneck(8, 6, 16, 1),
        Bottleneck(16, 6, 16, 1),
        Bottleneck(16, 8, 24, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, CLASSES),
    )


def vgg():
    def block(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)]

    return nn.Sequential(
        *block(3, 6), *block(6, 8), *block(8, 10), nn.Flatten(), nn.Linear(160, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, CLASSES)
    )


class Mixed(nn.Module):
    """Branches of Inception: 1x1, factorised 1x7 and 7x1, double 3x3, average pooling."""

    def __init__(self, inputs):
        super().__init__()
        self.one = conv_bn(inputs, 6, 1)
        self.seven = nn.Sequential(conv_bn(inputs, 4, 1), conv_bn(4, 4, (1, 7)), conv_bn(4, 6, (7, 1)))
        self.three = nn.Sequential(conv_bn(inputs, 4, 1), conv_bn(4, 6, 3), conv_bn(6, 6, 3))
        self.pool = conv_bn(inputs, 6, 1)

    def forward(self, x):
        return torch.cat([self.one(x), self.seven(x), self.three(x), self.pool(F.avg_pool2d(x, 3, 1, 1))], 1)


class Reduction(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.conv = conv_bn(inputs, 8, 3, 2, padding=0)

    def forward(self, x):
        return torch.cat([self.conv(x), F.max_pool2d(x, 3, 2)], 1)


def inception():
    return nn.Sequential(
        conv_bn(3, 6, 3, 2, padding=0), Mixed(6), Reduction(24), Mixed(32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES)
    )


class Fire(nn.Module):
    def __init__(self, inputs, inner, outputs):
        super().__init__()
        self.squeeze, self.one, self.three = nn.Conv2d(inputs, inner, 1), nn.Conv2d(inner, outputs, 1), nn.Conv2d(inner, outputs, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


def squeezenet():
    return nn.Sequential(
        nn.Conv2d(3, 10, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(10, 4, 8),
        Fire(16, 4, 8),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(16, 6, 12),
        nn.Dropout(),
        nn.Conv2d(24, CLASSES, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class Dense(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 2 * growth, 1, bias=False),
            nn.BatchNorm2d(2 * growth), nn.ReLU(), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


def densenet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        Dense(8, 4),
        Dense(12, 4),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 8, 1, bias=False),
        nn.AvgPool2d(2, 2),
        Dense(8, 4),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, CLASSES),
    )


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.mix, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = self.mix(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, tokens, width))


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second, self.attention = nn.LayerNorm(width), nn.LayerNorm(width), Attention(width, 2)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(self.first(x))
        return x + self.mlp(self.second(x))


class VisionTransformer(nn.Module):
    def __init__(self, width=16, patch=8):
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(0.5 * torch.randn(1, (SIDE // patch) ** 2 + 1, width))
        self.layers, self.norm, self.head = nn.Sequential(Layer(width), Layer(width)), nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.norm(self.layers(x))[:, 0])


FAMILIES = {
    "efficientnet-lite": lambda: mobile(nn.ReLU6, None),
    "efficientnet": lambda: mobile(nn.SiLU, nn.Sigmoid(), stem=nn.SiLU),
    "mobilenet-v3": lambda: mobile(nn.Hardswish, nn.Hardsigmoid(), stem=nn.Hardswish),
    "resnet": resnet,
    "vgg": vgg,
    "inception": inception,
    "squeezenet": squeezenet,
    "densenet": densenet,
    "vision-transformer": VisionTransformer,
}


def randomise(module):
    """Weights that keep signals at their size, statistics and scales of normalisation that are not those of a new network."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
        if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(part.weight, 0.7, 1.3)
            nn.init.normal_(part.bias, 0, 0.2)
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight)
            if part.bias is not None:
                nn.init.normal_(part.bias, 0, 0.1)


def main():
    i = np.arange(3 * SIDE * SIDE)
    pixels = (np.sin(i * 0.37) * np.cos(i * 0.0113)).astype(np.float32).reshape(1, 3, SIDE, SIDE)
    at = np.linspace(0, i.size - 1, SAMPLES).astype(int)
    families = {}
    (HERE / "families").mkdir(exist_ok=True)
    for seed, (name, build) in enumerate(FAMILIES.items()):
        torch.manual_seed(seed)
        module = build()
        randomise(module)
        module.eval()
        torch.onnx.export(
            module,
            torch.from_numpy(pixels),
            str(HERE / "families" / f"{name}.onnx"),
            opset_version=14,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}},
            # Batch normalisation stays an operator of its own.
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=True,
        )
        module.double()
        losses = {}
        image = torch.from_numpy(pixels).double().requires_grad_(True)
        scores = module(image)[0]
        others = scores.clone()
        others[LABEL] = -math.inf
        for kind, loss in {
            "cross-entropy": torch.logsumexp(scores, 0) - scores[LABEL],
            "margin": others.max() - scores[LABEL],
        }.items():
            (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
            flat = gradient.numpy().ravel()
            losses[kind] = {"norm": float(np.linalg.norm(flat)), "samples": [float(f"{v:.9g}") for v in flat[at]]}
        families[name] = {"scores": [float(f"{v:.9g}") for v in scores.detach().numpy()], "losses": losses}
    golden = {"label": LABEL, "side": SIDE, "torch": torch.__version__, "at": at.tolist(), "families": families}
    (HERE / "families.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
