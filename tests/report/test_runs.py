from __future__ import annotations

import json

import pytest

from destila.report import runs


@pytest.fixture
def folder(tmp_path):
    """A study's folder with the log of one student and of one teacher."""

    def log(path, *lines):
        path.mkdir(parents=True)
        (path / "log.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    first, last = {"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0, "main": 0.6, "dev_loss": 0.5}
    log(
        tmp_path / "students" / "distilled-tiny-0",
        json.dumps(first),
        json.dumps(last),
        '{"step": 30, "lo',
    )
    log(tmp_path / "teachers" / "teacher-big-0-s0", json.dumps(last))
    return tmp_path


def test_a_log_has_its_losses_and_evaluations(folder):
    """A log has its losses and evaluations and no line that was cut off."""
    log = runs.read_logs(folder)["distilled-tiny-0"]
    assert (log.loss, log.main, log.dev_loss) == (
        ((10, 2.0), (20, 1.0)),
        ((20, 0.6),),
        ((20, 0.5),),
    )


def test_without_a_folder_there_are_no_logs(tmp_path):
    assert runs.read_logs(None) == runs.read_logs(tmp_path) == {}


def test_a_teachers_folder_names_its_seed(folder, record):
    assert runs.log_of(record("teacher", "big"), runs.read_logs(folder)).run == "teacher-big-0-s0"


def test_a_later_log_is_not_shown_with_an_earlier_record(folder, record):
    """The log of a later training is not shown with an earlier record."""
    logs = runs.read_logs(folder)
    assert runs.log_of(record(details={"dev": {"accuracy": 0.6}}), logs) is not None
    assert runs.log_of(record(details={"dev": {"accuracy": 0.1}}), logs) is None
    assert runs.log_of(record("distilled", "other"), logs) is None


CONFUSION = {"confusion": [[3, 1], [0, 2]]}


@pytest.mark.parametrize(
    ("details", "dataset", "expected"),
    [
        ({**CONFUSION, "labels": ["sí", "no"]}, "toy", ("sí", "no")),
        ({**CONFUSION, "per_label": {"uno": {}, "dos": {}}}, "toy", ("uno", "dos")),
        ({**CONFUSION, "per_label": {"PER": {}}}, "paws_x", ("0", "1")),
        ({**CONFUSION, "per_label": {"PER": {}}}, "xnli_es", ("0", "1")),
        (CONFUSION, "toy", ("0", "1")),
        ({}, "toy", ()),
    ],
)
def test_labels_are_named_by_whoever_knows_as_many(record, details, dataset, expected):
    assert runs.labels_of([record(details=details, dataset=dataset)], None) == expected


def test_labels_are_read_from_a_model_folder(record, tmp_path):
    """Labels are read from a model folder when the record has only types."""
    made = record(details={"confusion": [[1] * 3] * 3, "per_label": {"PER": {}}})
    best = tmp_path / "students" / made.run / "best"
    best.mkdir(parents=True)
    (best / "config.json").write_text(
        json.dumps({"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}})
    )
    assert runs.labels_of([made], tmp_path) == ("O", "B-PER", "I-PER")
