"""Linear layers with their weights laid out for oneDNN, once: two to five times as fast on a CPU, for few rows."""

from __future__ import annotations

import torch

# ruff: noqa: SLF001 -- what compiled models of torch 2.13 call has no public name; the version is pinned
_ops = torch.ops.mkldnn
# Rows for which the layout is made; it is the same for 8 and more, and good for fewer.
_ROWS = 16


class Packed(torch.nn.Module):
    """
    A linear layer for inference on the CPU.

    Args:
        linear: What it does.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        # A tensor whose elements only oneDNN can read; some models ask it for its type.
        self.register_buffer("weight", _ops._reorder_linear_weight(linear.weight.detach(), _ROWS))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``[..., in]`` to ``[..., out]``."""
        packed: torch.Tensor = _ops._linear_pointwise(rows, self.weight, self.bias, "none", [], "")
        return packed


def pack(model: torch.nn.Module) -> None:
    """Put a packed layer in the place of each linear one of a model on the CPU, where oneDNN has its type."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear and computes(child.weight.dtype):
                setattr(parent, name, Packed(child))


def computes(dtype: torch.dtype) -> bool:
    """Whether oneDNN has instructions of this CPU for a type."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype is torch.bfloat16:
        return bool(_ops._is_mkldnn_bf16_supported())
    return dtype is torch.float32 or (dtype is torch.float16 and bool(_ops._is_mkldnn_fp16_supported()))
