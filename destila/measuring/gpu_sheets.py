"""GPUs as their makers describe them, and what share of that a training is taken to reach."""

from __future__ import annotations

from dataclasses import dataclass

from destila.errors import ConfigError
from destila.plugins import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU as its data sheet describes it.

    gigabytes: of memory. bf16, fp32: peak in TFLOPS, dense, of 16-bit products and of fp32 ones
    without TF32.
    """

    gigabytes: int
    bf16: float
    fp32: float

    def flops(self, precision: str) -> float:
        """Return the peak of a precision, in floating-point operations per second."""
        peaks = {"fp32": self.fp32, "tf32": self.bf16 / 2}
        return 1e12 * peaks.get(precision, self.bf16)


GPUS = {
    "h200": Gpu(gigabytes=141, bf16=989, fp32=67),
    "h100": Gpu(gigabytes=80, bf16=989, fp32=67),
    "a100": Gpu(gigabytes=80, bf16=312, fp32=19.5),
    "l40s": Gpu(gigabytes=48, bf16=362, fp32=91.6),
    "rtx-4090": Gpu(gigabytes=24, bf16=165, fp32=82.6),
    "rtx-3090": Gpu(gigabytes=24, bf16=71, fp32=35.6),
    "l4": Gpu(gigabytes=24, bf16=121, fp32=30.3),
}
"""Data sheets of the makers; the published runs had RTX 3090 and A100."""

SHARE = 0.35
"""Share of the peak that a training is taken to reach."""

_LAYER_SECONDS, _STEP_SECONDS = 1e-3, 5e-3
"""Least seconds of a micro-batch, for each layer and once: small models wait for their kernels."""


def least_seconds(layers: int) -> float:
    """Return the seconds that a micro-batch takes at least, forward and backward."""
    return _LAYER_SECONDS * layers + _STEP_SECONDS


def gpu_named(name: str) -> Gpu:
    """Return a GPU by its name; raise ConfigError for an unknown one."""
    if name not in GPUS:
        raise ConfigError(f"--gpu {name} is not known.{nearest(name, sorted(GPUS))}")
    return GPUS[name]
