"""What a pre-training needs: the memory of a step against a real one, hours and disk by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from destila.errors import ConfigError
from destila.losses import _rows, hard
from destila.measuring.gpu_sheets import GPUS
from destila.models.architecture import from_shape
from destila.pretraining.planning import outlined_step
from destila.pretraining.planning.outlined_step import StepShape, measure_step, pretraining_memory
from destila.pretraining.planning.plan_pretraining import (
    Cluster,
    micro_rows,
    model_shapes,
    parse_gpus,
    plan_pretraining,
)
from destila.pretraining.pretrain_options import Stage
from destila.pretraining.pretrain_recipe import PretrainRecipe, variants

SHAPE = {"kind": "albert", "layers": 3, "hidden": 128, "heads": 4, "ffn": 256, "embedding": 64}
STAGE = Stage(steps=10, length=128, rows=16)


def _recipe(**changes: object) -> PretrainRecipe:
    tables = {
        "name": "tiny",
        "tokenizer": {"vocab_size": 4000},
        "corpora": [{"files": ["a.txt"]}],
        "model": {"shape": SHAPE},
        "train": {"stages": [{"steps": 10, "length": 128, "rows": 16}]},
    }
    return PretrainRecipe.model_validate(tables | changes)


def _peak_by_profiler(step: outlined_step.OutlinedStep, optimizer: torch.optim.Optimizer) -> int:
    """Return the most bytes that torch's allocator held in a step, weights and moments included."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        step.forward().backward()
        optimizer.step()
        optimizer.zero_grad()
    now = peak = 0
    for event in events.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    weights = sum(each.numel() * 4 for each in step.model.parameters())
    return peak + 3 * weights


@pytest.mark.parametrize(("optimizer", "rows"), [("lamb", 8), ("adamw", 1)])
def test_planned_memory_is_that_of_a_real_step(optimizer: str, rows: int) -> None:
    """Within 10 %, by what torch's own profiler saw allocated; both phases can be the larger."""
    recipe = _recipe()
    recipe = recipe.model_copy(
        update={"train": recipe.train.model_copy(update={"optimizer": optimizer})}
    )
    step = replace(model_shapes(recipe), rows=rows)
    planned = pretraining_memory(recipe, STAGE, step)

    cpu = torch.device("cpu")
    real = outlined_step._invented(recipe, STAGE, step, cpu)
    made = outlined_step._optimizer(real.model, recipe)
    real.forward().backward()
    made.step()
    made.zero_grad()
    assert planned.peak == pytest.approx(_peak_by_profiler(real, made), rel=0.1)
    assert planned.peak == pytest.approx(measure_step(recipe, STAGE, step, cpu).peak, rel=0.1)


def test_memory_with_a_teacher_is_that_of_a_real_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that does not look into its masks, as on a GPU: that is what is planned."""
    for module in (_rows, hard):
        monkeypatch.setattr(module, "look_is_free", lambda mask: False)
    recipe = _recipe(
        terms=[{"use": "kl"}, {"use": "hard"}, {"use": "cosine"}],
        model={"shape": SHAPE, "order": False},
        teacher={"model": "beto-uncased"},
        feed={"form": "lines"},
    )
    shape = from_shape(SHAPE, vocab_size=4000, pad_id=0)
    step = StepShape(shape=shape, teacher=shape.with_values(layers=6), rows=4, precision="fp32")
    taken = measure_step(recipe, STAGE, step, torch.device("cpu"), repeats=1)
    assert pretraining_memory(recipe, STAGE, step).peak == pytest.approx(taken.peak, rel=0.1)


def test_sixteen_bits_take_less_and_checkpointing_less_again() -> None:
    recipe = _recipe()
    step = replace(model_shapes(recipe), rows=16)
    full = pretraining_memory(recipe, STAGE, step).computing
    half = pretraining_memory(recipe, STAGE, replace(step, precision="bf16")).computing
    again = recipe.model_copy(
        update={"train": recipe.train.model_copy(update={"checkpointing": True})}
    )
    assert half < 0.8 * full
    assert pretraining_memory(again, STAGE, step).computing < 0.8 * full


def test_steps_hours_and_disk_of_a_run() -> None:
    recipe = _recipe()
    cluster = Cluster(nodes=2, each=4, gpu=GPUS["h100"], tokens_per_second=1000.0)
    plan = plan_pretraining(recipe, cluster, text_gb=0.004)
    assert (plan.steps, plan.tokens, plan.rows) == (10, 10 * 16 * 128, 2)
    assert plan.hours == pytest.approx(plan.tokens / 8000 / 3600)
    assert plan.checkpoint_bytes == 12 * plan.parameters
    assert plan.disk_bytes == 4 * 12 * plan.parameters + 4 * plan.parameters + 2 * 1_000_000
    assert plan.passes == pytest.approx(plan.tokens / 1_000_000)


def test_what_does_not_fit_is_divided_into_micro_batches() -> None:
    small = replace(GPUS["h100"], gigabytes=0.05)
    recipe = _recipe(train={"stages": [{"steps": 1, "length": 128, "rows": 64}]})
    plan = plan_pretraining(recipe, Cluster(nodes=1, each=1, gpu=small))
    assert plan.fits
    assert plan.accumulation > 1
    assert plan.rows == micro_rows(recipe.train.stages[0], 1, plan.accumulation)
    none = plan_pretraining(recipe, Cluster(nodes=1, each=1, gpu=replace(small, gigabytes=0.001)))
    assert not none.fits
    assert none.rows == 1


def test_more_gpus_need_fewer_hours_until_their_kernels_wait() -> None:
    recipe = _recipe(train={"stages": [{"steps": 10, "length": 512, "rows": 1 << 16}]})
    one, eight = (
        plan_pretraining(recipe, Cluster(nodes=1, each=n, gpu=GPUS["rtx-3090"])).hours
        for n in (1, 8)
    )
    assert one == pytest.approx(8 * eight)
    many = Cluster(nodes=1 << 10, each=64, gpu=GPUS["rtx-3090"])
    assert plan_pretraining(recipe, many).hours == pytest.approx(10 * 8e-3 / 3600)


def test_published_shapes_are_known_without_their_weights() -> None:
    published = {
        name: model_shapes(recipe) for name, recipe in variants("recipes/published/albeto.toml")
    }
    assert [published[name].shape.layers for name in published] == [4, 12, 24, 24, 12]
    ((_, distilbeto),) = variants("recipes/published/distilbeto.toml")
    step = model_shapes(distilbeto)
    assert step.teacher is not None
    assert (step.shape.layers, step.teacher.layers) == (6, 12)


@pytest.mark.parametrize("value", ["", "x", "8x", "0x8", "8x8x8", "eight", "-1", "8.0"])
def test_gpus_that_make_no_sense_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="machines x GPUs"):
        parse_gpus(value)


def test_gpus_are_machines_times_those_of_each() -> None:
    assert parse_gpus("8x4") == (8, 4)
    assert parse_gpus("4") == (1, 4)
