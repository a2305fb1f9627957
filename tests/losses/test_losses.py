"""What every loss term promises, and each formula by hand."""

import importlib
import math

import pytest
import torch

from destila import config, errors, plugins
from destila.losses.term import LossContext
from destila.types import IGNORE

SIGNAL_TERMS = ["kl", "soft_ce", "mse"]


def term(name, counts=None, **options):
    module = plugins.find("losses", name, "Options", "build")
    return module.build(
        config.build_config(module.Options, options), LossContext(class_counts=counts)
    )


def case(seed=0, dtype=torch.float32):
    """Student, teacher [2, 3, 4] and a mask with one unit out in the second example."""
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(2, 3, 4, generator=generator).to(dtype).requires_grad_()
    teacher = torch.randn(2, 3, 4, generator=generator).to(dtype).requires_grad_()
    return student, teacher, torch.tensor([[True, True, True], [True, False, True]])


def hand(name, s, t, temperature=1.0):
    """The formula of one distribution over plain lists."""

    def softmax(x):
        exps = [math.exp(v / temperature) for v in x]
        return [e / sum(exps) for e in exps]

    p, q = softmax(t), softmax(s)
    if name == "kl":
        return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    if name == "soft_ce":
        return -(temperature**2) * sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    return sum((a - b) ** 2 for a, b in zip(s, t, strict=True)) / len(s)


def test_the_room_holds_the_terms_and_no_private_file():
    """The room holds the terms of the house and no private file."""
    assert {"hard", "kl", "mse", "soft_ce"} <= set(plugins.names("losses"))
    assert not [name for name in plugins.names("losses") if name.startswith("_")]


@pytest.mark.parametrize("name", [*SIGNAL_TERMS, "hard"])
def test_every_term_carries_its_file_name_and_formula(name):
    module = importlib.import_module(f"destila.losses.{name}")
    assert term(name).name == name
    assert "All masked" in module.__doc__


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("name", SIGNAL_TERMS)
def test_a_signal_term_is_the_sum_of_the_formula_over_units(name, temperature):
    student, teacher, mask = case()
    options = {} if name == "mse" else {"temperature": temperature}
    rows = [(b, u) for b in range(2) for u in range(3) if mask[b, u]]
    expected = sum(
        hand(name, student[b, u].tolist(), teacher[b, u].tolist(), temperature) for b, u in rows
    )
    assert term(name, **options).fn(student, teacher, mask, 2).item() == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("name", SIGNAL_TERMS)
def test_axis_1_compares_unmasked_units_column_by_column(name):
    """Axis 1 compares unmasked units and averages the columns."""
    student, teacher, mask = case()
    expected = 0.0
    for b in range(2):
        kept = mask[b].nonzero()[:, 0].tolist()
        for c in range(4):
            expected += hand(name, student[b, kept, c].tolist(), teacher[b, kept, c].tolist()) / 4
    assert term(name).fn(student, teacher, mask, 1).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("name", ["kl", "mse"])
def test_equal_logits_cost_nothing(name, axis):
    student, _, mask = case()
    assert term(name).fn(student, student.detach(), mask, axis).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("name", [*SIGNAL_TERMS, "hard"])
def test_all_masked_gives_zero_with_a_gradient_of_zero(name, axis):
    student, teacher, mask = case()
    other = (
        teacher
        if name != "hard"
        else torch.zeros((2, 3) if axis == 2 else (2, 4), dtype=torch.long)
    )
    loss = term(name).fn(student, other, torch.zeros_like(mask), axis)
    loss.backward()
    assert loss.item() == 0
    assert student.grad.abs().sum().item() == 0


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("name", SIGNAL_TERMS)
def test_the_gradient_reaches_unmasked_units_of_the_student(name, axis):
    """The gradient reaches only the student and only unmasked units."""
    student, teacher, mask = case()
    term(name).fn(student, teacher, mask, axis).backward()
    assert teacher.grad is None
    assert student.grad[mask].abs().sum() > 0
    assert student.grad[~mask].abs().sum() == 0


