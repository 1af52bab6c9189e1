"""Weights of an OpenVINO graph in eight or four bits, by nncf."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    import openvino as ov

# Numbers that share a scale in four bits; it divides the widths of all sizes of the families.
_GROUP = 64
# What the CPU plugin multiplies with such weights it rounds to eight bits; as many numbers of it share a scale. By
# itself it has 32, and more than share one in the weights are slower, so it is the graph that says it.
# ``benchmarks/EXPERIMENTS.md`` has the figures.
_GROUP_OPTION = ["runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"]


class WeightFormat(Enum):
    """How weights are stored. What is computed with is the plugin's choice."""

    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"


def compressed(model: ov.Model, weight_format: WeightFormat) -> ov.Model:
    """
    The graph with its matrices in that format.

    Eight bits have a scale and a zero point for each output. Four have them for each 64 inputs, and leave vocabulary
    and head at eight. No text is looked at to choose them. What a CPU multiplies with them has a scale for 64, too.

    Raises:
        OperatorError: nncf is not installed.
    """
    if weight_format is WeightFormat.FP16:
        return model
    nncf = _nncf()
    nncf.set_log_level(logging.ERROR)
    # It shows how far it is on stdout, which is for results.
    with contextlib.redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
        if weight_format is WeightFormat.INT8:
            model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
        else:
            model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT4_ASYM, group_size=_GROUP, ratio=1.0)
    model.set_rt_info(str(_GROUP), _GROUP_OPTION)
    return model


def _nncf() -> Any:  # noqa: ANN401 -- a library without types
    try:
        return importlib.import_module("nncf")
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"weights of 8 and 4 bits need the package {error.name!r}, which is not installed: "
            "pip install 'wit-llm[convert]'; fp16 does without"
        ) from error
