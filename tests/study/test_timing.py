"""The models of a study timed in turns, once all are trained."""

from __future__ import annotations

import pytest

from destila.records import replace_records
from destila.study import timing
from tests.fixtures.studies import records_of, run_recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fast_testing")]
TIMED = ("measure.texts=4", "measure.repeats=1", "train.epochs=1")


@pytest.fixture
def sessions(monkeypatch) -> list[list[str]]:
    """The names of the models that were timed together, each time."""
    names: list[list[str]] = []
    real = timing.time_together

    def together(study, models, examples):
        names.append([model.run or model.model for model in models])
        return real(study, models, examples)

    monkeypatch.setattr(timing, "time_together", together)
    return names


def test_all_models_are_timed_in_turns_at_the_end(tiny, tmp_path, sessions):
    """Once and together; what costs nothing and other seeds are not timed."""
    run_recipe(tiny(), *TIMED, "seeds=[0, 1]")
    (together,) = sessions
    assert len(together) == 4
    records = records_of(tmp_path)
    timed = {name for name, record in records.items() if record.latency}
    assert timed == {
        *("baseline-tfidf", "teacher-teacher", "student-finetuned-s0", "student-distilled-s0")
    }
    for name in timed:
        assert records[name].details["timing"]["together"] == 4
    lines = (tmp_path / "runs" / "tiny" / "record.jsonl").read_text().splitlines()
    assert len(lines) == len(records) == 7  # one line each

    # a finished study is left alone; one without the times of a model times all of them again
    run_recipe(tiny(), *TIMED, "seeds=[0, 1]")
    assert len(sessions) == 1
    student = records["student-finetuned-s0"]
    from dataclasses import replace

    path = tmp_path / "runs" / "tiny" / "record.jsonl"
    replace_records(path, [replace(student, latency=())])
    run_recipe(tiny(), *TIMED, "seeds=[0, 1]")
    assert [len(names) for names in sessions] == [4, 4]
    assert records_of(tmp_path)["student-finetuned-s0"].latency
