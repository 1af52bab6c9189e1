"""I: one classifier, the same numbers everywhere."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201 -- the bindings have no types

from __future__ import annotations

import math
import struct

from suite import Failed, case, computed, context, fp32


def classifies(on):
    """The worst difference of the classifier from the same in double precision, in words."""
    worst = 0.0
    for x in ((0.5, -1, 0.25, 2), (0, 0, 0, 0), (-3, 1, 4, -1.5), (1, 1, 1, 1)):
        hidden = [math.tanh(sum(x[i] * ((3 * i + 5 * j) % 7 - 3) / 4 for i in range(4))) for j in range(8)]
        classes = [math.exp(sum(hidden[j] * ((5 * j + 3 * k) % 7 - 3) / 4 for j in range(8))) for k in range(3)]
        [(name, dimensions, ty, data)] = computed(on, ("x", fp32(*x, dimensions=[1, 4])))
        if (name, dimensions, ty, len(data)) != ("y", [1, 3], "FP32", 12):
            raise Failed(f"{name} {ty}{dimensions}")
        pairs = zip(struct.unpack("3f", data), classes, strict=True)
        worst = max(worst, *(abs(got - wanted / sum(classes)) for got, wanted in pairs))
    if not worst <= 0.01:
        raise Failed(f"{worst:.1e} off")
    return f"at most {worst:.1e} off"


@case("I.numbers")
def numbers_are_right():
    """A classifier's probabilities are right to 0.01, whatever computes them."""
    return classifies(context("numbers"))
