"""The suite's guest in Python: B to I, and what E to H have it do; it imports wasi:nn and WASI alone."""

# mypy: ignore-errors
# ruff: noqa: F401 -- each file adds its cases

from __future__ import annotations

import acts
import classifier
import compute
import errors
import graphs
import limits
import tensors
from suite import Run
