"""An export is complete and proven, or it is not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from destila import records
from destila.commands import export
from destila.errors import ConfigError, DestilaError, ModelError
from destila.exporting import build, choose_runtime
from destila.inference.labeller import Labeller
from destila.inference.predictor import RuntimePredictor
from destila.study import export_study as exported_study
from destila.types import Example

TEXTS = (
    "El niño comió en España.",
    "¿Cuándo llega el tren de las 12:30 a la estación de Atocha?",
    "Hola",
)
LABELS = ("no", "sí", "tal vez")


def exported(folder: Path, out: Path, **options) -> dict:
    return export.run(export.Config(model=str(folder), out=str(out), **options))


@pytest.fixture
def model(untrained) -> Path:
    return untrained(
        "classify", LABELS, kind="albert", embedding=16, layers=3, positions=64, ffn=64
    )


@pytest.fixture
def texts(tmp_path) -> str:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS * 3) + "\n", encoding="utf-8")
    return str(tmp_path / "texts.txt")


def test_an_export_is_complete_and_answers_as_the_model(model, tmp_path):
    """The folder has all its files, and its fp32 graph answers as torch does."""
    result = exported(model, tmp_path / "out", keep=True)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    facts = {
        "config.json",
        "destila.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "export.json",
        "README.md",
    }
    assert names == {*facts, "model.onnx", "model.fp32.onnx"}
    default, exact = result["candidates"]
    assert (default["name"], default["file"], exact["file"]) == (
        "int8-dynamic",
        "model.onnx",
        "model.fp32.onnx",
    )
    assert (default["int8_products"], exact["int8_products"]) == (3 * 6 + 1 + 2, 0)
    assert exact["parity"] < 1e-4 < default["parity"]
    assert default["bytes"] == (tmp_path / "out" / "model.onnx").stat().st_size
    assert default["stable"] is True
    assert (
        json.loads((tmp_path / "out" / "export.json").read_text())["candidates"]
        == result["candidates"]
    )
    examples = [Example(str(i), text) for i, text in enumerate(TEXTS)]
    ours = [row.probabilities for row in Labeller(model).answers(TEXTS)]
    found = RuntimePredictor(tmp_path / "out", candidate="fp32").predict(examples)
    for prediction, row in zip(found, ours, strict=True):
        np.testing.assert_allclose(
            prediction.probabilities[0], [row[label] for label in LABELS], atol=1e-5
        )


@pytest.mark.parametrize(
    ("task", "kind"),
    [("tag", "bert"), ("tag", "roberta"), ("classify", "distilbert"), ("span", "bert")],
)
def test_every_task_and_architecture_is_exported(untrained, tmp_path, task, kind):
    labels = ("start", "end") if task == "span" else LABELS
    types = {"distilbert": 0, "roberta": 1}.get(kind, 2)
    model = untrained(task, labels, kind=kind, types=types, positions=80)
    (found,) = exported(model, tmp_path / "out")["candidates"]
    assert found["int8_products"] == 6 + (2 if task == "classify" else 1)


def test_the_usual_place_is_beside_the_model_or_in_its_study(model, tmp_path):
    """Without --out the folder lies beside the model, or among its study's exports."""
    assert export.run(export.Config(model=str(model)))["folder"] == str(tmp_path / "model-exported")
    best = tmp_path / "runs" / "study" / "students" / "tiny-distilled-s0" / "best"
    best.parent.mkdir(parents=True)
    model.rename(best)
    found = export.run(export.Config(model=str(best)))["folder"]
    assert found == str(tmp_path / "runs" / "study" / "exported" / "tiny-distilled-s0")


@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_the_lines_of_the_card_run(untrained, tmp_path, capsys, task):
    model = untrained(
        task, ("start", "end") if task == "span" else LABELS, kind="albert", embedding=16
    )
    exported(model, tmp_path / "out")
    said = (tmp_path / "out" / "README.md").read_text()
    ways = {part.split(":\n")[0]: part.split("```")[1] for part in said.split("\n\nWith ")[1:]}
    assert [*ways] == ["destila", "transformers", "onnxruntime"]
    for way, lines in ways.items():
        program = lines.removeprefix("python\n").replace("FOLDER", str(tmp_path / "out"))
        exec(program.replace("WEIGHTS", str(model)), {})
        assert capsys.readouterr().out.strip(), way


