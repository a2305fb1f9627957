"""`destila init`: what a file is, and a recipe that can be run."""

from __future__ import annotations

import json

import pytest

from destila import datasets
from destila.commands.init import Config, run, show
from destila.errors import ConfigError, DataError
from destila.study.intake.detect import detect
from destila.study.planning.recipe import read_recipe

CSV = "id;frase;tema\n" + "".join(f"{n};El mensaje número {n};{'ab'[n % 2]}\n" for n in range(60))
CONLL = "".join(f"Habla V O\nAna{n} N B-PER\n\n" for n in range(60))
CONLLU = "".join(
    f"1\tCasa{n}\tcasa\tNOUN\tnc\t_\t0\troot\t_\t_\n2\t.\t.\tPUNCT\tfp\t_\t1\tpunct\t_\t_\n\n"
    for n in range(60)
)
JSONL = "".join(
    json.dumps({"premise": f"P {n}", "hypothesis": f"H {n}", "label": n % 3}) + "\n"
    for n in range(60)
)


def _file(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("name", "text", "use", "task", "options", "labels"),
    [
        ("a.csv", CSV, "table", "classify", {"text": "frase", "label": "tema", "pair": "", "id": "id"}, ("a", "b")),
        ("a.jsonl", JSONL, "table", "classify", {"text": "premise", "pair": "hypothesis", "label": "label"}, ("0", "1", "2")),
        ("esp.train", CONLL, "conll", "tag", {"word": 0, "tag": -1, "separator": "space"}, ("B-PER", "O")),
        ("a.tsv", CONLL.replace(" ", "\t"), "conll", "tag", {"word": 0, "tag": -1, "separator": "tab"}, ("B-PER", "O")),
        ("a.conll", CONLL.replace(" ", "  "), "conll", "tag", {"word": 0, "tag": -1, "separator": "blank"}, ("B-PER", "O")),
        ("a.conllu", CONLLU, "conllu", "tag", {"column": "upos"}, ("NOUN", "PUNCT")),
    ],
)  # fmt: skip
def test_task_columns_and_labels_are_detected(tmp_path, name, text, use, task, options, labels):
    path = _file(tmp_path, name, text)
    found = detect(path)
    assert (found.use, found.task, found.labels) == (use, task, labels)
    assert found.options == {"train": path} | options


def test_the_column_of_entity_tags_is_preferred_to_the_last(tmp_path):
    text = "".join(f"Ana{n} B-PER Z\nva O V\n\n" for n in range(60))
    assert detect(_file(tmp_path, "a.conll", text)).options["tag"] == 1


@pytest.mark.parametrize("name", ["train.csv", "training.csv"])
def test_dev_and_test_files_beside_a_train_file_are_taken_along(tmp_path, name):
    _file(tmp_path, "dev.csv", CSV)
    test = _file(tmp_path, "test.csv", CSV)
    options = detect(_file(tmp_path, name, CSV)).options
    assert options["test"] == test
    assert options["dev"].endswith("dev.csv")


def test_the_written_recipe_can_be_read(tmp_path):
    """Its data can be loaded, too."""
    out = tmp_path / "mi.toml"
    result = run(
        Config(data=_file(tmp_path, "opiniones.csv", CSV), teacher="ana/modelo", out=str(out))
    )
    assert (result["path"], result["task"], result["labels"]) == (str(out), "classify", ["a", "b"])
    assert sum(result["rows"].values()) == 60
    recipe = read_recipe(str(out))
    assert (recipe.name, recipe.teachers[0].model, recipe.students[0].layers) == (
        "opiniones",
        "ana/modelo",
        3,
    )
    assert sum(map(len, datasets.load(recipe.data).splits.values())) == 60
    assert "# peak learning rate, per step" in out.read_text()


@pytest.fixture
def profesor(tmp_path):
    """The folder of a teacher of which nothing but its shape is known."""

    def write(**config):
        (tmp_path / "profesor").mkdir()
        (tmp_path / "profesor" / "config.json").write_text(json.dumps(config))
        return str(tmp_path / "profesor")

    return write


