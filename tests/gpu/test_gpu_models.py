"""Encoders on a GPU say what they say on a CPU, in every way of attention, and nothing waits."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from destila.losses.weighted import build_loss
from destila.models.architecture import EncoderConfig
from destila.models.heads import build_model
from destila.models.mlm import build_masked_model
from destila.models.presets import PRESETS
from destila.pretraining.objective import OBJECTIVE
from destila.training.batches import ready, to_device
from destila.training.precision import Precision, autocasting
from destila.types import Batch

KINDS = ("bert", "roberta", "albert", "distilbert")


def config(kind: str, *, hidden: int = 64, heads: int = 4, dropout: float = 0.0) -> EncoderConfig:
    return EncoderConfig(
        kind=kind, vocab_size=50, positions=70, types=0 if kind == "distilbert" else 2, embedding=32 if kind == "albert" else hidden,
        hidden=hidden, layers=2, heads=heads, ffn=96, activation="gelu", dropout=dropout, attention_dropout=dropout,
        classifier_dropout=dropout, eps=1e-12, init_range=0.1, pad_id=0,
    )  # fmt: skip


def padded(lengths=(60, 7, 33, 60), *, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 50, (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    every = torch.arange(max(lengths)).expand_as(ids)
    return Batch(
        features=(),
        input_ids=ids.masked_fill(~mask, 0),
        mask=mask,
        type_ids=torch.zeros_like(ids),
        unit=every,
        first=every,
        unit_mask=mask,
        target=ids % 3,
    )


def packed() -> Batch:
    """Rows of three texts each, with places of their own."""
    batch = padded()
    pair = (1 + torch.arange(60) // 21) * batch.mask.long()
    order = torch.full_like(pair, -100)
    order[:, ::21] = torch.where(pair[:, ::21] > 0, pair[:, ::21] % 2, -100)
    asked = (batch.input_ids % 5 == 0) & batch.mask
    return dataclasses.replace(
        batch,
        pair=pair,
        positions=torch.arange(60).expand_as(pair) % 21,
        order=order,
        unit_mask=asked,
        target=torch.where(asked, batch.input_ids, -100),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["classify", "tag"])
def test_a_gpu_answers_as_a_cpu(kind, task, device):
    model, batch = build_model(config(kind), task, ("a", "b", "c"), seed=1).eval(), padded()
    here = model(batch).logits
    there = copy.deepcopy(model).to(device)(to_device(batch, device)).logits.cpu()
    rows = batch.mask if task == "tag" else slice(None)
    torch.testing.assert_close(there[rows], here[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("heads", [4, 8, 5])
def test_runs_in_sixteen_bits_are_near_a_mask_in_float32(heads, device):
    """Heads of 16, 8 and 13 values: the last are filled up to what the kernel has."""
    made = config("bert", hidden=65 if heads == 5 else 64, heads=heads)
    model, batch = build_model(made, "tag", ("a", "b"), seed=1).eval(), padded()
    exact = model(batch).logits[batch.mask]
    with torch.no_grad(), autocasting(device, torch.bfloat16):
        near = model.to(device)(to_device(batch, device)).logits.cpu()[batch.mask]
    assert (near - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_packed_rows_learn_on_a_gpu_as_on_a_cpu(kind, dtype, device):
    """Losses and gradients of packed rows: by the mask in float32, by runs in bfloat16."""
    loss = build_loss([{"use": "hard"}, {"use": "order"}])
    batch = packed()
    counts = loss.counts(OBJECTIVE, batch)
    found = []
    for place in (torch.device("cpu"), device):
        model = build_masked_model(config(kind), seed=1, order=True).to(place)
        given = to_device(ready(batch, place), place)
        with autocasting(place, dtype if place is device else None):
            output = model(given)
        total, _ = loss(OBJECTIVE, output, given, counts)
        total.backward()
        gradients = torch.cat([p.grad.flatten().cpu() for p in model.parameters()])
        found.append((total.item(), gradients))
    (exact, wanted), (near, given) = found
    assert near == pytest.approx(exact, rel=1e-4 if dtype is None else 0.02)
    scale = wanted.norm()
    assert (given - wanted).norm() < (1e-3 if dtype is None else 0.05) * scale


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_a_step_of_pretraining_waits_for_nothing(kind, device, never_waiting):
    loss, batch = build_loss([{"use": "hard"}, {"use": "order"}]), packed()
    counts = loss.counts(OBJECTIVE, batch)
    model = build_masked_model(config(kind), seed=1, order=True).to(device)
    given = ready(batch, device)
    for attempt in range(2):  # kernels are loaded at the first
        with never_waiting() if attempt else autocasting(device, None):
            moved = to_device(given, device)
            with autocasting(device, torch.bfloat16):
                output = model(moved)
            total, _ = loss(OBJECTIVE, output, moved, counts)
            total.backward()
    assert torch.isfinite(total).item()


def test_packed_rows_take_no_memory_for_masks(device, real):
    """A batch of 64 x 512 in bf16 takes less than its dense mask alone would have taken twelve times."""
    model = build_masked_model(PRESETS["albeto-tiny"], seed=0, order=True).to(device)
    rows, length = 64, 512
    batch = padded([length] * rows)
    pair = 1 + torch.arange(length).expand(rows, length) // 100
    batch = dataclasses.replace(
        batch, pair=pair, positions=torch.arange(length).expand_as(pair) % 100,
        unit_mask=torch.zeros_like(batch.mask), order=torch.full_like(pair, -100),
    )  # fmt: skip
    batch.unit_mask[:, 0] = True
    moved = to_device(batch, device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.no_grad(), autocasting(device, torch.bfloat16):
        model.eval()(moved)
    assert torch.cuda.max_memory_allocated() - before < 12 * rows * length * length * 4


def test_tf32_is_near_float32(device):
    """In a precision of tf32 products are other numbers on a GPU, and near."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator).to(device) for _ in range(2))
    exact = a @ b
    with Precision("tf32", device).products():
        near = a @ b
    assert (near - exact).abs().max() < 0.02 * exact.abs().max()
    assert device.type == "cpu" or not torch.equal(near, exact)