def refuse_parity(patch):
    patch.setattr(build.proof, "PARITY", 0.0)


def refuse_products(patch):
    patch.setattr(build, "expected", lambda config, task: (99, 105))


def refuse_size(patch):
    patch.setattr(build, "bytes_formula", lambda *_: 10)


def refuse_stable(patch):
    patch.setattr(build.proof, "stable", lambda *_, **__: False)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (refuse_parity, "does not answer as torch does"),
        (refuse_products, "of 27, the architecture"),
        (refuse_size, "weights are stored twice"),
        (refuse_stable, "--allow-unstable"),
    ],
)
@pytest.mark.parametrize("older", [False, True])
def test_a_refused_export_leaves_what_was_there(
    model, tmp_path, monkeypatch, break_it, says, older
):
    out = tmp_path / "exports" / "out"
    if older:
        exported(model, out)
    before = sorted(path.name for path in out.iterdir()) if older else []
    break_it(monkeypatch)
    with pytest.raises(ModelError, match=says):
        exported(model, out)
    assert sorted(path.name for path in out.parent.iterdir()) == (["out"] if older else [])
    assert (sorted(path.name for path in out.iterdir()) if older else []) == before


def test_an_unstable_default_can_be_allowed(model, tmp_path, monkeypatch):
    refuse_stable(monkeypatch)
    (found,) = exported(model, tmp_path / "out", allow_unstable=True)["candidates"]
    assert found["stable"] is False


def test_fixed_scales_need_texts(model, tmp_path, texts):
    with pytest.raises(ModelError, match="give --texts or --recipe"):
        exported(model, tmp_path / "out", kinds=("int8-static",))
    (found,) = exported(model, tmp_path / "out", kinds=("int8-static",), texts=texts)["candidates"]
    assert (found["kind"], found["int8_products"]) == ("int8-static", 21)


def test_the_fastest_candidate_is_stored_and_run(model, tmp_path, texts, monkeypatch):
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    result = exported(model, tmp_path / "out", runtime="auto", seconds=0.01, texts=texts)
    winner = result["runtime"]
    assert {one["name"] for one in winner["tried"]} == {"int8-dynamic", "int8-static", "fp32"}
    assert winner["ms"] == min(one["ms"] for one in winner["tried"])
    assert {c["name"] for c in result["candidates"]} == {"int8-dynamic", winner["name"]}
    assert RuntimePredictor(tmp_path / "out").choice.name == winner["name"]


