"""Several labels for one text: from a file to a distilled model, and what transformers makes of it."""

from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import destila
from destila.errors import ConfigError, DataError, ModelError
from destila.losses.term import LossContext
from destila.losses.weighted import build_loss
from destila.model_folder import read_folder
from destila.results import LabelsResult
from destila.tasks import task_of
from destila.tasks.multilabel import TASK
from destila.training.batches import collate
from destila.types import Example, Output, Prediction
from tests.fixtures.studies import records_of, run_recipe

LABELS = ("comida", "precio", "trato")
TEXTS = {"comida": "el plato de pan", "precio": "la cuenta de euros", "trato": "el guía amable"}
SETS = [(), ("comida",), ("precio",), ("trato",), ("comida", "precio"), ("precio", "trato"), LABELS]


def rows(count):
    for number in range(count):
        chosen = SETS[number % len(SETS)]
        text = " y ".join(TEXTS[label] for label in chosen) or "nada de nada"
        yield f"{text}, dicen los {number}", list(chosen)


def test_targets_and_answers_are_label_by_label(bpe):
    """A target says of each label whether it applies; an unlabelled text has none."""
    examples = [
        Example("0", "hola", target=("trato", "comida")),
        Example("1", "hola", target=()),
        Example("2", "hola"),
    ]
    features = TASK.encode(examples, bpe, LABELS, max_length=32).features
    assert [f.target.tolist() for f in features] == [[1, 0, 1], [0, 0, 0], [-100] * 3]

    logits = [np.array([[2.0, -3.0, 0.0]])]
    (prediction,) = TASK.decode(examples[:1], logits, LABELS)
    assert prediction.labels == ("comida", "trato")  # a half is enough
    assert prediction.probabilities[0] == pytest.approx([0.8808, 0.0474, 0.5], abs=1e-4)
    result = TASK.to_result(examples[0], prediction, LABELS)
    assert (result.labels, result.probabilities["precio"]) == (("comida", "trato"), 0.047426)
    strict = TASK.with_settings({"label_threshold": 0.9})
    assert strict.decode(examples[:1], logits, LABELS)[0].labels == ()