@pytest.mark.parametrize(
    ("layers", "size", "students"),
    [
        (12, None, {"fast": 3, "balanced": 4, "careful": 6}),
        (12, "fast", {"fast": 3}),
        (6, None, {"balanced": 2, "careful": 3}),
        (3, None, {"balanced": 2}),
        (6, "fast", {"fast": 2}),
    ],
)
def test_students_have_parts_of_their_teachers_layers(tmp_path, profesor, layers, size, students):
    """The layers are counted where the teacher is here; sizes of one depth are one student."""
    teacher = profesor(num_hidden_layers=layers, max_position_embeddings=64)
    text = CSV.replace("El mensaje", "palabra " * 300)
    out = str(tmp_path / "mi.toml")
    data = _file(tmp_path, "a.csv", text)
    result = run(Config(data=data, teacher=teacher, out=out, size=size))
    recipe = read_recipe(out)
    assert {each.name: each.layers for each in recipe.students} == result["students"] == students
    assert recipe.max_length == 64
    assert {each.start for each in recipe.students} == {"profesor"}
    assert recipe.teachers[0].label == "profesor"
    assert [term["use"] for term in recipe.distil.terms] == ["hard", "kl"]


def test_a_tagger_and_its_twin_make_equal_steps(tmp_path):
    """It reads sentences with swapped entities too, so epochs would be unequal."""
    rows = [f"Ana{i} B-PER\nvive O\nen O\nLima{i} B-LOC\n" for i in range(80)]
    path = _file(tmp_path, "a.conll", "\n".join(rows))
    out = str(tmp_path / "mi.toml")
    run(Config(data=path, teacher="ana/modelo", out=out))
    recipe = read_recipe(out)
    student = recipe.students[0]
    assert (recipe.distil.augment.kind, recipe.distil.augment.copies) == ("swap", 3)
    assert recipe.distil_options(student).steps == recipe.options(student.train).steps == 16


@pytest.mark.parametrize(
    ("hidden", "name", "lr"),
    [(384, "a.csv", 5e-4), (768, "a.csv", None), (384, "a.jsonl", None)],
)
def test_first_layers_of_a_narrow_teacher_learn_fast(tmp_path, profesor, hidden, name, lr):
    """The rate was measured at 384 units; wide students and those of pairs keep the usual one."""
    teacher = profesor(num_hidden_layers=12, hidden_size=hidden)
    out = str(tmp_path / "mi.toml")
    data = _file(tmp_path, name, JSONL if name.endswith("jsonl") else CSV)
    run(Config(data=data, teacher=teacher, out=out))
    assert {student.train.get("lr") for student in read_recipe(out).students} == {lr}


def test_a_foreign_teacher_lends_its_tokenizer_alone(tmp_path, profesor):
    """A teacher that our encoder cannot run has no layers for its student."""
    teacher = profesor(model_type="electra", num_hidden_layers=6)
    out = str(tmp_path / "mi.toml")
    run(Config(data=_file(tmp_path, "a.csv", CSV), teacher=teacher, out=out))
    (student,) = read_recipe(out).students
    assert (student.model, student.tokenizer) == (None, teacher)
    assert student.shape["kind"] == "bert"
    assert [term["use"] for term in read_recipe(out).distil.terms] == ["hard", "kl"]


def test_the_teachers_depth_is_found_under_destila_models(tmp_path, monkeypatch):
    (tmp_path / "models" / "profesor").mkdir(parents=True)
    (tmp_path / "models" / "profesor" / "config.json").write_text('{"n_layers": 9}')
    monkeypatch.setenv("DESTILA_MODELS", str(tmp_path / "models"))
    out = str(tmp_path / "mi.toml")
    run(Config(data=_file(tmp_path, "a.csv", CSV), teacher="profesor", out=out))
    assert [student.layers for student in read_recipe(out).students] == [2, 3, 4]


def test_without_a_teacher_both_models_are_trained_from_scratch(tmp_path):
    out = str(tmp_path / "mi.toml")
    run(Config(data=_file(tmp_path, "a.csv", CSV), out=out))
    recipe = read_recipe(out)
    assert recipe.teachers[0].shape["layers"] > recipe.students[0].shape["layers"]
    assert recipe.students[0].tokenizer.kind == "bpe"
    assert [term["use"] for term in recipe.distil.terms] == ["kl"]


def test_the_window_grows_with_the_texts(tmp_path):
    out = str(tmp_path / "mi.toml")
    run(
        Config(
            data=_file(tmp_path, "a.csv", CSV.replace("El mensaje", "palabra " * 100)),
            teacher="x/y",
            out=out,
        )
    )
    assert read_recipe(out).max_length == 256


def test_a_recipe_that_says_something_else_is_not_overwritten(tmp_path):
    data, out = _file(tmp_path, "a.csv", CSV), str(tmp_path / "mi.toml")
    run(Config(data=data, teacher="x/y", out=out))
    assert run(Config(data=data, teacher="x/y", out=out))["path"] == out
    with pytest.raises(ConfigError, match="exists and says something else"):
        run(Config(data=data, teacher="x/z", out=out))


