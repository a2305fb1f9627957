"""Which products int8 hurts, and the fewest to keep in fp32 so that the score stays.

A score counts right answers, so most groups alone leave it as it is; how far the logits move orders
those. A group is what one layer does in one step (queries, keys and values together), since its
products share their input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx

from destila.errors import ModelError
from destila.exporting.calibration import Calibration, open_graph
from destila.exporting.int8 import QuantKind, products, quantise

GraphScore = Callable[[onnx.ModelProto], float]
"""The dev score of a graph, higher is better."""

_TOGETHER = ("query", "key", "value")


@dataclass(frozen=True, slots=True)
class Effect:
    """What a group costs.

    Args:
        group: "layer.0.query-key-value".
        products: the names of its products.
        score: with only this group in int8.
        drop: fp32's score minus that.
        moved: mean |difference| of the logits from fp32's over some windows; 0 without any.
    """

    group: str
    products: frozenset[str]
    score: float
    drop: float
    moved: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return the object of export.json."""
        return {**asdict(self), "products": sorted(self.products)}


def groups(proto: onnx.ModelProto) -> dict[str, frozenset[str]]:
    """Return the products of each group by name, in the order of the graph.

    "embeddings" stands for the tables.
    """
    members: dict[str, set[str]] = {"embeddings": {"embeddings"}}
    for product in products(proto):
        place, _, part = product.rpartition(".")
        group = f"{place}.query-key-value" if part in _TOGETHER else product
        members.setdefault(group, set()).add(product)
    return {name: frozenset(own) for name, own in members.items()}


def sensitivity(
    proto: onnx.ModelProto,
    score: GraphScore,
    *,
    kind: QuantKind = "dynamic",
    calibration: Calibration | None = None,
    windows: Sequence[Mapping[str, np.ndarray]] = (),
) -> list[Effect]:
    """Return the effect of each group alone, the most harmful first.

    They are ordered by the score, then by how far the logits move.

    Args:
        proto: the fp32 graph, which is scored once itself.
        score: of a graph on dev.
        kind: how activations are scaled.
        calibration: see `quantise`.
        windows: inputs whose logits are compared.
    """
    # What every effect is measured against.
    exact_score, exact_logits = score(proto), _logits(proto, windows)
    parts = groups(proto)
    everything = frozenset().union(*parts.values())

    effects = []
    for name, members in parts.items():
        # Everything in fp32 but this group.
        graph = quantise(proto, kind=kind, keep=everything - members, calibration=calibration)
        own_score = score(graph)
        moved = np.abs(_logits(graph, windows) - exact_logits)
        effects.append(
            Effect(
                group=name,
                products=members,
                score=own_score,
                drop=exact_score - own_score,
                moved=float(moved.mean()) if moved.size else 0.0,
            )
        )
    return sorted(effects, key=lambda effect: (-effect.drop, -effect.moved))


def keep_needed(
    proto: onnx.ModelProto,
    score: GraphScore,
    max_drop: float,
    *,
    kind: QuantKind = "dynamic",
    calibration: Calibration | None = None,
    effects: Sequence[Effect] | None = None,
) -> frozenset[str]:
    """Return the products to keep in fp32 for the score to hold; empty when int8 is good enough.

    Args:
        proto: the fp32 graph.
        score: of a graph on dev.
        max_drop: the most that the score may drop.
        kind: how activations are scaled.
        calibration: see `quantise`.
        effects: of `sensitivity`; None: computed here, only if needed.

    Raises:
        ModelError: max_drop is negative.
    """
    if max_drop < 0:
        raise ModelError(f"max_drop = {max_drop}: the most that a score may drop is 0 or more")
    # The least score that is accepted.
    least = score(proto) - max_drop

    def holds(kept: Sequence[Effect]) -> bool:
        keep = frozenset().union(*(effect.products for effect in kept))
        return score(quantise(proto, kind=kind, keep=keep, calibration=calibration)) >= least

    if holds([]):
        return frozenset()
    if effects is None:
        effects = sensitivity(proto, score, kind=kind, calibration=calibration)

    # Groups are kept from the most harmful on until the score holds.
    kept: list[Effect] = []
    for effect in effects:
        kept.append(effect)
        if holds(kept):
            break

    # Then each is given up again where the score holds without it; the last one was needed.
    for effect in kept[-2::-1]:
        fewer = [other for other in kept if other is not effect]
        if holds(fewer):
            kept = fewer
    return frozenset().union(*(effect.products for effect in kept))


def _logits(proto: onnx.ModelProto, windows: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """Return the logits of all windows, one behind the other, [N]."""
    if not windows:
        return np.empty(0)
    session = open_graph(proto)
    return np.concatenate([session.run(None, dict(feeds))[0].reshape(-1) for feeds in windows])
