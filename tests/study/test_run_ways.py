"""One recipe, many ways of distilling one student.

They differ in terms, texts and teachers; some have ensembles and some stages.
"""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors.torch import load_file

from destila.study.runs import training
from tests.fixtures.studies import records_of, run_recipe
from tests.study.planning.test_recipe import SHAPE, cell

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fast_testing")]

FAST = ("baseline=false", "train.epochs=1")
SECOND = f"""
[[teachers]]
name = 'second'
{SHAPE}tokenizer = {{ kind = 'bpe', vocab_size = 350 }}
"""
STAGES = """
[[distil.stages]]
name = "general"
data = "unlabelled"
train = { epochs = 1 }

[[distil.stages]]
name = "task"
terms = [{ use = "mse" }, { use = "hard" }]
data = "labelled"
"""
STAGED = ("baseline=false", "train.epochs=2", "compare=false", "data.unlabelled=40")


@pytest.fixture
def started(monkeypatch) -> dict[str, torch.Tensor]:
    """The token table that each training started from, by the name of its folder."""
    tables: dict[str, torch.Tensor] = {}
    real = training.fit

    def fit(model, *args, **kwargs):
        table = model.encoder.embeddings.word.weight.detach().clone()
        tables[kwargs["state"].parent.name] = table
        return real(model, *args, **kwargs)

    monkeypatch.setattr(training, "fit", fit)
    return tables


def calls(caplog) -> list[int]:
    """How many texts a teacher was asked about, each time a cache was filled."""
    return [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]


def test_cells_share_a_twin_and_are_trained_apart(tiny, tmp_path, trained, caplog):
    """Students with other terms and texts are trained and recorded apart.

    The fine-tuned twin is one.
    """
    caplog.set_level(logging.INFO)
    raw = tmp_path / "raw.txt"
    raw.write_text("".join(f"dónde está mi tarjeta número {i}\n" for i in range(8)))
    more = cell("by-mse", '{ terms = [{ use = "mse" }], train = { lr = 1e-3 } }')
    more += cell("wider", f'{{ unlabelled = "{raw}" }}')
    path = tiny("demo_intents", more)
    run_recipe(path, *FAST)
    names = ["teacher-teacher", "student-finetuned", "student-distilled"]
    names += ["by-mse-distilled", "wider-distilled"]
    assert trained == [f"{name}-s0" for name in names]
    assert calls(caplog) == [96, 0, 8]

    records = records_of(tmp_path)
    assert records["by-mse-distilled-s0"].config["terms"] == [{"use": "mse"}]
    assert records["by-mse-distilled-s0"].config["train"]["lr"] == 1e-3
    assert records["student-distilled-s0"].config["train"]["lr"] == 2e-3
    assert records["wider-distilled-s0"].details["notes"]["features"] == 104
    assert records["wider-distilled-s0"].config["distil"] == {"unlabelled": str(raw)}
    trained.clear()
    run_recipe(path, *FAST)
    assert trained == []


def test_each_student_may_have_its_own_teacher(tiny, tmp_path):
    """Who taught is recorded, and with whom a student is compared where that is another."""
    path = tiny("demo_intents", SECOND + cell("by-second", "{ teachers = ['second'] }"))
    run_recipe(path, *FAST, "distil.teachers=['teacher', 'second']")
    records = records_of(tmp_path)
    assert records["by-second-distilled-s0"].details["teacher"] == "second"
    (teacher,) = [r for r in records.values() if r.role == "teacher"]
    assert records["student-distilled-s0"].details["teacher"] == teacher.model
    compared = {name: r.details.get("agreement_with") for name, r in records.items()}
    assert compared["student-distilled-s0"] is None
    other = None if teacher.model == "second" else "teacher"
    assert compared["by-second-distilled-s0"] == other


def test_an_ensemble_reads_the_rows_each_teacher_cached(tiny, tmp_path, caplog):
    """Teachers are asked once each, whatever means are made of their logits."""
    caplog.set_level(logging.INFO)
    more = cell("mean", "{ ensemble = {} }")
    more += cell("dev", "{ ensemble = { mean = 'logits', weights = 'dev' } }")
    more += cell("alone", "{ ensemble = { weights = [0, 1] } }")
    more += cell("second-alone", "{ teachers = ['second'] }")
    path = tiny("demo_tags", SECOND + more)
    terms = 'distil.terms=[{use="kl"}]'  # logits of an ensemble; inside, one teacher is looked into
    run_recipe(path, *FAST, "compare=false", "teachers.0.train={epochs=8}", terms)

    records = {k.removesuffix("-distilled-s0"): r for k, r in records_of(tmp_path).items()}
    assert records["mean"].details["teacher"] == "teacher + second"
    assert records["dev"].details["teacher"] == "teacher + second"
    assert records["mean"].details["agreement_with"] in ("teacher", "second")
    assert len({records[name].key for name in ("student", "mean", "dev", "alone")}) == 4
    alone = records["second-alone"].details
    assert records["alone"].details["dev"] == pytest.approx(alone["dev"])
    assert records["mean"].details["dev_loss"] != alone["dev_loss"]
    assert sorted(calls(caplog)) == [0] * 6 + [96, 96]


def test_a_stage_goes_on_from_the_one_before(tiny, tmp_path, caplog, started):
    """A stage starts from the weights that the one before kept, and none is done twice."""
    caplog.set_level(logging.INFO)
    path = tiny("demo_intents", STAGES)
    run_recipe(path, *STAGED)
    names = ["student-distilled-s0-general", "student-distilled-s0"]
    assert list(started) == ["teacher-teacher-s0", *names]
    students = tmp_path / "runs" / "tiny" / "students"
    kept = load_file(students / names[0] / "best" / "model.safetensors")
    (name,) = [n for n in kept if n.endswith("word_embeddings.weight")]
    assert torch.equal(started[names[1]], kept[name])
    assert not torch.equal(started[names[0]], kept[name])

    record = {r.role: r for r in records_of(tmp_path).values()}["distilled"]
    assert record.config["terms"] == [{"use": "mse"}, {"use": "hard"}]
    assert [s["name"] for s in record.config["distil"]["stages"]] == ["general", "task"]
    assert record.details["notes"]["features"] == 96
    notes = json.loads((students / names[0] / "trained.json").read_text())["notes"]
    assert notes["features"] == 40
    assert calls(caplog) == [40, 96]
    messages = [r.getMessage() for r in caplog.records]
    (estimate,) = [message for message in messages if message.startswith("estimate")]
    assert names[0] in estimate

    started.clear()
    run_recipe(path, *STAGED)
    assert not started
    changed = (*STAGED, "distil.stages.1.train={lr=1e-3}")
    run_recipe(path, *changed)
    assert list(started) == names[1:]
    started.clear()
    run_recipe(path, *changed, "distil.stages.0.train={epochs=2}")
    assert list(started) == names


def test_hidden_states_first_and_answers_after_them(tiny, tmp_path, started):
    """A stage of states alone keeps its last weights, whatever dev says."""
    stages = '[{name="states", terms=[{use="hidden"}]}, {name="answers", terms=[{use="kl"}]}]'
    run_recipe(tiny(), *STAGED[:3], f"distil.stages={stages}")
    assert list(started)[1:] == ["student-distilled-s0-states", "student-distilled-s0"]
    students = tmp_path / "runs" / "tiny" / "students"
    log = students / "student-distilled-s0-states" / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["best"] for line in lines if "best" in line] == [True, True]
    assert "hidden" in lines[-1]
