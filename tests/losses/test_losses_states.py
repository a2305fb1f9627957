"""What every term over inner states promises, and each formula by hand."""

from __future__ import annotations

import importlib

import pytest
import torch

from destila import config, plugins
from destila.errors import ConfigError
from destila.losses.term import LossContext, ModelShape, Term
from destila.losses.weighted import build_loss

KINDS = frozenset({"logits", "hidden", "attention", "scores", "query", "key", "value"})
B, L, A = 2, 5, 2
MASK = torch.tensor([[True, True, True, True, False], [True, True, False, False, False]])


def shape(layers=2, hidden=8, heads=A, kinds=KINDS, name="m", tokenizer="t") -> ModelShape:
    return ModelShape(name, tokenizer, layers, hidden, heads, kinds)


def setting(student=None, teacher=None, **other) -> LossContext:
    return LossContext(student=student or shape(), teacher=teacher or shape(layers=4), **other)


def term(name: str, given: LossContext | None = None, **options) -> Term:
    module = plugins.find("losses", name, "Options", "build")
    return module.build(config.build_config(module.Options, options), given or setting())


def states(wanted, of: ModelShape, seed: int, *, grad: bool = True) -> dict:
    """Random states of a model, as leaves with a gradient."""
    generator = torch.Generator().manual_seed(seed)

    def one(kind):
        size = (B, of.heads, L, L) if kind in ("attention", "scores") else (B, L, of.hidden)
        value = torch.randn(size, generator=generator)
        return (value.softmax(-1) if kind == "attention" else value).requires_grad_(grad)

    return {state: one(state[0]) for state in dict.fromkeys(wanted)}


def both(made: Term, given: LossContext) -> tuple[dict, dict]:
    return states(made.student, given.student, 1), states(made.teacher, given.teacher, 2)


NAMES = ["hidden", "attention", "relation", "cosine"]
WAYS = [
    ("hidden", {}),
    ("hidden", {"normalise": True}),
    ("hidden", {"project": "always", "shared": True}),
    ("attention", {}),
    ("attention", {"what": "probabilities", "heads": "mean"}),
    ("relation", {"heads": 2}),
    ("cosine", {}),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_term_says_its_formula_and_masked_case(name):
    """Every term carries its file name formula and masked case."""
    module = importlib.import_module(f"destila.losses.{name}")
    assert term(name).name == name
    assert "All masked" in module.__doc__
    assert "et al. 20" in module.__doc__


@pytest.mark.parametrize(("name", "options"), WAYS)
def test_all_masked_is_zero_with_a_gradient_of_zero(name, options):
    made, given = term(name, **options), setting()
    mine, theirs = both(made, given)
    loss = made.fn(mine, theirs, torch.zeros_like(MASK), 2)
    loss.backward()
    assert loss.item() == 0
    assert all(value.grad.abs().max() == 0 for value in mine.values())


@pytest.mark.parametrize(("name", "options"), WAYS)
def test_gradients_reach_the_student_alone(name, options):
    """Gradients reach the student and never the teacher or what is masked."""
    made, given = term(name, **options), setting()
    mine, theirs = both(made, given)
    made.fn(mine, theirs, MASK, 2).backward()
    assert all(value.grad is None for value in theirs.values())
    for (kind, _), value in mine.items():
        grad = value.grad.abs().sum(1) if kind in ("attention", "scores") else value.grad.abs()
        assert grad[MASK].max() > 0
        assert grad[~MASK].max() == 0


@pytest.mark.parametrize(("name", "options"), WAYS)
def test_what_is_masked_may_be_anything(name, options):
    made, given = term(name, **options), setting()
    mine, theirs = both(made, given)
    before = made.fn(mine, theirs, MASK, 2)
    with torch.no_grad():
        for (kind, _), value in [*mine.items(), *theirs.items()]:
            (value.transpose(1, 2) if kind in ("attention", "scores") else value)[~MASK] = torch.nan
    after = made.fn(mine, theirs, MASK, 2)
    after.backward()
    torch.testing.assert_close(before, after)
    assert all(value.grad.isfinite().all() for value in mine.values())


@pytest.mark.parametrize(("name", "options"), [way for way in WAYS if "project" not in way[1]])
def test_equal_models_have_a_loss_of_zero(name, options):
    same = setting(shape(layers=3), shape(layers=3))
    made = term(name, same, **options)
    mine, _ = both(made, same)
    assert made.student == made.teacher
    assert made.fn(mine, mine, MASK, 2).item() == pytest.approx(0, abs=2e-6)


@pytest.mark.parametrize(("name", "options"), WAYS)
def test_the_sum_over_a_batch_is_the_sum_over_its_examples(name, options):
    made, given = term(name, **options), setting()
    mine, theirs = both(made, given)
    whole = made.fn(mine, theirs, MASK, 2)
    parts = [
        made.fn(
            *({s: v[i : i + 1] for s, v in values.items()} for values in (mine, theirs)),
            MASK[i : i + 1],
            2,
        )
        for i in range(2)
    ]
    torch.testing.assert_close(whole, sum(parts))


def test_hidden_is_a_mean_over_the_width_summed_over_tokens():
    """Hidden is the mean over the width summed over tokens and layers."""
    made, given = term("hidden"), setting()
    assert made.student == (("hidden", 0), ("hidden", 1), ("hidden", 2))
    assert made.teacher == (("hidden", 0), ("hidden", 2), ("hidden", 4))
    mine, theirs = both(made, given)
    expected = sum(
        ((s[b, p] - t[b, p]) ** 2).mean().item()
        for s, t in zip(mine.values(), theirs.values(), strict=True)
        for b, p in MASK.nonzero().tolist()
    )
    assert made.fn(mine, theirs, MASK, 2).item() == pytest.approx(expected, rel=1e-5)


def test_patient_distillation_compares_directions():
    made, given = term("hidden", normalise=True, layers=[[2, 4]]), setting()
    mine, theirs = both(made, given)
    s, t = mine["hidden", 2][MASK], theirs["hidden", 4][MASK]
    expected = sum(
        ((a / a.norm() - b / b.norm()) ** 2).sum().item() for a, b in zip(s, t, strict=True)
    )
    assert made.fn(mine, theirs, MASK, 2).item() == pytest.approx(expected, rel=1e-5)
    longer = {state: 3 * value for state, value in theirs.items()}
    assert made.fn(mine, longer, MASK, 2).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("what", "kind"), [("scores", "scores"), ("probabilities", "attention")])
