"""Bad input at the command line: one clear line that names the thing, exit 1, never a traceback."""

from __future__ import annotations

import builtins
import json
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from destila import cli, errors
from destila.models import hf, store

RECIPE = """
name = "malo"
max_length = 32
{data}
{teachers}
[[students]]
name = "student"
shape = {{ kind = "bert", layers = 1, hidden = 16, heads = 2 }}
tokenizer = "{tokenizer}"
[train]
epochs = 2
batch_size = 16
precision = "fp32"
evaluations = 0.5
[measure]
texts = 0
"""
CSV = "text,label\n" + "".join(f"frase número {i},{'si' if i % 2 else 'no'}\n" for i in range(60))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Relative paths, studies and caches land in the test's folder; nothing is looked up on the network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    logging.getLogger("destila").setLevel(logging.NOTSET)


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs a command both ways; returns the kind and the message of its error, which must be one."""

    def run(*arguments: str | Path) -> tuple[str, str]:
        def call(*words: str) -> tuple[str, str]:
            monkeypatch.setattr(sys, "argv", ["destila", *words])
            with pytest.raises(SystemExit) as left:
                cli.main()
            assert left.value.code == 1
            return capsys.readouterr()

        words = [str(a) for a in arguments]
        out, err = call(*words)
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        message = err.removeprefix("error: ").rstrip("\n")
        out, err = call(*words, "--json")
        assert err == ""
        found = json.loads(out)
        assert list(found) == ["error"]
        assert list(found["error"]) == ["kind", "message"]
        kind = getattr(errors, found["error"]["kind"], None) or getattr(
            builtins, found["error"]["kind"]
        )
        assert issubclass(kind, errors.DestilaError | OSError)
        assert found["error"]["message"] == message
        return found["error"]["kind"], message

    return run


@pytest.fixture
def tokenizer(tmp_path, bpe) -> Path:
    bpe.save(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.fixture
def model(tmp_path, bpe):
    """Makes a model folder with random weights."""

    def make(task="classify", labels=("no", "si"), name="model", **shape) -> Path:
        config = {"kind": "bert", "layers": 1, "hidden": 16, "positions": 64} | shape
        store.save_model(
            hf.load(config, tokenizer=bpe, task=task, labels=labels).model, bpe, tmp_path / name
        )
        return tmp_path / name

    return make


@pytest.fixture
def recipe(tmp_path, tokenizer):
    """Writes a recipe; by default over a good CSV file."""
    (tmp_path / "good.csv").write_text(CSV)

    def write(data='[data]\nuse = "table"\ntrain = "good.csv"', teachers="") -> Path:
        text = RECIPE.format(data=data, teachers=teachers, tokenizer=tokenizer)
        (tmp_path / "malo.toml").write_text(text, encoding="utf-8")
        return tmp_path / "malo.toml"

    return write


def table(**files: str) -> str:
    """A [data] table over files that it writes here."""
    for name, content in files.items():
        Path(f"{name}.csv").write_text(content, encoding="utf-8")
    return '[data]\nuse = "table"\n' + "".join(f'{name} = "{name}.csv"\n' for name in files)


# files


@pytest.mark.parametrize("verb", ["run", "data", "finetune", "distil", "choose"])
def test_a_recipe_that_is_not_there(refused, verb):
    kind, said = refused(verb, "nada.toml")
    assert kind == "ConfigError"
    assert "no recipe at nada.toml" in said


def test_a_data_file_that_is_not_there(refused, recipe, model):
    kind, said = refused("data", recipe('[data]\nuse = "table"\ntrain = "nada.csv"'))
    assert (kind, "no file at nada.csv" in said) == ("DataError", True)
    assert "nada.csv" in refused("run", "nada.csv")[1]
    assert "nada.csv" in refused("init", "nada.csv")[1]
    assert "nada.txt" in refused("predict", model(), "nada.txt")[1]


def test_a_model_that_is_not_there(refused, recipe):
    assert "nadie/nada" in refused("measure", "nadie/nada")[1]
    assert "nadie/nada" in refused("evaluate", recipe(), "--model", "nadie/nada")[1]
    assert "nada" in refused("predict", "nada")[1]


def test_an_empty_file(refused, recipe, model):
    Path("vacío.csv").touch()
    assert "vacío.csv is empty" in refused("init", "vacío.csv")[1]
    assert "train.csv is empty" in refused("data", recipe(table(train="")))[1]
    assert "vacío.csv is empty" in refused("predict", model(), "vacío.csv")[1]
    Path("vacío.toml").touch()
    assert "'name' is required" in refused("run", "vacío.toml")[1]


def test_a_wrong_encoding_names_the_byte(refused, recipe):
    Path("latin.csv").write_bytes("text,label\nñaño,no\n".encode() + b"a\xf1o,no\n")
    for command in (
        ("init", "latin.csv"),
        ("data", recipe('[data]\nuse = "table"\ntrain = "latin.csv"')),
    ):
        kind, said = refused(*command)
        assert kind == "DataError"
        assert "latin.csv is not utf-8: byte 22 is 0xf1" in said


def test_a_row_with_too_few_columns_names_its_line(refused, recipe):
    kind, said = refused("data", recipe(table(train=CSV + "una frase sin etiqueta\n")))
    assert kind == "DataError"
    assert "train.csv, line 62: 1 columns, the header has 2" in said
    Path("ner.txt").write_text("María B-PER\nvive O\n\nAna\n\n" * 9)
    assert (
        "ner.txt, line 4" in refused("data", recipe('[data]\nuse = "conll"\ntrain = "ner.txt"'))[1]
    )


# labels


def test_an_unknown_label_in_test_names_the_nearest(refused, recipe):
    bad = "text,label\nuna frase,si\notra frase,sii\n"
    kind, said = refused(
        "run", recipe(table(train=CSV, dev=CSV.replace("frase", "oración"), test=bad))
    )
    assert kind == "DataError"
    assert "'sii'" in said
    assert "Did you mean 'si'?" in said


def test_a_label_column_that_is_the_text(refused, recipe):
    data = '[data]\nuse = "table"\ntrain = "good.csv"\nlabel = "text"\ntext = "label"'
    kind, said = refused("data", recipe(data))
    assert kind == "DataError"
    assert "does not look like labels" in said
    assert (
        "cannot be both"
        in refused("data", recipe(data.replace('text = "label"', 'text = "text"')))[1]
    )


def teacher(folder: Path) -> str:
    return f'[[teachers]]\nname = "teacher"\nmodel = "{folder}"\nfinetune = false'


def test_two_label_maps_that_differ(refused, recipe, model):
    other = model(labels=("negativo", "positivo"))
    path = recipe(teachers=teacher(other))
    for command in (("choose", path), ("evaluate", path, "--model", other)):
        kind, said = refused(*command)
        assert kind == "ModelError"
        assert "negativo, positivo" in said
        assert "no, si" in said


def test_a_teacher_for_another_task(refused, recipe, model):
    kind, said = refused("run", recipe(teachers=teacher(model("tag", ("no", "si")))))
    assert kind == "ModelError"
    assert "is for 'tag', the data are for 'classify'" in said


# models and tokenizers


def test_a_tokenizer_that_lacks_a_special_token(refused, recipe, tokenizer, model):
    file = tokenizer / "tokenizer.json"
    spec = json.loads(file.read_text())
    spec["added_tokens"] = [t for t in spec["added_tokens"] if t["content"] != "[SEP]"]
    spec["model"]["vocab"] = {
        ("¬" if k == "[SEP]" else k): v for k, v in spec["model"]["vocab"].items()
    }
    spec["post_processor"] = None
    broken = model()
    for folder in (tokenizer, broken):
        (folder / "tokenizer.json").write_text(json.dumps(spec))
    for command in (("finetune", recipe()), ("data", recipe())):
        kind, said = refused(*command)
        assert kind == "TokenizerError"
        assert "[SEP]" in said
    assert "[SEP]" in refused("predict", broken)[1]


def test_a_window_longer_than_the_model(refused, recipe, model, bpe):
    short = model(positions=24)
    path = recipe(teachers=f'[[teachers]]\nname = "teacher"\nmodel = "{short}"\nfinetune = true')
    kind, said = refused("choose", path)
    assert kind in ("ConfigError", "ModelError", "TokenizerError")
    assert "max_length" in said
    assert "24" in said


def test_weights_that_are_not_numbers(refused, recipe, model):
    folder = model()
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for command in (("choose", recipe(teachers=teacher(folder))), ("measure", folder)):
        kind, said = refused(*command)
        assert kind == "ModelError"
        assert "'classifier.weight' holds NaN" in said
    assert "holds NaN" in refused("predict", folder)[1]


def test_weights_that_are_cut_short(refused, model):
    folder = model()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    kind, said = refused("measure", folder)
    assert kind == "ModelError"
    assert "damaged or incomplete" in said


# the disk


def test_a_full_disk_leaves_the_old_checkpoint(refused, recipe, monkeypatch, capsys):
    """A limit on the size of files stands in for the full disk: the write really stops half way."""
    path = recipe()
    best = Path("runs/malo/students/student-finetuned-s0/best")
    monkeypatch.setattr(sys, "argv", ["destila", "finetune", str(path)])
    monkeypatch.setattr("destila.study.testing._peak_memory", lambda *_: 1)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    capsys.readouterr()
    before = {p.name: p.read_bytes() for p in best.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        kind, said = refused("finetune", path, "--set", "train.lr=1e-3")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kind == "ModelError"
    assert "cannot save the model to" in said
    assert {p.name: p.read_bytes() for p in best.iterdir()} == before
    assert [p.name for p in best.parent.iterdir() if "tmp" in p.name] == []


def test_a_folder_that_cannot_be_written(refused, recipe):
    Path("runs").write_text("a file where the studies should go")
    _, said = refused("finetune", recipe())
    assert "runs" in said


# recipes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.epoch=3", "unknown key 'train.epoch'. Did you mean 'epochs'?"),
        ("trian.epochs=3", "unknown key 'trian'. Did you mean 'train'?"),
        ("train.lr=rápido", "'train.lr' = 'rápido'"),
        ("students.0.shape.hiden=3", "'hiden'. Did you mean 'hidden'?"),
        ("data.use=conll2003", "Did you mean 'conll2002'?"),
        ("data.etiqueta=label", "unknown key 'etiqueta'"),
        ("students.3.name=x", "--set students.3.name"),
        ("distil.terms=[]", "no terms"),
        ('distil.terms=[{use="kll"}]', "Did you mean 'kl'?"),
        ("students.0.train.epoch=1", "unknown key 'epoch'. Did you mean 'epochs'?"),
        ("seeds=[]", "seeds"),
        ("students=[]", "students"),
    ],
)
def test_a_key_or_value_that_does_not_exist_offers_the_nearest(
    refused, recipe, model, change, said
):
    kind, found = refused("run", recipe(teachers=teacher(model())), "--set", change)
    assert kind == "ConfigError"
    assert said in found


@pytest.mark.parametrize(
    "words", [("tokenizer", "texto.txt", "--out", "t", "--kind", "bpee"), ("list", "model")]
)
def test_a_choice_that_does_not_exist_is_wrong_usage(monkeypatch, capsys, words):
    """Exit code 2, and the choices that exist."""
    monkeypatch.setattr(sys, "argv", ["destila", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    known = "models" if words[0] == "list" else "unigram"
    assert f"'{known}'" in capsys.readouterr().err


def test_no_teacher_to_distil_from(refused, recipe):
    for verb in ("distil", "choose"):
        assert "has no [[teachers]]" in refused(verb, recipe())[1]


# questions


def asked(
    context="Ana vive en Lima.", question="¿Dónde vive?", answer="Lima", start=12, count=40
) -> str:
    """SQuAD JSON of equal articles."""
    qas = [{"question": question, "answers": [{"text": answer, "answer_start": start}]}]
    data = [
        {
            "title": f"T{i}",
            "paragraphs": [{"context": context, "qas": [{**q, "id": str(i)} for q in qas]}],
        }
        for i in range(count)
    ]
    return json.dumps({"version": "1.1", "data": data}, ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (asked()[:-40], "is not valid JSON"),
        (asked().replace('"context": "Ana', '"context" "Ana', 1), "column 71"),
        (
            asked(answer="Quito"),
            "none of its 40 questions has text and an answer that is in its context",
        ),
        (asked(context=" \u00a0"), "data[0].paragraphs[0] is empty"),
        (asked(count=0), "no question in it"),
        ('{"version": "1.1", "data": [{"title": "T", "paragraphs": [{"qas": []}]}]}', "context"),
    ],
)
def test_a_file_of_questions_that_is_damaged(refused, recipe, text, said):
    Path("asked.json").write_text(text, encoding="utf-8")
    kind, found = refused("data", recipe('[data]\nuse = "squad"\ntrain = "asked.json"'))
    assert kind == "DataError"
    assert said in found


def test_windows_of_questions_that_cannot_be(refused, recipe, model):
    Path("asked.json").write_text(asked(), encoding="utf-8")
    data = '[data]\nuse = "squad"\ntrain = "asked.json"'
    kind, said = refused("run", recipe(data), "--set", "span.window=8", "--set", "span.stride=9")
    assert (kind, "span.stride = 9 skips units" in said) == ("ConfigError", True)
    short = teacher(model("span", ("start", "end"), "short", positions=16))
    kind, said = refused(
        "run", recipe(data, short), "--set", "span.window=24", "--set", "span.stride=20"
    )
    assert (kind, "reads at most 16 tokens, fewer than the stride of 20" in said) == (
        "ConfigError",
        True,
    )


def test_a_question_without_a_context(refused, model):
    Path("texts.jsonl").write_text('{"question": "¿Quién?"}\n')
    kind, said = refused(
        "predict", model("span", ("start", "end"), "asks"), "texts.jsonl", "--strict"
    )
    assert (kind, "no string under 'context'" in said) == ("DataError", True)
    Path("texts.jsonl").write_text('{"pregunta": "¿Quién?", "context": "Ana."}\n')
    assert "no string under 'question'" in refused("predict", "asks", "texts.jsonl", "--strict")[1]


# as processes see it


@pytest.mark.slow
def test_a_process_says_one_line_and_exits_with_one(recipe):
    command = [sys.executable, "-m", "destila", "data", str(recipe()), "--set", "train.epoch=3"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "error"}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