def test_the_recipe_is_named_after_its_data(tmp_path, monkeypatch):
    """It goes to the working folder."""
    (tmp_path / "notas").mkdir()
    monkeypatch.chdir(tmp_path)
    run(Config(data=_file(tmp_path / "notas", "train.csv", CSV), teacher="x/y"))
    assert read_recipe("notas.toml").name == "notas"


@pytest.mark.parametrize(
    ("text", "what"), [("", "is empty"), ("una sola columna\nx\n", "needs a text and a label")]
)
def test_a_file_without_examples_is_an_error(tmp_path, text, what):
    with pytest.raises(DataError, match=what):
        detect(_file(tmp_path, "a.csv", text))


TWEETS = "id,event,tweet,offensive,emotion\n" + "".join(
    f"{n},{'abcde'[n % 5]},Un mensaje bastante largo número {n},{n % 2},{'xyz'[n % 3]}\n"
    for n in range(60)
)


def test_a_guess_is_said_with_how_to_choose_another_column(tmp_path):
    path = _file(tmp_path, "a.csv", TWEETS)
    (remark,) = detect(path).remarks
    assert remark == (
        "the label is column 'offensive' (2 values); it could also be 'event' (5), 'emotion' (3): "
        "choose with --label 'event'"
    )
    result = run(Config(data=path, label="emotion", out=str(tmp_path / "r.toml")))
    assert result["labels"] == ["x", "y", "z"]
    (remark,) = result["remarks"]
    assert "60 rows are few for a test split" in remark
    assert read_recipe(str(tmp_path / "r.toml")).folds == 5
    assert result["columns"]["label"] == "emotion"


def test_columns_of_what_is_no_table_cannot_be_chosen(tmp_path):
    with pytest.raises(ConfigError, match="is no table"):
        run(Config(data=_file(tmp_path, "a.conllu", CONLLU), label="x"))


def test_another_encoding_is_said_and_written(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV.replace("mensaje", "niño cuesta 5 €").encode("cp1252"))
    out = str(tmp_path / "r.toml")
    assert run(Config(data=str(path), out=out))["remarks"][0] == f"{path} is read as cp1252"
    assert read_recipe(out).data["encoding"] == "cp1252"
    assert "5 €" in datasets.load(read_recipe(out).data).splits["train"][0].text


def test_name_and_metric_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(Config(data=_file(tmp_path, "a.csv", CSV), name="mio", metric="macro_f1"))
    assert (read_recipe("mio.toml").name, read_recipe("mio.toml").metric) == ("mio", "macro_f1")


def test_one_label_for_nearly_all_asks_for_weights_and_macro_f1(tmp_path):
    rows = "".join(f"El mensaje número {n},{'sí' if n % 15 == 0 else 'no'}\n" for n in range(90))
    out = str(tmp_path / "r.toml")
    result = run(Config(data=_file(tmp_path, "a.csv", "frase,tema\n" + rows), out=out))
    assert "% of train have one label" in result["remarks"][0]
    assert read_recipe(out).metric == "macro_f1"
    assert read_recipe(out).train.class_weights == "balanced"


def test_a_teacher_that_is_not_here_is_said(tmp_path):
    out = str(tmp_path / "r.toml")
    result = run(Config(data=_file(tmp_path, "a.csv", CSV), teacher="noexiste", out=out))
    assert "teacher 'noexiste' is no folder here" in result["remarks"][-1]


def test_what_is_in_the_way_of_a_recipe_may_be_binary(tmp_path):
    out = tmp_path / "r.toml"
    out.write_bytes(b"\xff\x00")
    with pytest.raises(ConfigError, match="exists and says something else"):
        run(Config(data=_file(tmp_path, "a.csv", CSV), out=str(out)))
    assert out.read_bytes() == b"\xff\x00"


@pytest.mark.parametrize("rows", [10, 20, 30])
def test_few_rows_are_enough(tmp_path, rows):
    text = "frase,tema\n" + "".join(f"El mensaje {n},{'ab'[n % 2]}\n" for n in range(rows))
    for examples in detect(_file(tmp_path, "a.csv", text)).dataset.splits.values():
        assert {e.target for e in examples} == {"a", "b"}


def test_the_card_has_no_objects(tmp_path):
    result = run(Config(data=_file(tmp_path, "a.csv", CSV), out=str(tmp_path / "r.toml")))
    cells = [row["value"] for row in show(result)["rows"]]
    assert all(isinstance(cell, str | int) for cell in cells)
    assert not any("{" in str(cell) for cell in cells)
