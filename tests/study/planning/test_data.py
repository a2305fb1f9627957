"""A loaded study: what names its data, and that loading one changes nothing on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from destila.errors import DataError
from destila.study.planning.data import load_study
from destila.study.planning.recipe import read_recipe
from tests.fixtures.studies import records_of, run_recipe, study_of


def everything(folder: Path) -> dict[str, int]:
    """Every file and folder below a folder and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_loading_a_study_writes_nothing(tiny, tmp_path):
    """Data, labels, task and key are there, and no folder of runs."""
    path = tiny("demo_tags")
    before = everything(tmp_path)
    study = study_of(path)
    assert study.key == study_of(path).key
    assert study.main == "entity_f1"
    assert sum(study.class_counts) == sum(len(e.words) for e in study.dataset.splits["train"])
    assert study.recorded == {}
    assert everything(tmp_path) == before


def test_a_data_set_without_a_split_is_refused(monkeypatch, tiny):
    """A study needs its three splits; scoring a model needs one."""
    recipe = read_recipe(str(tiny()))
    whole = load_study(recipe).dataset
    part = replace(whole, splits={"train": whole.splits["train"]})
    monkeypatch.setattr("destila.datasets.load", lambda _: part)
    with pytest.raises(DataError, match="has no examples in its dev split"):
        load_study(recipe)
    assert load_study(recipe, needs=("train",)).dataset is part


def test_options_of_questions_name_no_other_study(tiny):
    """Only what the task uses is part of the key."""
    path = tiny()
    assert study_of(path).key == study_of(path, "span.window=7").key
    assert study_of(path).key != study_of(path, "max_length=40").key
    assert "span" not in study_of(path).facts


@pytest.mark.slow
@pytest.mark.usefixtures("fast_testing")
def test_a_record_is_written_again_when_it_counts_again(tiny, tmp_path):
    """Of two records for one row of the report, the one that is reused comes last."""
    path, changes = tiny(), ("teachers=[]", "baseline=false", "train.epochs=1")
    run_recipe(path, *changes)
    run_recipe(path, *changes, "train.lr=1e-6")
    study = study_of(path, *changes)
    first, second = study.recorded
    study.reuse_record(second)
    assert list(study_of(path).recorded) == [first, second]
    study.reuse_record(first)
    assert list(study.recorded) == list(study_of(path).recorded) == [second, first]
    assert records_of(tmp_path)["student-finetuned-s0"].key == first
