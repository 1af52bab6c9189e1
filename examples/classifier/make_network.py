"""
What makes a network for the classifier, and a picture to try it with: ``python make_network.py FOLDER``.

It is MobileNetV2 in shape (3.5 million weights, 224 by 224 pixels, 1000 classes) and knows nothing: its weights are
random, from a fixed seed. ``FOLDER/openvino`` holds it as OpenVINO IR, ``FOLDER/pytorch`` as ``torch.export`` archive.

Source: Sandler and others, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, table 2.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import openvino as ov
import torch
from torch import nn

SIDE = 224
CLASSES = 1000
# expansion, channels, repeats, first stride
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST_CHANNELS = 1280


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution with its normalisation and activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class Bottleneck(nn.Module):
    """Wide inside, narrow outside, and added to what came in where it can be."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.layers = nn.Sequential(
            *([convolution(inputs, wide)] if expansion > 1 else []),
            convolution(wide, wide, kernel=3, stride=stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, inputs, rows, columns] -> [batch, outputs, rows / stride, columns / stride]."""
        y: torch.Tensor = self.layers(x)
        return x + y if self.residual else y


class Network(nn.Module):
    """Pictures to the probability of each class."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(3, 32, kernel=3, stride=2)]
        channels = 32
        for expansion, outputs, repeats, stride in STAGES:
            for repeat in range(repeats):
                layers.append(Bottleneck(channels, outputs, 1 if repeat else stride, expansion))
                channels = outputs
        layers.append(convolution(channels, LAST_CHANNELS))
        self.features = nn.Sequential(*layers)
        self.classes = nn.Linear(LAST_CHANNELS, CLASSES)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """[1, 3, 224, 224] -> [1, 1000]."""
        logits = self.classes(self.features(image).mean((2, 3)))
        return {"probabilities": torch.softmax(logits, 1)}


def network() -> Network:
    """Random weights, with statistics of random pictures, so that what comes out differs from picture to picture."""
    torch.manual_seed(0)
    made = Network()
    nn.init.normal_(made.classes.weight, std=0.3)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all pictures
    with torch.no_grad():
        for _ in range(2):
            made(torch.randn(4, 3, SIDE // 2, SIDE // 2))
    return made.eval()


def picture() -> bytes:
    """Coloured waves, as PPM."""
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    waves = torch.stack([(torch.sin(row / (5 + c)) * torch.cos(column / (9 - c)) + 1) * 127 for c in range(3)], -1)
    return b"P6\n%d %d\n255\n" % (SIDE, SIDE) + waves.to(torch.uint8).numpy().tobytes()


def main(folder: Path) -> None:
    """Write all of it."""
    for name in ("openvino", "pytorch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    made, example = network(), torch.zeros(1, 3, SIDE, SIDE)
    program = torch.export.export(made, (example,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old names that the library itself still uses
        torch.export.save(program, folder / "pytorch" / "model.pt2")
        model = ov.convert_model(program)
    model.inputs[0].get_tensor().set_names({"image"})
    model.outputs[0].get_tensor().set_names({"probabilities"})
    ov.save_model(model, folder / "openvino" / "model.xml", compress_to_fp16=False)
    (folder / "picture.ppm").write_bytes(picture())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
