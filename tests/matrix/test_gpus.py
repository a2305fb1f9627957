"""What a cell needs of a GPU, against a real step."""

from __future__ import annotations

import pytest
import torch

from destila.matrix.gpus import finetuning_memory
from destila.measuring.step_memory import LiveBytes
from destila.models import heads
from destila.models.architecture import from_shape
from destila.training.optim import build_optimizer
from destila.training.options import TrainOptions

SHAPE = from_shape(
    {"kind": "bert", "layers": 3, "hidden": 128, "heads": 4, "ffn": 512}, vocab_size=500, pad_id=0
)


@pytest.mark.parametrize("rows", [1, 24])
def test_planned_memory_is_that_of_a_real_step(rows: int) -> None:
    """Within 10 %; of one row the optimiser's part is the larger one, of many the computation."""
    model = heads.build_model(SHAPE, "classify", ("a", "b", "c"), seed=0).train()
    optimizer = build_optimizer(model, TrainOptions())
    ids = torch.zeros(rows, 128, dtype=torch.int64)

    def step() -> None:
        model.answer(ids, None, None).logits.sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    moments = [each for state in optimizer.state.values() for each in state.values()]
    held = LiveBytes(before=[*model.parameters(), *moments])
    with held:
        step()
    options = TrainOptions(batch_size=rows, precision="fp32")
    assert finetuning_memory(SHAPE, options, 100) == pytest.approx(held.peak, rel=0.1)


def test_micro_batches_and_sixteen_bits_take_less() -> None:
    whole = TrainOptions(batch_size=32, precision="fp32")
    parts = TrainOptions(batch_size=32, accumulation=4, precision="fp32")
    half = TrainOptions(batch_size=32, precision="bf16")
    most = finetuning_memory(SHAPE, whole, 128)
    assert finetuning_memory(SHAPE, parts, 128) < 0.4 * most
    assert finetuning_memory(SHAPE, half, 128) < 0.8 * most
