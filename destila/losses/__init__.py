"""Loss terms, one file each: `Options` and `build(options) -> Term`; `use = "kl"` is `kl.py`.

A term sees what two models say per unit, a mask and an axis, and never hears of tokenizers. It
returns a **sum**; the weighted loss divides by the global count, so accumulation and data
parallelism do not change the loss.
"""

SHARED = ("pool", "term", "weighted")
"""Modules of this room that are no terms."""