def test_terms_are_those_of_each_label(bpe):
    """The gold loss is transformers' for several labels, the divergence that of two outcomes."""
    examples = [
        Example("0", "hola", target=("trato",)),
        Example("1", "adiós", target=("comida", "precio")),
    ]
    features = TASK.encode(examples, bpe, LABELS, max_length=32).features
    student, teacher = (
        torch.randn(2, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([[1.0, -1, 2], [0, 3, -2]]),
    )
    batch = collate(features, bpe.pad_id, teacher=lambda f: teacher[f.row].numpy()[None])
    parts = {}
    for use in ("hard", "kl", "soft_ce", "mse"):
        loss = build_loss([{"use": use}], setting=LossContext(axis=0))
        counts = loss.counts(TASK, batch)
        assert counts == [2]
        parts[use] = loss(TASK, Output(student), batch, counts)[0]
    gold = torch.tensor([[0.0, 0, 1], [1, 1, 0]])
    assert parts["hard"] == pytest.approx(float(F.binary_cross_entropy_with_logits(student, gold)))
    p, q = teacher.sigmoid(), student.sigmoid()
    divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert float(parts["kl"]) == pytest.approx(float(divergence.mean()), rel=1e-5)
    cross = F.binary_cross_entropy_with_logits(student, p)
    assert float(parts["soft_ce"]) == pytest.approx(float(cross), rel=1e-5)
    loss = TASK.loss(examples, [student[i : i + 1].numpy() for i in range(2)], LABELS)
    assert loss == pytest.approx(float(parts["hard"]), rel=1e-5)


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    gold, given = random.integers(0, 2, (2, 40, 3))
    gold[0], given[0] = 0, 0

    def names(row):
        return tuple(label for label, there in zip(LABELS, row, strict=True) if there)

    examples = [Example(str(i), "", target=names(row)) for i, row in enumerate(gold)]
    said = [Prediction(names(row), row[None] * 1.0) for row in given]
    scores = TASK.score(examples, said, LABELS)
    for kind in ("micro", "macro"):
        assert scores[f"{kind}_f1"] == pytest.approx(metrics.f1_score(gold, given, average=kind))
    assert scores["exact_match"] == pytest.approx((gold == given).all(1).mean())
    assert (
        TASK.details(examples, said, LABELS)["per_label"]["precio"]["support"] == gold[:, 1].sum()
    )
    assert TASK.agreement(said, said) == 1.0
    macro = TASK.with_settings({"metric": "macro_f1"})
    assert len(macro.items(examples, said, LABELS)[0]) == 9


@pytest.mark.parametrize("settings", [{"metric": "accuracy"}, {"label_threshold": 1.0}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        task_of("multilabel", settings)


def test_a_folder_is_read_as_transformers_reads_it(untrained):
    """Its config.json says so, and one of others that says so is read as several labels."""
    transformers = pytest.importorskip("transformers")
    folder = untrained("multilabel", LABELS)
    assert (
        json.loads((folder / "config.json").read_text())["problem_type"]
        == "multi_label_classification"
    )
    (folder / "destila.json").unlink()
    assert read_folder(folder).task == "multilabel"

    answer = destila.load(folder).predict("Vivo en Sevilla.")
    assert isinstance(answer, LabelsResult)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        "Vivo en Sevilla.", return_tensors="pt"
    )
    with torch.no_grad():
        expected = model(**tokens).logits.sigmoid()[0]
    assert list(answer.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_teacher_of_the_other_kind_is_no_teacher(untrained):
    """A softmax is not compared with a sigmoid that nobody trained."""
    from destila.teachers.teacher import load_teacher

    with pytest.raises(ModelError, match="is for 'multilabel', the data are for 'classify'"):
        load_teacher(untrained("multilabel", LABELS), "classify", LABELS)


@pytest.mark.parametrize("form", ["list", "separator"])
def test_several_labels_go_from_a_file_to_answers(form, tmp_path, tiny, fast_testing):
    """Lists in JSON lines, or names in a CSV with a bar between: train, distil, report, export, predict."""
    data = tmp_path / ("x.jsonl" if form == "list" else "x.csv")
    if form == "list":
        lines = [json.dumps({"text": text, "label": labels}) for text, labels in rows(140)]
    else:
        lines = [
            "text;label",
            *(f"{text};{' | '.join(labels)}" for text, labels in rows(140) if labels),
        ]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = tiny("table")
    text = recipe.read_text(encoding="utf-8")
    bar = "" if form == "list" else 'label_separator = "|"\n'
    recipe.write_text(
        text.replace("train = 96\ndev = 24\ntest = 24\n", f'train = "{data}"\n{bar}'),
        encoding="utf-8",
    )

    run_recipe(recipe)
    records = records_of(tmp_path)
    assert {r.task for r in records.values()} == {"multilabel"}
    assert {r.main for r in records.values()} == {"micro_f1"}
    assert "micro F1" in (tmp_path / "runs" / "tiny" / "report.md").read_text(encoding="utf-8")

    (folder,) = (tmp_path / "runs" / "tiny" / "students").glob("student-distilled*/best")
    model = destila.load(folder)
    answers = model.predict([text for text, _ in rows(5)])
    assert set(chain(*(a.labels for a in answers))) <= set(LABELS)
    assert set(model.evaluate(data, **({} if form == "list" else {"label_separator": "|"}))) == {
        "micro_f1",
        "macro_f1",
        "exact_match",
    }
    exported = model.export(tmp_path / "out", kinds=("fp32",))
    one, other = exported.predict("el plato"), model.predict("el plato")
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_one_label_and_lists_do_not_mix(tmp_path):
    from destila.datasets import table

    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"text": "a b", "label": ["x"]}\n{"text": "c d", "label": "y"}\n' * 10, encoding="utf-8"
    )
    with pytest.raises(DataError, match="make all of them lists"):
        table.load(table.Options(train=str(path)))