def test_attention_is_the_mean_over_heads_and_real_keys(what, kind):
    made, given = term("attention", what=what, layers=[[1, 3]]), setting()
    mine, theirs = both(made, given)
    s, t = mine[kind, 1], theirs[kind, 3]
    expected = 0.0
    for b in range(2):
        n = int(MASK[b].sum())
        expected += ((s[b, :, :n, :n] - t[b, :, :n, :n]) ** 2).mean(0).sum().item() / n
    assert made.fn(mine, theirs, MASK, 2).item() == pytest.approx(expected, rel=1e-5)


def test_relation_follows_the_formula_with_any_widths():
    given = setting(shape(hidden=12, heads=3), shape(layers=4, hidden=8, heads=2))
    made = term("relation", given, heads=4)
    mine, theirs = both(made, given)
    expected = 0.0
    for kind in ("query", "key", "value"):
        for b in range(2):
            n = int(MASK[b].sum())
            for r in range(4):
                s = mine[kind, 2][b, :n, 3 * r : 3 * r + 3]
                t = theirs[kind, 4][b, :n, 2 * r : 2 * r + 2]
                p, q = (t @ t.T / 2**0.5).softmax(-1), (s @ s.T / 3**0.5).softmax(-1)
                expected += (p * (p / q).log()).sum().item() / 4
    assert made.fn(mine, theirs, MASK, 2).item() == pytest.approx(expected, rel=1e-4)


def test_cosine_sees_angles_alone():
    made, given = term("cosine"), setting()
    mine, theirs = both(made, given)
    s, t = mine["hidden", 2][MASK], theirs["hidden", 4][MASK]
    expected = sum(1 - (a @ b / a.norm() / b.norm()).item() for a, b in zip(s, t, strict=True))
    assert made.fn(mine, theirs, MASK, 2).item() == pytest.approx(expected, rel=1e-5)
    assert made.fn(mine, {("hidden", 4): 7 * theirs["hidden", 4]}, MASK, 2).item() == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize(
    ("layers", "student", "teacher", "expected"),
    [
        ("uniform", 6, 24, [(0, 0), (1, 4), (2, 8), (3, 12), (4, 16), (5, 20), (6, 24)]),
        ("uniform", 2, 5, [(0, 0), (1, 3), (2, 5)]),
        ("last", 2, 4, [(0, 0), (1, 3), (2, 4)]),
        ([[1, 1], [2, 0]], 2, 4, [(1, 1), (2, 0)]),
    ],
)
def test_layers_meet_as_the_recipe_says(layers, student, teacher, expected):
    made = term("hidden", setting(shape(layers=student), shape(layers=teacher)), layers=layers)
    assert [(m, n) for (_, m), (_, n) in zip(made.student, made.teacher, strict=True)] == expected