def test_thread_counts_are_powers_of_two_and_all():
    assert [choose_runtime.thread_counts(n) for n in (1, 2, 6)] == [[1], [1, 2], [1, 2, 4, 6]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino-bf16", "openvino-int8"])
def test_openvino_files_are_proven_too(model, tmp_path, texts, name):
    pytest.importorskip("nncf", reason="the extra 'openvino' is not installed")
    (found,) = exported(model, tmp_path / "out", kinds=(name,), texts=texts)["candidates"]
    assert found["int8_products"] == (21 if name == "openvino-int8" else 0)
    assert found["products"] == 21
    assert found["stable"]
    assert not (tmp_path / "out" / "model.onnx").exists()
    assert len(list(RuntimePredictor(tmp_path / "out").predict([Example("0", TEXTS[0])]))) == 1


# with a recipe


@pytest.fixture
def study(tiny, untrained):
    """A recipe, and a model nobody trained with its labels."""
    from destila.datasets import demo_intents

    recipe = tiny("demo_intents")
    return str(recipe), untrained("classify", demo_intents.LABELS, name="student-distilled-s7")


def test_with_a_recipe_the_model_is_scored_and_recorded(study, tmp_path):
    recipe, model = study
    result = exported(model, tmp_path / "out", recipe=recipe, max_drop=1.0, sensitivity=True)
    (found,) = result["candidates"]
    assert found["drop"] == pytest.approx(result["torch_score"] - found["score"])
    assert {"embeddings", "layer.0.up"} <= {effect["group"] for effect in result["sensitivity"]}
    (record,) = records.read_records(tmp_path / "runs" / "tiny")
    assert (record.role, record.run, record.seed, record.split) == (
        "exported",
        "student-distilled-s7",
        7,
        "test",
    )
    assert record.details["candidate"] == "int8-dynamic"
    assert record.details["of"] == "student-distilled-s7"
    assert [record.details[key] for key in ("drop", "int8_products", "products", "stable")] == [
        found[key] for key in ("drop", "int8_products", "products", "stable")
    ]
    assert record.size_bytes == found["bytes"]
    assert record.conditions.backend == "onnxruntime"
    assert "student-distilled" in (tmp_path / "out" / "README.md").read_text() or record.scores


def test_a_score_that_drops_too_much_refuses_the_export(study, tmp_path, monkeypatch):
    recipe, model = study
    monkeypatch.setattr(exported_study.ExportStudy, "torch_score", lambda *_: 2.0)
    with pytest.raises(ModelError, match="less than torch; --max-drop allows"):
        exported(model, tmp_path / "out", recipe=recipe)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "runs").rglob("record.jsonl"))


def test_the_products_that_the_score_needs_are_kept_in_fp32(study, tmp_path, monkeypatch):
    def needs_up(score):
        return lambda proto: (
            1.0
            if any(n.name == "layer.0.up" and n.op_type == "MatMul" for n in proto.graph.node)
            else 0.5
        )

    monkeypatch.setattr(build, "on_graphs", needs_up)
    recipe, model = study
    (found,) = exported(model, tmp_path / "out", recipe=recipe, max_drop=1.0)["candidates"]
    (kept,) = exported(model, tmp_path / "out", recipe=recipe, max_drop=0.4, auto_keep=True)[
        "candidates"
    ]
    assert (found["kept_fp32"], kept["kept_fp32"]) == ([], ["layer.0.up"])
    assert kept["int8_products"] == found["int8_products"] - 1
    assert kept["bytes"] > found["bytes"]


def test_a_model_of_another_task_is_refused(study, untrained, tmp_path):
    tagger = untrained("tag", ("O", "B-PER"), name="tagger")
    with pytest.raises(ModelError, match="'tag' model with the labels O, B-PER"):
        exported(tagger, tmp_path / "out", recipe=study[0])


# bad input


def test_options_that_need_a_recipe_say_so(model, tmp_path):
    with pytest.raises(ConfigError, match="give --recipe"):
        exported(model, tmp_path / "out", auto_keep=True)


def test_a_folder_that_holds_something_else_is_not_replaced(model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="no export"):
        exported(model, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").exists()


def test_a_target_that_cannot_be_written_is_one_error(model, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ModelError, match="choose another"):
            exported(model, out)


def damage(folder: Path) -> None:
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1000])


def lose_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def change_task(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["AlbertForTokenClassification"]
    (folder / "config.json").write_text(json.dumps(config))


def change_opset(folder: Path) -> None:
    proto = onnx.load(str(folder / "model.onnx"))
    proto.opset_import[0].version = 999
    onnx.save(proto, str(folder / "model.onnx"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (damage, "damaged"),
        (lose_tokenizer, "tokenizer"),
        (change_task, "exported for another task"),
        (change_opset, "version of ONNX"),
    ],
)
def test_a_spoilt_export_is_one_clear_error(model, tmp_path, spoil, says):
    exported(model, tmp_path / "out")
    spoil(tmp_path / "out")
    with pytest.raises(DestilaError, match=says) as caught:
        list(Labeller(tmp_path / "out").answers(["Hola"]))
    assert "\n" not in str(caught.value)
