from __future__ import annotations

import numpy as np
import pytest

from destila.errors import ModelError
from destila.exporting import onnx as exporter
from destila.exporting.int8 import products
from destila.exporting.sensitivity import groups, keep_needed, sensitivity

COST = {"layer.0.up": 0.004, "layer.1.down": 0.02, "classifier": 0.001, "layer.1.out": 0.006}


def score(proto):
    """A score that loses what each product that is int8 costs."""
    int8 = {node.name for node in proto.graph.node if node.op_type == "MatMulIntegerToFloat"}
    return 0.9 - sum(cost for name, cost in COST.items() if name in int8)


@pytest.fixture(scope="module")
def plain(small):
    return exporter.build_onnx(small("bert"), mask=False)


def test_groups_hold_every_product_once(plain):
    members = [name for group in groups(plain).values() for name in group]
    assert sorted(members) == sorted([*products(plain), "embeddings"])
    assert groups(plain)["layer.0.query-key-value"] == {
        f"layer.0.{part}" for part in ("query", "key", "value")
    }


def test_the_most_harmful_group_comes_first(plain):
    effects = sensitivity(plain, score)
    assert [effect.group for effect in effects[:4]] == [
        "layer.1.down",
        "layer.1.out",
        "layer.0.up",
        "classifier",
    ]
    assert effects[0].drop == pytest.approx(0.02)
    assert effects[4].drop == pytest.approx(0)


def test_equal_scores_are_ordered_by_moved_logits(plain, texts):
    """Groups that leave the score as it is are ordered by how far they move the logits."""
    windows = [feeds | {"type_ids": np.zeros_like(feeds["input_ids"])} for feeds in texts]
    effects = sensitivity(plain, lambda _: 0.9, windows=windows)
    moved = [effect.moved for effect in effects]
    assert moved == sorted(moved, reverse=True)
    assert min(moved) > 0
    assert {effect.moved for effect in sensitivity(plain, lambda _: 0.9)} == {0.0}


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (0.05, set()),
        (0.012, {"layer.1.down"}),
        (0.006, {"layer.1.down", "layer.1.out"}),
        (0.0, set(COST)),
    ],
)
def test_only_what_the_limit_asks_for_is_kept(limit, kept, plain):
    assert keep_needed(plain, score, limit + 1e-9) == kept


def test_what_turns_out_not_to_be_needed_is_given_up(plain):
    """Two products that only hurt together: keeping the second is enough."""

    def together(proto):
        int8 = {node.name for node in proto.graph.node if node.op_type == "MatMulIntegerToFloat"}
        return (
            0.9
            - 0.01 * ("layer.0.up" in int8)
            - 0.05 * ({"layer.0.up", "layer.1.up", "dense"} <= int8)
        )

    assert len(keep_needed(plain, together, 0.011)) <= 1
    with pytest.raises(ModelError, match="max_drop"):
        keep_needed(plain, together, -0.1)
