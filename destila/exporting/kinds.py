"""The forms in which a model can be exported, by name. No torch."""

from __future__ import annotations

from typing import Literal, get_args

CandidateName = Literal[
    "fp32",
    "int8-dynamic",
    "int8-static",
    "int8-weights",
    "openvino-bf16",
    "openvino-int8",
    "openvino-int8-bf16",
]
CANDIDATES: tuple[CandidateName, ...] = get_args(CandidateName)
COMPUTED_AS_FP32: tuple[CandidateName, ...] = ("fp32", "int8-weights")
CALIBRATED: tuple[CandidateName, ...] = ("int8-static", "openvino-int8", "openvino-int8-bf16")

KindName = Literal[CandidateName, "web"]
"""What --kinds takes: candidates, and `web`, the files with which one runs in a browser."""