@pytest.mark.parametrize("name", SIGNAL_TERMS)
def test_nan_in_a_masked_unit_does_no_harm(name):
    """A value that is not a number in a masked unit does no harm."""
    student, teacher, mask = case()
    clean = term(name).fn(student, teacher, mask, 2).item()
    with torch.no_grad():
        student[1, 1], teacher[1, 1] = torch.nan, torch.inf
    loss = term(name).fn(student, teacher, mask, 2)
    loss.backward()
    assert loss.item() == pytest.approx(clean)
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SIGNAL_TERMS)
def test_half_precision_logits_are_compared_in_float32(name, dtype):
    student, teacher, mask = case(dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        loss = term(name).fn(student, teacher, mask, 2)
    expected = term(name).fn(student.float(), teacher.float(), mask, 2)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    assert student.grad.dtype == dtype


@pytest.mark.parametrize("name", SIGNAL_TERMS)
def test_a_sum_over_two_batches_is_the_sum_of_their_terms(name):
    student, teacher, mask = case()
    fn = term(name).fn
    whole = fn(student, teacher, mask, 2)
    parts = fn(student[:1], teacher[:1], mask[:1], 2) + fn(student[1:], teacher[1:], mask[1:], 2)
    assert whole.item() == pytest.approx(parts.item(), rel=1e-6)


def test_soft_ce_is_kl_plus_the_teachers_entropy():
    """`soft_ce` is KL plus the teacher's entropy and has the same gradient."""
    student, teacher, mask = case()
    (kl,) = torch.autograd.grad(term("kl", temperature=2.0).fn(student, teacher, mask, 2), student)
    (ce,) = torch.autograd.grad(
        term("soft_ce", temperature=2.0).fn(student, teacher, mask, 2), student
    )
    assert torch.allclose(kl, ce, atol=1e-6)


def test_hard_is_minus_the_log_probability_of_the_gold_label():
    student, _, mask = case()
    target = torch.tensor([[0, 3, IGNORE], [2, 1, 1]])
    rows = [(0, 0, 0), (0, 1, 3), (1, 0, 2), (1, 2, 1)]  # neither IGNORE nor masked
    expected = -sum(student[b, u].log_softmax(-1)[y].item() for b, u, y in rows)
    assert term("hard").fn(student, target, mask, 2).item() == pytest.approx(expected, rel=1e-5)


def test_hard_with_smoothing_and_weights_is_what_torch_computes():
    student, _, mask = case()
    target = torch.tensor([[0, 3, 1], [2, IGNORE, 1]])
    weights = [0.5, 1.0, 2.0, 4.0]
    expected = torch.nn.functional.cross_entropy(
        student.flatten(0, 1),
        target.flatten(),
        torch.tensor(weights),
        label_smoothing=0.1,
        reduction="sum",
    )
    loss = term("hard", label_smoothing=0.1, class_weights=weights).fn(student, target, mask, 2)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_hard_over_units_takes_one_gold_unit_per_column():
    student, _, mask = case()
    target = torch.tensor([[0, 2, 1, IGNORE], [2, 0, 2, 0]])
    expected = 0.0
    for b in range(2):
        for c in range(4):
            if target[b, c] != IGNORE:
                column = student[b, :, c].masked_fill(~mask[b], -torch.inf)
                expected -= column.log_softmax(0)[target[b, c]].item() / 4
    assert term("hard").fn(student, target, mask, 1).item() == pytest.approx(expected, rel=1e-5)


def test_balanced_weights_average_to_one():
    """Balanced weights average to one over the training units."""
    counts = [6, 3, 1]
    losses = [
        term("hard", counts, class_weights="balanced").fn(
            torch.zeros(1, 1, 3), torch.tensor([[y]]), torch.tensor([[True]]), 2
        )
        for y in range(3)
    ]
    mean = sum(n * loss.item() for n, loss in zip(counts, losses, strict=True)) / 10
    assert mean == pytest.approx(math.log(3), rel=1e-6)
    assert losses[2].item() == pytest.approx(6 * losses[0].item(), rel=1e-6)


def test_balanced_weights_bear_a_class_without_examples():
    """A class the training set lacks does not break balanced weights."""
    loss = term("hard", [4, 0], class_weights="balanced").fn(
        torch.zeros(1, 1, 2), torch.tensor([[0]]), torch.tensor([[True]]), 2
    )
    assert math.isfinite(loss.item())


@pytest.mark.parametrize(
    ("options", "counts", "words"),
    [
        ({"class_weights": "balanced"}, None, "needs a training set"),
        ({"class_weights": [1.0, 2.0]}, [1, 1, 1], "2 numbers for 3 labels"),
        ({"class_weights": [1.0, -2.0]}, None, "from 0 up"),
        ({"class_weights": "balance"}, None, "class_weights"),
        ({"label_smoothing": 1.5}, None, "label_smoothing"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_name(options, counts, words):
    with pytest.raises(errors.ConfigError, match=words):
        term("hard", counts, **options)


def test_as_many_weights_as_classes_are_needed():
    """As many weights as classes are needed when the loss is computed."""
    student, _, mask = case()
    with pytest.raises(errors.ConfigError, match="2 numbers for 4 classes"):
        term("hard", class_weights=[1.0, 2.0]).fn(
            student, torch.zeros(2, 3, dtype=torch.long), mask, 2
        )


@pytest.mark.parametrize("name", ["kl", "soft_ce"])
def test_a_temperature_of_zero_is_refused(name):
    with pytest.raises(errors.ConfigError, match="temperature"):
        term(name, temperature=0)


@pytest.mark.parametrize("name", ["kl", "hard", "order"])
def test_where_a_look_would_be_waited_for_all_rows_are_computed(name, monkeypatch):
    """On a GPU no row is picked out: the others are left out of the sum, and get no gradient."""
    found = []
    for free in (True, False):
        monkeypatch.setattr("destila.losses._rows.look_is_free", lambda _, free=free: free)
        monkeypatch.setattr("destila.losses.hard.look_is_free", lambda _, free=free: free)
        student, teacher, mask = case()
        target = torch.tensor([[0, 3, IGNORE], [1, 2, 0]])
        if name == "order":
            mask = mask & (target != IGNORE)
        total = term(name).fn(student, teacher if name == "kl" else target, mask, 2)
        total.backward()
        found.append((total.detach(), student.grad))
    torch.testing.assert_close(found[0], found[1])
    assert not found[1][1][1, 1].any()
