"""An image classifier as a WebAssembly component: a picture on standard input, the likeliest classes on output."""

from __future__ import annotations

import re
import sys
from array import array

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import graph, tensor

SIDE = 224
# Of each colour, as the network was made for: see make_network.py.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BEST = 5


class Run(exports.Run):
    """What ``wit-llm run classifier.wasm GRAPH < PICTURE.ppm`` starts."""

    def run(self) -> None:
        """Classify one picture; a status other than 0 is ``Err(None)``."""
        if len(sys.argv) != 2:  # noqa: PLR2004 -- the program's own name comes first
            print("error: usage: classifier GRAPH < PICTURE.ppm", file=sys.stderr)
            raise Err(None)
        try:
            pixels = read_ppm(sys.stdin.buffer.read())
            for probability, number in classify(sys.argv[1], pixels)[:BEST]:
                print(f"{probability:.4f} class {number}")
        except Err as error:
            print(f"error: {error.value.data()}", file=sys.stderr)
            raise Err(None) from None
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            raise Err(None) from None


def classify(name: str, pixels: bytes) -> list[tuple[float, int]]:
    """Probability and number of each class, the likeliest first."""
    data = normalised(pixels).tobytes()  # [1, colour, row, column] f32
    with graph.load_by_name(name) as network, network.init_execution_context() as context:
        image = tensor.Tensor([1, 3, SIDE, SIDE], tensor.TensorType.FP32, data)
        [(_, probabilities)] = context.compute([("image", image)])
        with probabilities:
            found = array("f", probabilities.data())  # [class]
    return sorted(((probability, number) for number, probability in enumerate(found)), reverse=True)


def normalised(pixels: bytes) -> array[float]:
    """Colours one after the other, each with mean 0 and spread 1 over the pictures of the world."""
    planes = array("f")
    for colour, (mean, spread) in enumerate(zip(MEAN, SPREAD, strict=True)):
        values = [(value / 255 - mean) / spread for value in range(256)]
        planes.extend(values[byte] for byte in pixels[colour::3])
    return planes


def read_ppm(data: bytes) -> bytes:
    """
    The pixels of a picture in the format PPM (P6), row by row, a byte for each of red, green and blue.

    Raises:
        ValueError: It is no such picture, or has another size than the network takes.
    """
    header = re.match(rb"P6\s+%d\s+%d\s+255\s" % (SIDE, SIDE), data)
    pixels = data[header.end() :] if header else b""
    if len(pixels) != SIDE * SIDE * 3:
        raise ValueError(
            f"wanted is a PPM picture (P6) of {SIDE} by {SIDE} pixels, got {len(data)} bytes: {data[:16]!r}"
        )
    return pixels
