"""The published numbers agree with the sums and ratios that were published with them."""

from __future__ import annotations

from statistics import fmean

import pytest

from destila.report import reference

EIGHT = ("mldoc", "paws_x", "xnli_es", "ancora_pos", "conll2002", "mlqa", "sqac", "xquad_es")


def slides(model, training):
    rows = [
        p
        for p in reference.published_scores()
        if (p.table, p.model, p.training) == ("slides-2023", model, training)
    ]
    return [p.value for p in rows if p.dataset in EIGHT and p.score != "exact_match"]


@pytest.mark.parametrize(
    ("model", "training", "mean"),
    [
        (m, t, v)
        for m, cost in reference.costs().items()
        for t, v in cost.get("mean_score", {}).items()
    ],
)
def test_the_mean_of_published_scores_is_published(model, training, mean):
    """The mean of eight published scores is the published mean."""
    values = slides(model, training)
    assert len(values) == 8
    assert 100 * fmean(values) == pytest.approx(mean, abs=0.0101)


def test_the_xlarge_taggers_are_the_corrected_ones():
    rows = {
        p.score: p
        for p in reference.published_scores()
        if p.model == "albeto-xlarge" and p.table == "slides-2023" and p.note
    }
    assert {score: p.value for score, p in rows.items()} == {
        "chunk_f1": 0.982,
        "entity_f1": 0.8142,
    }


@pytest.mark.parametrize("dataset", ["xnli_es", "ancora_pos", "conll2002"])
def test_collapsed_runs_are_marked(dataset):
    rows = [
        p
        for p in reference.published_scores(dataset)
        if p.model == "roberta-bne-large" and p.table == "slides-2023"
    ]
    assert ["collapsed" in p.note for p in rows] == [True]


def test_published_speed_ups_are_truncated_ratios_of_macs():
    costs = reference.costs()
    base = int(costs["beto-uncased"]["macs"]["512"] / 1e7) / 100
    ratios = {
        m: base / (int(c["macs"]["512"] / 1e7) / 100)
        for m, c in costs.items()
        if "macs_speed_up" in c
    }
    assert len(ratios) == 16
    for model, ratio in ratios.items():
        assert costs[model]["macs_speed_up"] in (
            int(ratio * 100) / 100,
            int(ratio * 100 + 1) / 100,
        ), model


def test_values_are_ratios():
    every = [*reference.published_scores(), *reference.distillation_grid(), *reference.teachers()]
    assert len(every) > 500
    assert all(0 < p.value < 1 for p in every)


def test_every_table_is_explained():
    used = {
        p.table
        for p in (
            *reference.published_scores(),
            *reference.distillation_grid(),
            *reference.teachers(),
        )
    }
    assert used < set(reference.published_tables())
    assert all(t.title and t.source and t.note for t in reference.published_tables().values())


def test_a_data_set_with_a_published_test_set_finds_it():
    assert reference.published_scores("cess_pos") == reference.published_scores("ancora_pos") != []


def test_an_unpublished_data_set_has_no_reference():
    assert reference.published_scores("toy") == []


def test_the_grid_keeps_its_settings():
    tiny = next(p for p in reference.distillation_grid("conll2002") if p.model == "albeto-tiny")
    assert tiny.settings["lr"] == 5e-5
    assert tiny.settings["batch"] == 64
    assert tiny.split == "dev"


@pytest.mark.parametrize(
    ("ours", "test_set", "count"), [("mlqa_es", "mlqa", 56), ("squad_es", "xquad_es", 56)]
)
def test_questions_stand_beside_rows_of_their_test_set(ours, test_set, count):
    shown = reference.published_scores(ours)
    assert {p.dataset for p in shown} == {test_set}
    assert len(shown) == count
