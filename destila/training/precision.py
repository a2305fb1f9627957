"""The precision of a model's products, and the scaler that float16 needs.

    fp32    as it is
    tf32    float32 whose products a GPU computes in TF32: 10 bits of mantissa, several times as
            fast; on a CPU the same as fp32
    bf16    products in bfloat16 (autocast), with the range of float32
    fp16    products in float16 (autocast), whose range is so small that gradients are scaled while
            they are computed (Micikevicius et al. 2018)

Weights, moments, losses and logits are float32 under all four.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from destila import cpu


@dataclass(frozen=True, slots=True)
class Precision:
    """A precision on a device, as `precision_for` has chosen it. name: fp32, tf32, bf16 or fp16."""

    name: str
    device: torch.device

    @property
    def autocast(self) -> torch.dtype | None:
        """The dtype of products under autocast; None: float32."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.name)

    @property
    def dtype(self) -> str:
        """The name of the dtype of products, for records."""
        names = {"bf16": "bfloat16", "fp16": "float16", "tf32": "tf32"}
        return names.get(self.name, "float32")

    def scaler(self) -> torch.amp.GradScaler | None:
        """Return what scales gradients; None where nothing needs it."""
        return torch.amp.GradScaler(self.device.type) if self.name == "fp16" else None

    @contextmanager
    def products(self) -> Iterator[None]:
        """Let a GPU multiply float32 in TF32 meanwhile, where that is the precision.

        Autocast is not begun here: a loss is computed outside of it.
        """
        if self.name != "tf32" or self.device.type != "cuda":
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def precision_for(chosen: str, device: torch.device, *, exact: bool = False) -> Precision:
    """Return the precision that a recipe asks for on a device.

    Args:
        chosen: auto, fp32, tf32, bf16 or fp16. auto: bf16 where the hardware multiplies it faster
            than float32; on a GPU without it (before Ampere) fp16; else fp32.
        device: where the model runs.
        exact: auto is fp32 on a CPU, as for what is kept and compared.
    """
    if chosen != "auto":
        return Precision(chosen, device)

    # auto: where the hardware computes in 16 bits itself
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Precision("bf16" if has_bf16 else "fp16", device)
    fast = not exact and device.type == "cpu" and _cpu_multiplies_bf16_faster()
    return Precision("bf16" if fast else "fp32", device)


def autocasting(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[None]:
    """Return a context of autocast in a dtype; of nothing for None."""
    if dtype is None:
        return nullcontext()
    context: AbstractContextManager[None] = torch.autocast(device.type, dtype)
    return context


def _cpu_multiplies_bf16_faster() -> bool:
    """Say whether products in bf16 are faster than in fp32 on this processor.

    A rule and no timing, so that one machine answers alike in every run.
    """
    # AMX has units of its own for bf16. Intel's avx512_bf16 alone is there but slow: on such a
    # processor a product 1440x384 by 384x1536 ran at 90 GFLOPS in bf16 and at 130 to 180 in fp32,
    # on one thread. AMD's avx512_bf16 is at full width (not measured here).
    if torch.cpu._is_amx_tile_supported():
        return True
    return cpu.is_amd() and torch.cpu._is_avx512_bf16_supported()
