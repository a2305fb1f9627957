"""Padded batches, the teacher's rows beside them, and the order in which they come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from destila.tasks import tag
from destila.training.batches import collate, epoch_batches, to_device
from destila.training.options import TrainOptions
from destila.types import ABSENT, IGNORE, Features

LENGTHS = np.random.default_rng(0).integers(3, 40, 103)


def window(
    ids: list[int], unit: list[int], owned: list[bool], target: list[int], *, row=0, start=0
) -> Features:
    return Features(
        row=row,
        window=0,
        input_ids=np.array(ids, np.int32),
        type_ids=np.ones(len(ids), np.int32),
        spans=np.zeros((len(ids), 2), np.int32),
        unit=np.array(unit, np.int32),
        start=start,
        owned=np.array(owned, bool),
        target=np.array(target, np.int32),
    )


LONG = window([2, 7, 8, 9, 3], [-1, 0, 0, 1, -1], [False, True], [IGNORE, 4], row=1, start=2)
SHORT = window([2, 7, 3], [-1, 0, -1], [True], [1])


def test_shorter_windows_are_padded_on_the_right():
    batch = collate([LONG, SHORT], 6)
    assert batch.input_ids.tolist() == [[2, 7, 8, 9, 3], [2, 7, 3, 6, 6]]
    assert batch.mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    assert batch.type_ids.tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert batch.unit.tolist() == [[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1]]
    assert batch.input_ids.dtype == batch.first.dtype == batch.target.dtype == torch.int64


def test_the_pad_id_does_not_decide_what_is_masked():
    assert collate([LONG, SHORT], 7).mask.tolist() == collate([LONG, SHORT], 6).mask.tolist()


def test_a_unit_counts_where_it_is_owned():
    """A unit points at its first token and counts where it is owned."""
    batch = collate([LONG, SHORT], 6)
    assert batch.first.tolist() == [[1, 3], [1, 0]]
    assert batch.unit_mask.tolist() == [[False, True], [True, False]]
    assert batch.target.tolist() == [[IGNORE, 4], [1, IGNORE]]


def test_a_window_without_units_is_masked_out():
    batch = collate([window([2, 3], [-1, -1], [], [])], 0)
    assert batch.unit_mask.tolist() == [[False]]
    assert batch.target.tolist() == [[IGNORE]]


def test_the_teachers_rows_are_those_of_the_windows_own_units():
    rows = [np.array([[1, 2]], np.float16), np.arange(10, dtype=np.float16).reshape(5, 2)]
    batch = collate([LONG, SHORT], 6, teacher=lambda f: tag.TASK.teacher_logits(rows[f.row], f))
    assert batch.teacher.logits.dtype == torch.float32
    assert batch.teacher.logits.tolist() == [[[4, 5], [6, 7]], [[1, 2], [0, 0]]]
    assert torch.equal(batch.teacher.mask, batch.unit_mask)


def test_units_that_the_teacher_does_not_have_are_masked():
    batch = collate([SHORT], 6, teacher=lambda f: np.full((len(f.owned), 2), ABSENT, np.float16))
    assert batch.unit_mask.any()
    assert not batch.teacher.mask.any()


def test_a_batch_is_the_same_object_on_its_own_device():
    batch = collate([SHORT], 6)
    assert to_device(batch, torch.device("cpu")) is batch


@given(
    st.integers(1, 80),
    st.integers(1, 9),
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_an_epoch_holds_every_position_once(count, size, group, shuffle, seed, epoch):
    """Every position comes once per epoch, in full batches but one."""
    options = TrainOptions(batch_size=size, shuffle=shuffle, group=group)
    batches = epoch_batches(LENGTHS[:count], options, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert len(batches) == -(-count // size)
    assert sum(len(b) != size for b in batches) <= 1


def chosen(*, seed=1, epoch=2, shuffle=True, group=4) -> list[list[int]]:
    options = TrainOptions(batch_size=8, shuffle=shuffle, group=group)
    return [b.tolist() for b in epoch_batches(LENGTHS, options, seed=seed, epoch=epoch)]


@pytest.mark.parametrize("group", [0, 4])
def test_the_order_depends_on_seed_and_epoch_alone(group):
    assert chosen(group=group) == chosen(group=group)
    assert chosen(group=group) != chosen(group=group, epoch=3)
    assert chosen(group=group) != chosen(group=group, seed=2)


def test_without_shuffling_the_order_is_the_datas():
    assert [i for b in chosen(shuffle=False) for i in b] == list(range(len(LENGTHS)))
    assert chosen(shuffle=False) == chosen(shuffle=False, epoch=3)


def test_grouping_saves_padding():
    """Grouping saves padding and keeps chance between batches."""

    def padded(batches):
        return sum(len(b) * LENGTHS[b].max() for b in batches)

    assert padded(chosen(group=13)) < 0.7 * padded(chosen(group=0))
    longest = [LENGTHS[b].max() for b in chosen(group=13)]
    assert longest != sorted(longest)