def test_maps_are_there_where_widths_differ():
    """Maps are there where widths differ and new weights depend on the seed alone."""
    wide = setting(shape(hidden=8), shape(layers=4, hidden=12))
    assert term("hidden").module is None
    each, shared = term("hidden", wide).module, term("hidden", wide, shared=True, bias=False).module
    assert [tuple(p.shape) for p in each.parameters()] == [(12, 8), (12,)] * 3
    assert [tuple(p.shape) for p in shared.parameters()] == [(12, 8)]
    state = torch.get_rng_state()
    again = term("hidden", wide).module
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(each[1].weight, again[1].weight)
    other = setting(wide.student, wide.teacher, seed=1)
    assert not torch.equal(each[1].weight, term("hidden", other).module[1].weight)


def test_a_map_learns_from_the_loss():
    wide = setting(shape(hidden=8), shape(layers=4, hidden=12))
    loss = build_loss([{"use": "hidden", "shared": True}, {"use": "cosine"}], setting=wide)
    assert [tuple(p.shape) for p in loss.learned.parameters()] == [(12, 8), (12,)] * 2
    made = loss.terms[0][1]
    mine, theirs = both(made, wide)
    made.fn(mine, theirs, MASK, 2).backward()
    assert made.module[0].weight.grad.abs().max() > 0


def test_pads_count_where_a_published_code_counts_them():
    made = term("attention", pads=True, what="probabilities")
    assert made.pool == "padded"
    mine, theirs = both(made, setting())
    every = torch.ones_like(MASK)
    expected = sum(
        torch.nn.functional.mse_loss(s, t).item() * every.numel()
        for s, t in zip(mine.values(), theirs.values(), strict=True)
    )
    assert made.fn(mine, theirs, every, 2).item() == pytest.approx(expected, rel=1e-5)
    logits = {("logits", 0): torch.randn(2, L, 2)}, {("logits", 0): torch.randn(2, L, 2)}
    kl = term("kl", setting(axis=1), pads=True)
    plain = term("kl", setting(axis=1))
    assert (kl.pool, kl.windows, kl.needs) == ("padded", True, "states")
    assert torch.equal(
        kl.fn(*logits, every, 1), plain.fn(*(v["logits", 0] for v in logits), every, 1)
    )


def test_other_tokens_meet_at_units():
    """Other tokens meet at units and terms that cannot are refused."""
    apart = setting(
        shape(name="alumno", tokenizer="bpe"),
        shape(4, name="maestro", tokenizer="wordpiece"),
        same_tokens=False,
    )
    assert [term(name, apart).pool for name in ("hidden", "cosine", "relation")] == ["first"] * 3
    assert term("hidden", apart, pool="mean").pool == "mean"
    for spec in (
        {"use": "attention"},
        {"use": "hidden", "pool": "token"},
        {"use": "hidden", "pads": True},
    ):
        with pytest.raises(ConfigError) as caught:
            build_loss([spec], setting=apart)
        said = str(caught.value)
        assert all(
            word in said
            for word in (spec["use"], "alumno", "maestro", "bpe", "wordpiece", "pool =")
        )


@pytest.mark.parametrize(
    ("name", "options", "student", "teacher", "said"),
    [
        ("hidden", {"layers": [[3, 4]]}, {}, {}, "layers has [3, 4], but the student's are 0 to 2"),
        ("hidden", {"layers": []}, {}, {}, "layers is empty"),
        ("hidden", {"layers": "last"}, {"layers": 5}, {}, 'use "uniform"'),
        ("hidden", {"project": "never"}, {"hidden": 6}, {}, 'the student is 6 wide and the teacher 8'),
        ("hidden", {"pads": True, "pool": "mean"}, {}, {}, "counts units: leave one out"),
        ("attention", {"layers": [[0, 1]]}, {}, {}, "the student's are 1 to 2"),
        ("attention", {}, {"heads": 4}, {}, "the student has 4 heads and the teacher 2: use heads = \"mean\""),
        ("attention", {}, {}, {"kinds": frozenset({"hidden", "attention"})}, "the teacher 'm' does not show scores"),
        ("relation", {}, {}, {"kinds": frozenset({"hidden", "attention"})}, "the teacher 'm' does not show query"),
        ("relation", {"heads": 3}, {}, {}, "heads = 3 must divide the widths"),
    ],
)  # fmt: skip
def test_what_cannot_meet_is_refused_with_the_remedy(name, options, student, teacher, said):
    given = setting(shape(**student), shape(**{"layers": 4, **teacher}))
    with pytest.raises(ConfigError) as caught:
        term(name, given, **options)
    assert said in str(caught.value)


def test_a_recipe_is_checked_before_there_are_models():
    loss = build_loss([{"use": "hidden"}, {"use": "kl", "pads": True}, {"use": "relation"}])
    assert loss.needs_states
    assert not loss.needs_signal
    with pytest.raises(ConfigError, match="Did you mean 'layers'"):
        build_loss([{"use": "hidden", "layer": "uniform"}])
    with pytest.raises(ConfigError, match="is for questions"):
        term("kl", setting(), pads=True)
