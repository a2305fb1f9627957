"""A teacher labels in 8 bits where dev loses next to nothing, else as it is; the verdict stays."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from destila.study.planning.labelling import int8_labels
from destila.study.planning.open_models import load_for_study, predictor_of
from destila.teachers.cache_list import list_caches
from tests.fixtures.studies import study_of


@pytest.fixture
def taught(tiny, untrained):
    """A study, its teacher with random weights, and where the int8 graph goes."""
    study = study_of(tiny())
    teacher = load_for_study(study, untrained("classify", study.labels))
    return study, teacher, study.folder / "teachers" / "teacher-int8"


def test_int8_answers_are_near_the_model_and_kept_apart(taught):
    study, teacher, folder = taught
    texts = study.dataset.splits["dev"]
    labeller = int8_labels.label_in_int8(study, teacher, folder, dev=0.0)
    exact = list(predictor_of(study, teacher).logits(texts))
    near = list(labeller.logits(texts))
    assert [row.shape for row in near] == [row.shape for row in exact]
    difference = np.abs(np.array(near) - np.array(exact)).max()
    assert 0 < difference < 0.1 * np.abs(np.array(exact)).max()
    assert labeller.name.startswith("int8-dynamic ")


def test_the_verdict_is_reached_once(taught, monkeypatch):
    study, teacher, folder = taught
    first = int8_labels.label_in_int8(study, teacher, folder, dev=0.0)
    monkeypatch.setattr(int8_labels, "CandidateBuilder", None)  # a second build would fail
    assert int8_labels.label_in_int8(study, teacher, folder, dev=0.0).name == first.name


def test_a_damaged_verdict_is_reached_again(taught):
    study, teacher, folder = taught
    first = int8_labels.label_in_int8(study, teacher, folder, dev=0.0)
    (folder / "int8.json").write_text('{"teacher": ', encoding="utf-8")
    assert int8_labels.label_in_int8(study, teacher, folder, dev=0.0).name == first.name


def test_a_teacher_that_loses_labels_as_it_is(taught, caplog):
    study, teacher, folder = taught
    caplog.set_level(logging.INFO)
    assert int8_labels.label_in_int8(study, teacher, folder, dev=1.0) is None
    assert "labels as it is" in caplog.text
    assert json.loads((folder / "int8.json").read_text())["used"] is False
    assert int8_labels.label_in_int8(study, teacher, folder, dev=1.0) is None


def test_a_study_labels_in_int8_and_goes_on(tiny, trained, fast_testing):
    from destila.commands.run import Config, run

    recipe = str(tiny(more='[distil]\nlabel_in = "int8"\n'))
    run(Config(recipe=recipe))
    [cached] = list_caches()
    meta = json.loads((Path(cached["folder"]) / "meta.json").read_text(encoding="utf-8"))
    assert meta["spec"]["precision"].startswith("int8-dynamic ")
    assert cached["rows"] >= 96
    done = len(trained)
    run(Config(recipe=recipe))
    assert len(trained) == done
