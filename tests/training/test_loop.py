"""The loop: what it computes, what it selects, when it stops, and where it refuses to go on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from destila.errors import TrainingError
from destila.losses.weighted import build_loss
from destila.tasks.tag import TagTask
from destila.training.batches import collate
from destila.training.feed import TrainData
from destila.training.loop import Evaluation, fit
from destila.training.options import TrainOptions

FP32 = {"precision": "fp32", "lr": 0.01, "batch_size": 8}


def options(**changes) -> TrainOptions:
    return TrainOptions(**FP32 | changes)


def weights(net) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def scripted(*evaluations: tuple[float, float] | Evaluation):
    """An evaluate() that answers (score, loss) in turn."""
    queue = [e if isinstance(e, Evaluation) else Evaluation(*e, {}) for e in evaluations]
    return lambda: queue.pop(0)


def run(toy, *evaluations, task="classify", count=16, seed=0, **changes):
    """Steps of one evaluation each."""
    made = toy.features(task, count)
    chosen = options(**{"epochs": len(evaluations), "batch_size": count} | changes)
    return list(
        toy.steps(toy.model(task), task, made, chosen, evaluate=scripted(*evaluations), seed=seed)
    )


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_the_loss_falls_and_the_dev_score_rises(toy, task):
    steps = list(toy.steps(toy.model(task), task, toy.features(task, 160), options(epochs=8)))
    assert steps[-1].loss < 0.5 * steps[0].loss
    assert steps[-1].evaluation.main > 0.8
    assert any(step.best for step in steps)


def test_a_step_says_where_it_stands(toy):
    steps = list(toy.steps(toy.model("tag"), "tag", toy.features("tag", 20), options(epochs=2)))
    assert [(s.step, s.steps, s.epoch) for s in steps] == [(i + 1, 6, i // 3) for i in range(6)]
    assert [s.evaluation is not None for s in steps] == [False, False, True] * 2
    assert [s.stopped for s in steps] == [""] * 5 + ["done"]
    assert sum(s.tokens for s in steps[:3]) == sum(
        len(f.input_ids) for f in toy.features("tag", 20)
    )


def test_parts_are_logged_by_name_and_add_up_to_the_loss(toy):
    terms = [
        {"use": "hard", "weight": 0.3},
        {"use": "kl", "weight": 0.7},
        {"use": "kl", "temperature": 4.0},
    ]
    step = next(toy.steps(toy.model("tag"), "tag", toy.features("tag", 8), options(), terms=terms))
    assert set(step.parts) == {"hard", "kl", "kl_2"}
    whole = 0.3 * step.parts["hard"] + 0.7 * step.parts["kl"] + step.parts["kl_2"]
    assert step.loss == pytest.approx(whole, rel=1e-5)


ANSWERS = [{"use": "hard"}, {"use": "kl"}]
STATES = [
    {"use": "hidden", "shared": True},
    {"use": "attention"},
    {"use": "relation"},
    {"use": "cosine"},
    {"use": "kl"},
]
PADDED = [
    {"use": "hidden", "pads": True},
    {"use": "attention", "what": "probabilities", "pads": True},
    {"use": "hard"},
]


@pytest.mark.parametrize(
    ("task", "terms", "length"),
    [("classify", ANSWERS, 0), ("tag", ANSWERS, 0), ("tag", STATES, 0), ("tag", PADDED, 20)],
)
def test_accumulation_does_not_change_the_weights(toy, task, terms, length):
    results = {}
    for parts in (1, 3, 8):
        net = toy.model(task, dropout=0.0)
        made = toy.features(task, 21)
        chosen = options(accumulation=parts, epochs=2, eps=1e-4)
        list(toy.steps(net, task, made, chosen, terms=terms, length=length))
        results[parts] = weights(net)
    for parts in (3, 8):
        assert (results[parts] - results[1]).abs().max() < 1e-6


def test_weights_of_a_term_stay_out_of_the_model(toy, tmp_path):
    """Weights that a term learns are trained and stay out of the model."""
    net, made = toy.model("tag", dropout=0.0), toy.features("tag", 21)
    before = set(net.state_dict())
    terms = [{"use": "hidden", "weight": 5.0}, {"use": "hard"}]
    steps = list(
        toy.steps(net, "tag", made, options(epochs=6), terms=terms, state=tmp_path / "state")
    )
    assert steps[-1].parts["hidden"] < 0.8 * steps[0].parts["hidden"]
    assert set(net.state_dict()) == before
    saved = load_file(tmp_path / "state")
    maps = {name for name in saved if name.startswith("model.loss")}
    assert maps == {f"model.loss.0.{i}.{part}" for i in (0, 1) for part in ("weight", "bias")}


def test_the_loss_of_a_batch_is_the_mean_over_its_units(toy):
    made = toy.features("tag", 8)
    net = toy.model("tag", dropout=0.0)
    batch = collate(made, toy.PAD)
    task = toy.TASKS["tag"]
    logits = task.signal(net.eval()(batch), batch).logits[batch.unit_mask]
    expected = torch.nn.functional.cross_entropy(logits, batch.target[batch.unit_mask]).item()
    step = next(toy.steps(net, "tag", made, options()))
    assert step.loss == pytest.approx(expected, rel=1e-5)


def test_labels_on_every_piece_are_counted_per_piece(toy):
    made = toy.features("tag", 8)
    net = toy.model("tag", dropout=0.0)
    batch = collate(made, toy.PAD)
    logits = net.eval()(batch).logits[batch.unit >= 0]
    gold = torch.cat([torch.tensor(f.target[f.unit[f.unit >= 0]]) for f in made]).long()
    expected = torch.nn.functional.cross_entropy(logits, gold).item()
    data = TrainData(made, toy.PAD)
    evaluate = scripted((0.0, 1.0))
    step = next(
        fit(
            net,
            TagTask(every_piece=True),
            build_loss([{"use": "hard"}]),
            data,
            evaluate,
            options(),
            seed=0,
        )
    )
    assert step.loss == pytest.approx(expected, rel=1e-5)


def test_class_weights_multiply_what_a_class_contributes(toy):
    made = toy.features("classify", 8)
    plain = build_loss([{"use": "hard"}])
    weighted = build_loss([{"use": "hard", "class_weights": [0.0, 2.0]}])
    batch = collate(made, toy.PAD)
    net, task = toy.model("classify", dropout=0.0).eval(), toy.TASKS["classify"]
    output = net(batch)
    ones = replace(batch, target=batch.target.masked_fill(batch.target == 0, -100))
    only_ones, _ = plain(task, output, ones, [8])
    both, _ = weighted(task, output, batch, [8])
    assert both.item() == pytest.approx(2 * only_ones.item(), rel=1e-5)
    step = next(
        toy.steps(
            net, "classify", made, options(), terms=[{"use": "hard", "class_weights": [0.0, 2.0]}]
        )
    )
    assert step.loss == pytest.approx(both.item(), rel=1e-5)


def test_batches_without_labels_do_no_harm(toy):
    """Windows without labels and batches without any do no harm."""
    made = [replace(f, target=np.full_like(f.target, -100)) for f in toy.features("tag", 8)]
    step = next(toy.steps(toy.model("tag"), "tag", made, options()))
    assert step.loss == 0.0


def test_equal_seeds_give_equal_weights_and_others_do_not(toy):
    results = []
    for seed in (3, 3, 4):
        net = toy.model("tag")
        list(toy.steps(net, "tag", toy.features("tag", 20), options(epochs=1), seed=seed))
        results.append(weights(net))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_bf16_trains_too_and_keeps_weights_in_float32(toy):
    net = toy.model("tag")
    steps = list(
        toy.steps(net, "tag", toy.features("tag", 40), options(precision="bf16", epochs=4, lr=0.02))
    )
    assert steps[-1].loss < steps[0].loss
    assert weights(net).dtype == torch.float32


def test_clipping_bounds_the_gradient_of_a_step(toy):
    seen = {}
    for clip in (0.0, 1e-9):
        net = toy.model("classify")
        before = weights(net)
        next(
            toy.steps(
                net,
                "classify",
                toy.features("classify", 8),
                options(clip=clip, weight_decay=0.0, eps=1.0),
            )
        )
        seen[clip] = (weights(net) - before).abs().max().item()
    assert seen[1e-9] < 1e-9 < seen[0.0]


# selection


def test_the_best_score_is_kept_and_a_tie_is_not_better(toy):
    steps = run(toy, (0.5, 1.0), (0.7, 3.0), (0.7, 0.1), (0.6, 0.1))
    assert [s.best for s in steps] == [True, True, False, False]


def test_the_best_dev_loss_is_kept_on_request(toy):
    steps = run(toy, (0.5, 1.0), (0.7, 3.0), (0.4, 0.5), (0.9, 0.6), select="loss")
    assert [s.best for s in steps] == [True, False, True, False]


def test_select_last_keeps_every_evaluation(toy):
    """The last weights are kept on request, and patience still asks for better scores."""
    steps = run(
        toy, (0.5, 1.0), (0.7, 3.0), (0.4, 0.5), (0.3, 0.6), (0.9, 0.1), select="last", patience=1
    )
    assert [s.best for s in steps] == [True, True, True, True]
    assert steps[-1].stopped == "patience"


def test_patience_counts_evaluations_without_improvement(toy):
    steps = run(toy, *[(s, 1.0) for s in (0.5, 0.4, 0.6, 0.5, 0.6, 0.5, 0.9)], patience=2)
    assert [s.stopped for s in steps] == ["", "", "", "", "", "patience"]


def test_without_patience_a_run_goes_to_its_end(toy):
    assert run(toy, *[(s, 1.0) for s in (0.5, 0.4, 0.3, 0.2)])[-1].stopped == "done"


@pytest.mark.parametrize(
    ("per_epoch", "due"), [(2.0, [2, 4, 6, 8]), (0.5, [8]), (4.0, [1, 2, 3, 4, 5, 6, 7, 8])]
)
def test_evaluations_are_spread_over_the_epochs_and_one_is_last(toy, per_epoch, due):
    chosen = options(epochs=2, batch_size=4, evaluations=per_epoch)
    evaluate = scripted(*[(0.1 * i, 1.0) for i in range(8)])
    steps = toy.steps(toy.model("tag"), "tag", toy.features("tag", 16), chosen, evaluate=evaluate)
    assert [s.step for s in steps if s.evaluation] == due


def test_a_number_of_steps_is_kept_whatever_there_is_to_read(toy):
    """Evaluations are spread over it, and an epoch may end or begin anywhere."""
    made, chosen = toy.features("tag", 12), options(epochs=2, batch_size=4, steps=8)
    evaluate = scripted((0.1, 1.0), (0.2, 1.0))
    steps = list(toy.steps(toy.model("tag"), "tag", made, chosen, evaluate=evaluate))
    assert [s.step for s in steps if s.evaluation] == [4, 8]
    assert [s.epoch for s in steps] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert steps[-1].stopped == "done"


# what ends a run


def test_a_loss_not_finite_ends_the_run_before_the_update(toy):
    """A loss that is not finite ends the run before the weights change."""
    net = toy.model("classify")
    with torch.no_grad():
        net.head.classifier.bias.fill_(math.nan)
    others = net.encoder.state_dict()
    before = {k: v.clone() for k, v in others.items()}
    with pytest.raises(
        TrainingError, match=r"not finite at step 1 \(.*hard = nan; lr .*\): lower lr, set clip"
    ):
        list(toy.steps(net, "classify", toy.features("classify", 8), options()))
    assert all(torch.equal(before[k], v) for k, v in others.items())


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (0.5, math.nan), (0.5, math.inf)])
@pytest.mark.parametrize("select", ["score", "loss"])
def test_a_dev_evaluation_that_is_not_finite_ends_the_run(toy, bad, select):
    with pytest.raises(
        TrainingError, match=r"dev evaluation at step 2 is not finite .*Lower lr \(now 0\.01\)"
    ):
        run(toy, (0.5, 1.0), bad, (0.6, 0.5), select=select)


CONSTANT = Evaluation(0.5, 1.0, {}, constant=True)


def test_three_constant_evaluations_in_a_row_are_warned_of(toy, caplog):
    """The training goes on, and the warning says what helps; it comes once."""
    steps = run(toy, CONSTANT, CONSTANT, (0.6, 0.9), *[CONSTANT] * 5)
    assert steps[-1].stopped == "done"
    (told,) = [r.getMessage() for r in caplog.records if "same class" in r.getMessage()]
    assert "at 3 evaluations in a row" in told
    assert "class_weights = 'balanced'" in told


def test_constant_answers_that_recover_are_not_warned_of(toy, caplog):
    run(toy, CONSTANT, CONSTANT, (0.6, 0.9), CONSTANT, CONSTANT, (0.7, 0.8), warmup=0.0)
    assert "same class" not in caplog.text


def test_constant_answers_during_warm_up_do_not_count(toy, caplog):
    run(toy, *[CONSTANT] * 6, (0.6, 0.9), (0.6, 0.9), warmup=0.7)
    assert "same class" not in caplog.text


def test_a_constant_classifier_is_noticed(toy, caplog):
    """A constant toy classifier is noticed by its own evaluation."""
    made = toy.features("classify", 32)
    dead = [replace(f, target=np.zeros_like(f.target)) for f in made]  # every label the same
    list(toy.steps(toy.model("classify"), "classify", dead, options(epochs=8, lr=0.05, warmup=0.0)))
    assert "same class" in caplog.text


def test_a_term_that_needs_a_teacher_says_so_when_there_is_none(toy):
    data = TrainData(toy.features("tag", 8), toy.PAD)
    steps = fit(
        toy.model("tag"),
        toy.TASKS["tag"],
        build_loss([{"use": "kl"}]),
        data,
        scripted((0.0, 1.0)),
        options(),
        seed=0,
    )
    with pytest.raises(Exception, match="needs a teacher and there is none"):
        next(steps)
