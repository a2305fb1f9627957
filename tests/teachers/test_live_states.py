"""The inside of a teacher, live or from the disk, where a student with the same or with other tokens looks for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from destila.losses import hidden
from destila.losses.term import LossContext, ModelShape
from destila.losses.weighted import build_loss
from destila.models.architecture import from_shape
from destila.models.encoder import STATES
from destila.models.heads import Model, build_model
from destila.tasks.classify import TASK as CLASSIFY
from destila.tasks.span.options import SpanOptions
from destila.tasks.span.task import SpanTask
from destila.tasks.tag import TASK as TAG
from destila.teachers import cached_states, live_states
from destila.teachers.cache import Cache
from destila.teachers.cached_states import CachedStates, state_predictor
from destila.teachers.live_states import LiveStates
from destila.tokenizer.split_words import split_words
from destila.training.batches import collate
from destila.types import Batch, Example, Features, Output, TeacherStates

TASKS = {"classify": CLASSIFY, "tag": TAG, "span": SpanTask(SpanOptions(window=8, stride=6))}
LABELS = {"classify": ("no", "si"), "tag": ("a", "b"), "span": ("start", "end")}
LENGTH = 26
"""Short enough for long sentences to be read in several windows, at other places by every tokenizer."""


@pytest.fixture
def examples(lines):
    """Sentences, the longest of them three windows long; every question is asked of two of them."""

    def make(task: str) -> list[Example]:
        texts = [lines[0], f"{lines[1]} {lines[4]} {lines[5]}", lines[2], lines[9]]
        if task == "span":
            return [
                Example(str(i), "¿Quién?", pair=text, answers=None) for i, text in enumerate(texts)
            ]
        return [
            Example(str(i), t, words=split_words(t) if task == "tag" else ())
            for i, t in enumerate(texts)
        ]

    return make


def model(task: str, tokenizer, *, hidden: int = 24, layers: int = 2) -> Model:
    shape = {
        "kind": "bert",
        "layers": layers,
        "hidden": hidden,
        "heads": 2,
        "dropout": 0.3,
        "init_range": 0.2,
    }
    config = from_shape(shape, vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id)
    return build_model(config, task, LABELS[task], seed=0)


def encoded(task: str, texts, tokenizer):
    return TASKS[task].encode(texts, tokenizer, LABELS[task], max_length=LENGTH).features


def alone(net: Model, window: Features, state) -> torch.Tensor:
    """The state [L, H] of a window that is read by itself."""
    with torch.no_grad():
        collected: torch.Tensor = net.eval()(collate([window], 0), states=[state]).states[state][0]
    return collected


def by_unit(
    net: Model, windows, state, pool: str, task: str
) -> dict[tuple[int, int], torch.Tensor]:
    """What the model says of every unit of every example, by hand."""
    collected: dict[tuple[int, int], torch.Tensor] = {}
    for window in windows:
        values = alone(net, window, state)
        for u in np.flatnonzero(window.owned):
            tokens = np.flatnonzero(window.unit == u)
            if len(tokens):
                at = torch.as_tensor(tokens)
                number = int(window.start + u if window.cells is None else window.cells[u])
                mean = values.mean(0) if task == "classify" else values[at].mean(0)
                collected.setdefault(
                    (window.row, number), values[at[0]] if pool == "first" else mean
                )
    return collected


def check(
    batch: Batch, pool: str, state, expected: dict[tuple[int, int], torch.Tensor], **tolerance
) -> int:
    """Compares every unit of an asked batch; returns how many counted."""
    assert batch.teacher_states is not None
    mask, values = (
        batch.teacher_states.masks[pool],
        batch.teacher_states.states[pool][state].float(),
    )
    for i, window in enumerate(batch.features):
        for u in np.flatnonzero(mask[i].numpy()):
            number = int(window.start + u if window.cells is None else window.cells[u])
            torch.testing.assert_close(values[i, u], expected[window.row, number], **tolerance)
    return int(mask.sum())


def test_equal_tokens_share_the_batch_and_nothing_else_is_kept(examples, bpe):
    net = model("tag", bpe).train()
    wanted = {"token": (("hidden", 1), ("attention", 2)), "padded": (("logits", 0),)}
    source = LiveStates(net, wanted, whole=False)
    batch = collate(encoded("tag", examples("tag"), bpe), bpe.pad_id)
    asked = source.fetch(source.align_windows(batch)).teacher_states
    assert torch.equal(asked.masks["token"], batch.mask)
    assert asked.masks["padded"].all()
    assert {pool: tuple(each) for pool, each in asked.states.items()} == wanted
    again = source.fetch(source.align_windows(batch)).teacher_states
    assert torch.equal(asked.states["token"]["hidden", 1], again.states["token"]["hidden", 1]), (
        "dropout is off"
    )
    assert not asked.states["token"]["hidden", 1].requires_grad
    torch.testing.assert_close(
        asked.states["token"]["hidden", 1][0][batch.mask[0]],
        alone(net, batch.features[0], ("hidden", 1)),
    )


@pytest.mark.parametrize("pool", ["first", "mean"])
@pytest.mark.parametrize("task", ["classify", "tag", "span"])
@pytest.mark.parametrize("other_kind", ["wordpiece", "unigram", "bytelevel"])
def test_other_tokens_meet_at_units_whatever_the_windows(
    task, pool, other_kind, examples, bpe, request
):
    other = request.getfixturevalue(other_kind)
    net, state = model(task, other), ("hidden", 2)
    own = encoded(task, examples(task), other)
    source = LiveStates(
        net, {pool: (state,)}, whole=task == "classify", windows=own, pad_id=other.pad_id
    )
    expected = by_unit(net, own, state, pool, task)
    student_windows = encoded(task, examples(task), bpe)
    if task != "classify":
        assert len(student_windows) > len(examples(task)), "nothing is read in several windows"
    counted = 0
    count = len(student_windows)
    for start in range(0, count, 2):  # batches that hold some of an example's windows
        part = [student_windows[i] for i in range(start, min(start + 2, count))]
        batch = collate(part, bpe.pad_id)
        asked = source.fetch(source.align_windows(batch))
        counted += check(asked, pool, state, expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(asked.teacher_states.masks[pool], batch.unit_mask), (
            "every unit has a teacher here"
        )
    assert counted == sum(int(collate([f], 0).unit_mask.sum()) for f in student_windows)


def test_a_unit_that_the_teacher_does_not_have_does_not_count(examples, bpe, unigram):
    own = encoded("tag", [examples("tag")[1]], unigram)[:1]  # the first window alone
    source = LiveStates(
        model("tag", unigram), {"first": (("hidden", 1),)}, whole=False, windows=own
    )
    student_windows = encoded("tag", [examples("tag")[1]], bpe)
    known = len(own[0].owned[own[0].owned])
    seen = 0
    for window in student_windows:
        asked = source.fetch(source.align_windows(collate([window], bpe.pad_id))).teacher_states
        numbers = window.start + np.arange(len(window.owned))
        assert asked.masks["first"][0].tolist() == list(window.owned & (numbers < known))
        seen += int(asked.masks["first"].sum())
    assert seen == known


@pytest.mark.parametrize("pool", ["first", "mean"])
def test_units_are_tokens_where_each_token_is_a_unit(pool, examples, bpe):
    """The same loss at units and at tokens, when every real token is a unit of its own."""
    teacher, student = model("tag", bpe), model("tag", bpe, hidden=16, layers=1)
    windows = [
        replace(
            f,
            unit=np.arange(len(f.unit), dtype=np.int32),
            start=0,
            owned=np.ones(len(f.unit), bool),
            target=np.zeros(len(f.unit), np.int32),
        )
        for f in encoded("tag", examples("tag"), bpe)[:3]
    ]
    setting = LossContext(student=shape_of(student), teacher=shape_of(teacher))
    collected = []
    for where in ("token", pool):
        loss = build_loss(
            [{"use": "hidden", "pool": where}, {"use": "relation", "pool": where}], setting=setting
        )
        source = LiveStates(teacher, loss.teacher_states, whole=False)
        batch = source.fetch(source.align_windows(collate(windows, bpe.pad_id)))
        counts = loss.counts(TAG, batch)
        output = student.eval()(batch, states=loss.student_states)
        collected.append((counts, loss(TAG, output, batch, counts)[0].item()))
    assert collected[0][0] == collected[1][0]
    assert collected[0][1] == pytest.approx(collected[1][1], rel=1e-5)
    assert collected[0][1] > 0.1


def shape_of(net: Model) -> ModelShape:
    return ModelShape(
        "toy", "tokens", net.config.layers, net.config.hidden, net.config.heads, STATES
    )


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("pool", ["token", "first", "mean"])
@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_states_from_the_disk_are_those_of_the_live_teacher(
    task, pool, same, examples, bpe, unigram, tmp_path
):
    if pool == "token" and not same:
        pytest.skip("tokens meet where they are the same")
    tokenizer = bpe if same else unigram
    net, wanted = model(task, tokenizer), {pool: (("hidden", 0), ("hidden", 2))}
    texts = examples(task)
    whole, width = task == "classify", net.config.hidden
    teacher_windows, student_windows = encoded(task, texts, tokenizer), encoded(task, texts, bpe)
    shared = same and (
        task != "span" or pool == "token"
    )  # of a unit in two parts of a window, the disk keeps one
    fresh = LiveStates(
        net,
        wanted,
        whole=whole,
        windows=None if shared else teacher_windows,
        pad_id=tokenizer.pad_id,
    )
    spec = {"unit": cached_states.state_unit("rule", pool, wanted[pool])}
    cache = Cache.open(tmp_path / "cache", spec, 2 * width)
    encode = lambda some: TASKS[task].encode(some, tokenizer, LABELS[task], max_length=LENGTH)  # noqa: E731
    predict = state_predictor(net, encode, pool, wanted[pool], whole=whole, pad_id=tokenizer.pad_id)
    assert cache.fill(texts, predict, chunk=3) == len(texts)
    kept = CachedStates({pool: cache.rows(texts)}, wanted, windows=student_windows, width=width)
    count = len(student_windows)
    for start in range(0, count, 3):
        part = [student_windows[i] for i in range(start, min(start + 3, count))]
        batch = collate(part, bpe.pad_id)
        one, two = (
            source.fetch(source.align_windows(batch)).teacher_states for source in (fresh, kept)
        )
        assert torch.equal(one.masks[pool], two.masks[pool])
        for state in wanted[pool]:
            mask = one.masks[pool]
            # half precision keeps 11 bits; a batch of other lengths rounds a little differently
            torch.testing.assert_close(
                two.states[pool][state][mask], one.states[pool][state][mask], rtol=2e-3, atol=2e-3
            )
    need = cached_states.cached_megabytes(student_windows, wanted, width) * 1e6
    committed = (tmp_path / "cache" / "rows.bin").stat().st_size
    assert 0.99 * need <= committed <= 1.3 * need or task == "span", (need, committed)


def test_only_hidden_states_are_cached():
    assert cached_states.can_cache({"token": (("hidden", 0),), "mean": (("hidden", 3),)})
    assert not cached_states.can_cache({"token": (("hidden", 0), ("attention", 1))})
    assert not cached_states.can_cache({"padded": (("hidden", 0),)})
    rules = {
        cached_states.state_unit("word", pool, [("hidden", n)])
        for pool in ("first", "mean")
        for n in (1, 2)
    }
    assert len(rules) == 4


def test_memory_is_that_of_the_weights_and_of_what_is_kept(bpe):
    net = model("tag", bpe)
    shape, params = shape_of(net), sum(p.numel() for p in net.parameters())
    sizes = {"windows": 4, "tokens": 10, "units": 5}
    bare = live_states.live_megabytes(shape, params, {"token": ()}, **sizes)
    assert bare["weights"] == pytest.approx(4 * params / 1e6)
    hidden_too = live_states.live_megabytes(shape, params, {"token": (("hidden", 1),)}, **sizes)
    assert hidden_too["states"] - bare["states"] == pytest.approx(4 * 4 * 10 * 24 / 1e6)
    maps = live_states.live_megabytes(shape, params, {"token": (("attention", 1),)}, **sizes)
    assert maps["states"] - bare["states"] == pytest.approx(4 * 4 * 2 * 10 * 10 / 1e6)


def test_gradients_and_counts_of_pooled_units(examples, bpe):
    """The student is pooled with a gradient; units without a teacher are in neither the sum nor the count."""
    student = model("tag", bpe)
    batch = collate(encoded("tag", examples("tag"), bpe)[:2], bpe.pad_id)
    setting = LossContext(student=shape_of(student), teacher=shape_of(student), same_tokens=False)
    term = hidden.build(hidden.Options(layers=((2, 2),), pool="mean"), setting)
    loss = build_loss([{"use": "hidden", "layers": [[2, 2]], "pool": "mean"}], setting=setting)
    mask = batch.unit_mask.clone()
    mask[:, 1:] = False
    states = {"mean": {("hidden", 2): torch.zeros(*mask.shape, 24)}}
    with_inner = replace(batch, teacher_states=TeacherStates({"mean": mask}, states))
    value = torch.randn(*batch.mask.shape, 24, requires_grad=True)
    total, _ = loss(
        TAG,
        Output(torch.zeros(1), {("hidden", 2): value}),
        with_inner,
        loss.counts(TAG, with_inner),
    )
    total.backward()
    assert loss.counts(TAG, with_inner) == [2]
    assert term.pool == "mean"
    inside = (batch.unit == 0).unsqueeze(-1)
    assert (value.grad != 0).eq(inside.expand_as(value)).all()
