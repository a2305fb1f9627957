"""Pre-training: its stages and rates, its exact resume, and what it does when the loss leaves its course."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from destila.config import build_config
from destila.errors import ConfigError, TrainingError
from destila.losses.weighted import build_loss
from destila.pretraining import pretrain_loop as training
from destila.pretraining import train_setup
from destila.pretraining.pretrain_options import PretrainOptions
from destila.pretraining.train_setup import learning_rate

SMALL = {
    "stages": [{"steps": 40, "length": 12, "rows": 8}],
    "optimizer": "adamw",
    "lr": 0.02,
    "precision": "fp32",
    "evaluate_every": 10,
    "save_minutes": 1000.0,
}
RECOVERY = {"spike": 0.4, "deviations": 0.0, "patience": 5, "returns": 2}


def options(**changes) -> PretrainOptions:
    return build_config(PretrainOptions, SMALL | changes)


def flat(net) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def found(folder) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir())


def test_the_loss_falls_and_every_step_says_where_it_stands(pretoy, tmp_path):
    chosen = options(stages=[{"steps": 150, "length": 12, "rows": 16}], evaluate_every=50)
    steps = list(pretoy.steps(pretoy.model(dropout=0.0), tmp_path, chosen))
    assert steps[-1].loss < 0.85 * steps[0].loss
    assert [s.step for s in steps] == list(range(1, 151))
    assert [s.step for s in steps if s.evaluation == {"mlm_loss": 1.0}] == [50, 100, 150]
    assert [s.stopped for s in steps] == [""] * 149 + ["done"]
    assert all(a.tokens < b.tokens and a.seconds < b.seconds for a, b in pairwise(steps))
    assert set(steps[0].parts) == {"hard", "order"}
    assert steps[0].loss == pytest.approx(sum(steps[0].parts.values()), rel=1e-5)


def test_stages_set_the_shape_of_rows_and_the_depth(pretoy, tmp_path):
    """Stages ask for rows of their own shape and set the depth."""
    net, source = pretoy.model(layers=2), pretoy.Source()
    stages = [
        {"steps": 2, "length": 8, "rows": 4, "layers": 1},
        {"steps": 2, "length": 16, "rows": 8, "rate": 0.5},
    ]
    walk = pretoy.steps(net, tmp_path, options(stages=stages), source=source)
    seen = [(step.stage, net.encoder.depth) for step in walk]
    assert seen == [(0, 1), (0, 1), (1, 2), (1, 2)]
    assert source.asked == [0, 4, 8, 16]  # none is read behind the end


def test_tokens_are_the_real_ones(pretoy, tmp_path):
    walk = pretoy.steps(pretoy.model(), tmp_path, options())
    next(walk)
    assert next(walk).tokens == int(pretoy.batch(range(16), 12, 0.2).mask.sum())


def test_rate_over_a_horizon_beyond_the_stages():
    """The rate rises and falls over a horizon that the stages need not reach."""
    chosen = options(horizon=100, warmup=0.2, lr=0.1)
    assert [learning_rate(step, chosen) for step in (0, 10, 19)] == pytest.approx(
        [0.0, 0.05, 0.095]
    )
    assert [learning_rate(step, chosen) for step in (20, 50, 100)] == pytest.approx(
        [0.08, 0.05, 0.0]
    )
    flat_one = options(schedule="constant", warmup=0.2, lr=0.1, horizon=100)
    assert [learning_rate(step, flat_one) for step in (19, 39)] == pytest.approx([0.1, 0.1])
    unbroken = options(schedule="from the peak", warmup=0.2, lr=0.1, horizon=100)
    assert [learning_rate(step, unbroken) for step in (10, 20, 60, 100)] == pytest.approx(
        [0.05, 0.1, 0.05, 0.0]
    )
    with pytest.raises(ConfigError, match="horizon = 20 is before the end of the stages, 40 steps"):
        options(horizon=20)


@pytest.mark.parametrize(
    "change",
    [{"accumulation": 3}, {"checkpointing": True}, {"checkpointing": True, "accumulation": 8}],
)
def test_saving_memory_does_not_change_the_weights(pretoy, tmp_path, change):
    found = []
    for number, changes in enumerate(({}, change)):
        net = pretoy.model(dropout=0.0)
        list(pretoy.steps(net, tmp_path / str(number), options(eps=1e-4, **changes)))
        found.append(flat(net))
    assert (found[0] - found[1]).abs().max() < 1e-5


def test_rows_of_a_step_are_computed_with_those_of_their_length(pretoy, tmp_path, monkeypatch):
    widths: list[list[int]] = []
    train_step = training.train_step

    def seen(context, batches, **kwargs):
        widths.append([batch.input_ids.shape[1] for batch in batches])
        assert all(int(batch.mask.sum(1).max()) == batch.input_ids.shape[1] for batch in batches)
        return train_step(context, batches, **kwargs)

    monkeypatch.setattr(training, "train_step", seen)
    list(pretoy.steps(pretoy.model(), tmp_path, options(accumulation=3)))
    assert all(step == sorted(step) for step in widths)


@pytest.mark.parametrize(
    ("terms", "stages", "used"),
    [
        ([{"use": "hard"}, {"use": "order"}], [{}], True),
        ([{"use": "hard"}], [{}], False),
        ([{"use": "order"}], [{}], False),
        ([{"use": "hard"}, {"use": "order"}], [{"layers": 1}, {}], False),
    ],
)
def test_weights_without_a_gradient_are_known_beforehand(pretoy, terms, stages, used):
    assert train_setup._all_used(pretoy.model(), build_loss(terms), options(stages=stages)) is used


def test_checkpointing_draws_the_same_dropout_twice(pretoy, tmp_path):
    found = []
    for number, on in enumerate((False, True)):
        net = pretoy.model(dropout=0.3)
        list(pretoy.steps(net, tmp_path / str(number), options(checkpointing=on)))
        found.append(flat(net))
    assert torch.equal(*found)


# resuming

TWO_STAGES = [{"steps": 25, "length": 8, "rows": 8}, {"steps": 15, "length": 12, "rows": 6}]


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
@pytest.mark.parametrize("stop", [1, 10, 11, 27, 39])
def test_stopped_run_ends_bitwise_like_an_unbroken_one(pretoy, tmp_path, optimizer, stop):
    """A run that is stopped anywhere ends bitwise like one that was not."""
    chosen = options(stages=TWO_STAGES, optimizer=optimizer)
    whole, broken = pretoy.model(), pretoy.model()
    wanted = list(pretoy.steps(whole, tmp_path / "a", chosen))
    walk = pretoy.steps(broken, tmp_path / "b", chosen)
    for _ in range(stop):
        next(walk)
    walk.close()
    resumed = pretoy.model(seed=9)
    rest = list(pretoy.steps(resumed, tmp_path / "b", chosen))
    assert torch.equal(flat(whole), flat(resumed))
    same = wanted[-len(rest) :]
    assert [(s.step, s.loss, s.tokens, s.lr) for s in rest] == [
        (s.step, s.loss, s.tokens, s.lr) for s in same
    ]
    assert rest[0].step == (stop - 1) // 10 * 10 + 1


def test_next_call_goes_on_when_the_minutes_were_over(pretoy, tmp_path):
    """A run whose minutes are over ends with a checkpoint, and the next call goes on from it."""
    first = list(pretoy.steps(pretoy.model(), tmp_path, options(), minutes=0.0))
    assert [(s.step, s.stopped) for s in first] == [(1, "time")]
    assert found(tmp_path) == [0, 1]
    assert next(pretoy.steps(pretoy.model(), tmp_path, options())).step == 2


def test_finished_run_gives_its_weights_back(pretoy, tmp_path):
    """A run that ended is not continued and gives its weights back."""
    first, again = pretoy.model(), pretoy.model(seed=9)
    list(pretoy.steps(first, tmp_path, options()))
    assert list(pretoy.steps(again, tmp_path, options())) == []
    assert torch.equal(flat(first), flat(again))


def test_a_run_with_another_key_is_refused(pretoy, tmp_path):
    next(pretoy.steps(pretoy.model(), tmp_path, options(save_minutes=0.0)))
    with pytest.raises(TrainingError, match="other settings or data: delete its folder"):
        next(pretoy.steps(pretoy.model(), tmp_path, options(), key="other"))


# recovery


def burst(net, at: int, by: float):
    """An evaluation that spoils the weights, once, before the checkpoint of step `at` is written."""
    left = [at // 10]

    def evaluate(step):
        left[0] -= 1
        if left[0] == 0:
            with torch.no_grad():
                for p in net.parameters():
                    p.mul_(by)
        return {}

    return evaluate


@pytest.mark.parametrize("by", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_rolled_back(pretoy, tmp_path, by):
    """Weights that are not finite are replaced by those of the last good checkpoint."""
    net = pretoy.model()
    source = pretoy.Source()
    chosen = options(recovery=RECOVERY, schedule="constant", warmup=0.0)
    steps = list(pretoy.steps(net, tmp_path, chosen, evaluate=burst(net, 20, by), source=source))
    assert [s.step for s in steps] == [*range(1, 22), *range(11, 41)]
    (event,) = [s.event for s in steps if s.event]
    assert event.startswith("the loss was not finite from step 21 to 21")
    assert (
        "back to the weights of step 10, on with the data behind step 21, rate x 0.5 from now on (return 1 of 2)"
        in event
    )
    assert [s.lr for s in steps] == [0.02] * 21 + [0.01] * 30
    assert sorted(set(source.asked)) == [
        8 * i for i in range(51)
    ]  # no row is read again, none is left out
    assert steps[-1].stopped == "done"
    assert torch.isfinite(flat(net)).all()


def test_high_loss_is_a_divergence_one_bad_batch_is_not(pretoy, tmp_path):
    """A loss that stays high is a divergence and one bad batch is not."""
    chosen = options(stages=[{"steps": 90, "length": 12, "rows": 16}], recovery=RECOVERY)
    for count, returns in ((2, 0), (6, 1)):
        net = pretoy.model(dropout=0.0)
        source = pretoy.Source(poison=range(16 * 70, 16 * (70 + count)))
        steps = list(pretoy.steps(net, tmp_path / str(count), chosen, source=source))
        events = [s for s in steps if s.event]
        assert len(events) == returns
        if returns:
            assert 75 <= events[0].step <= 78
            assert "the loss rose from step 7" in events[0].event
            assert "back to the weights of step 60," in events[0].event
            assert found(tmp_path / str(count))[-1] == 90


def test_rate_is_lowered_until_the_run_gets_through(pretoy, tmp_path):
    """A rate that is too high is lowered until the run gets through."""
    chosen = options(
        stages=[{"steps": 90, "length": 12, "rows": 16}], lr=2.0, schedule="constant", warmup=0.5, clip=1e6,
        recovery=RECOVERY | {"factor": 0.01},
    )  # fmt: skip
    steps = list(pretoy.steps(pretoy.model(dropout=0.0), tmp_path, chosen))
    (event,) = [s.event for s in steps if s.event]
    assert "back to the weights of step 0, " in event
    assert (steps[-1].step, steps[-1].lr) == (90, pytest.approx(0.02))
    assert steps[-1].loss < 3.0 < 3.5 < max(s.loss for s in steps[:20])


def test_a_run_that_cannot_be_saved_stops_with_a_diagnosis(pretoy, tmp_path):
    net = pretoy.model(dropout=0.0)
    source = pretoy.Source(poison=range(16 * 70, 10**6))
    chosen = options(stages=[{"steps": 90, "length": 12, "rows": 16}], recovery=RECOVERY)
    events = []
    with pytest.raises(TrainingError) as stopped:
        events += [s.event for s in pretoy.steps(net, tmp_path, chosen, source=source) if s.event]
    said = str(stopped.value)
    assert said.startswith("training diverged 3 times, 2 of them after a return")
    assert said.count("the loss rose, loss") == 3
    assert "Lower lr (now 0.02) or clip" in said


def test_a_run_that_returned_resumes_bitwise_too(pretoy, tmp_path):
    chosen = options(stages=[{"steps": 90, "length": 12, "rows": 16}], recovery=RECOVERY)

    def steps(net, name):
        return pretoy.steps(
            net, tmp_path / name, chosen, source=pretoy.Source(range(16 * 70, 16 * 76))
        )

    whole = pretoy.model()
    wanted = list(steps(whole, "a"))
    at = next(i for i, s in enumerate(wanted) if s.event)
    for name, stop in (("b", at), ("c", at + 1), ("d", at + 2), ("e", at + 13)):
        walk = steps(pretoy.model(), name)
        for _ in range(stop):
            next(walk)
        walk.close()
        resumed = pretoy.model(seed=9)
        rest = list(steps(resumed, name))
        assert torch.equal(flat(whole), flat(resumed)), f"stopped after {stop} steps"
        assert rest[-1].tokens == wanted[-1].tokens
