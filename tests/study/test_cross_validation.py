"""A small set scored by cross-validation, from its recipe to its report."""

from __future__ import annotations

import pytest

from destila.commands import report, verify
from tests.fixtures.studies import records_of, run_recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fast_testing")]


@pytest.fixture
def small(tiny, tmp_path):
    """A recipe of forty texts and two folds."""
    words = {"pan": "la comida del pan", "tren": "el viaje en tren"}
    rows = [f"{words[k]} número {n},{k}" for n, k in enumerate(list(words) * 20)]
    (tmp_path / "s.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    data = f'data={{use = "table", train = "{tmp_path / "s.csv"}"}}'
    return tiny(), data, "folds=2"


def test_every_text_counts_once_and_nothing_is_done_twice(small, tmp_path, trained):
    run_recipe(*small)
    names = ["teacher-teacher-s0", "student-finetuned-s0", "student-distilled-s0"]
    assert sorted(trained) == sorted(names * 3)
    records = records_of(tmp_path)
    assert len(records) == 5
    for record in records.values():
        assert (record.split, len(record.items)) == ("cross-validation", 40)
        folds = record.details["folds"]
        assert len(folds) == 2
        assert sum(folds) / 2 == pytest.approx(record.scores["accuracy"], abs=0.03)

    trained.clear()
    run_recipe(*small)
    assert trained == []

    study = str(tmp_path / "runs" / "tiny")
    report.run(report.Config(study=study))
    page = tmp_path / "runs" / "tiny" / "report.md"
    assert "2-fold cross-validation, 40 examples" in page.read_text(encoding="utf-8")
    assert "| worst and best fold |" in page.read_text(encoding="utf-8")
    places = [row["where"] for row in verify.run(verify.Config(study=study))["rows"]]
    assert sum("/folds/" in place for place in places) == 6

    # Without folds the models are others of the same data, and the report is of the test split.
    run_recipe(*small[:2])
    assert len(trained) == 3
    assert "split test, " in page.read_text(encoding="utf-8")


def test_a_run_that_was_stopped_goes_on_in_its_fold(small, tmp_path, trained, monkeypatch):
    """Trainings that were finished are not done again."""
    from destila.study import cross_validation

    train, seen = cross_validation.train, []

    def stop(plan, progress):
        seen.append(plan)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return train(plan, progress)

    monkeypatch.setattr(cross_validation, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(*small)
    monkeypatch.setattr(cross_validation, "train", train)
    done = list(trained)
    trained.clear()
    run_recipe(*small)
    assert len(done) + len(trained) == 9
    assert len(records_of(tmp_path)) == 5
