"""Labelling new texts with a model folder: the objects that programs read, and inputs that people have."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

import destila
from destila.commands.predict import Config, run
from destila.errors import ConfigError, DataError, ModelError
from destila.inference import label_texts
from destila.tasks.classify import ClassifyTask

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
POS = ("DET", "NOUN", "VERB")
READ_ROW = ClassifyTask.read_row
BLANK = "the text is blank"


def of(model, lines=(), file=None):
    return list(run(Config(model=str(model), file=str(file) if file else None), lines=lines))


def test_a_classification_has_the_documented_keys(untrained):
    (said,) = of(untrained("classify", ("no", "sí")), ["¿Qué tal 🙂?\n"])
    assert list(said) == ["id", "text", "label", "probabilities"]
    assert (said["id"], said["text"]) == ("0", "¿Qué tal 🙂?")
    assert list(said["probabilities"]) == ["no", "sí"]
    assert sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert said["label"] == max(said["probabilities"], key=said["probabilities"].get)


def test_a_tagging_has_the_documented_keys_and_offsets(untrained):
    """Its offsets are into the input, whatever characters that holds."""
    text = "👩‍👧 José vive en A Coruña, ¿no? 🙂"
    (said,) = of(untrained("tag", POS), [text])
    assert list(said) == ["id", "text", "spans"]
    assert list(said["spans"][0]) == ["start", "end", "label", "text", "probability"]
    assert all(text[s["start"] : s["end"]] == s["text"] for s in said["spans"])
    assert [s["text"] for s in said["spans"]][1:8] == [
        "José",
        "vive",
        "en",
        "A",
        "Coruña",
        ",",
        "¿",
    ]


def test_entities_are_spans_of_their_type_without_prefix(untrained):
    spans = [
        s
        for o in of(untrained("tag", BIO), ["María vive en Lima", "Luis come en Jaén"])
        for s in o["spans"]
    ]
    assert spans
    assert {s["label"] for s in spans} <= {"PER", "LOC"}


def test_every_word_of_a_text_longer_than_the_model_is_labelled(untrained):
    text = " ".join(["El niño comió en España."] * 40)
    (said,) = of(untrained("tag", POS), [text])
    assert len(said["spans"]) == 40 * 6


def test_a_tab_makes_a_pair(untrained):
    one, two = of(untrained("classify", ("no", "sí")), ["el niño\tla niña", "el niño"])
    assert (one["text"], one["pair"]) == ("el niño", "la niña")
    assert "pair" not in two


def test_a_tab_is_a_blank_to_a_tagger(untrained):
    """Nothing behind it is lost."""
    (said,) = of(untrained("tag", POS), ["el niño\tvive en Lima"])
    assert said["text"] == "el niño\tvive en Lima"
    assert [s["text"] for s in said["spans"]] == ["el", "niño", "vive", "en", "Lima"]


def test_json_objects_on_standard_input_are_told_by_the_first(untrained):
    said = of(
        untrained("classify", ("no", "sí")), ['{"id": "a", "text": "uno"}\n', '{"text": "dos"}\n']
    )
    assert [(o["id"], o["text"]) for o in said] == [("a", "uno"), ("1", "dos")]


@pytest.mark.parametrize("line", ["{hola", '{"otra": 1}', "[1]", '"text"'])
def test_other_lines_with_brackets_are_texts(untrained, line):
    assert of(untrained("classify", ("no", "sí")), [line])[0]["text"] == line


def test_json_lines_keep_their_ids_and_order(untrained, tmp_path):
    rows = [
        {"id": "z", "text": "uno"},
        {"id": 7, "text": "dos", "pair": "tres"},
        {"text": "cuatro"},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(r) for r in rows) + "\n")
    said = of(untrained("classify", ("no", "sí")), file=tmp_path / "in.jsonl")
    assert [(o["id"], o["text"], o.get("pair")) for o in said] == [
        ("z", "uno", None), ("7", "dos", "tres"), ("2", "cuatro", None)
    ]  # fmt: skip


def test_given_words_are_the_units(untrained, tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({"words": ["A Coruña", "es", "bonita."]}))
    (said,) = of(untrained("tag", POS), file=tmp_path / "in.jsonl")
    assert said["text"] == "A Coruña es bonita."
    assert [s["text"] for s in said["spans"]] == ["A Coruña", "es", "bonita."]


def test_blank_lines_keep_their_place_and_files_may_be_packed(untrained, tmp_path):
    with gzip.open(tmp_path / "in.txt.gz", "wt", encoding="utf-8") as file:
        file.write("uno\n\n  \ndos\r\n")
    said = of(untrained("classify", ("no", "sí")), file=tmp_path / "in.txt.gz")
    assert [(o["id"], o["text"], o.get("warning")) for o in said] == [
        ("0", "uno", None), ("1", "", BLANK), ("2", "  ", BLANK), ("3", "dos", None)
    ]  # fmt: skip


def test_many_texts_are_read_lazily_and_answered_in_order(untrained):
    read = []

    def source():
        for i in range(700):
            read.append(i)
            yield f"texto {i}"

    answers = run(Config(model=str(untrained("classify", ("no", "sí")))), lines=source())
    assert next(answers)["text"] == "texto 0"
    assert len(read) < 700
    assert [o["id"] for o in answers] == [str(i) for i in range(1, 700)]


def test_a_text_is_labelled_alike_alone_and_in_company(untrained):
    model = untrained("classify", ("no", "sí"))
    texts = [
        "Llueve.",
        "Los precios subieron un 12,4 % en marzo según el ministerio.",
        "¿Quién es?",
    ]
    for text, together in zip(texts, of(model, texts), strict=True):
        (alone,) = of(model, [text])
        assert alone["probabilities"] == pytest.approx(together["probabilities"], abs=2e-6)


def test_the_same_from_python(untrained):
    model = untrained("classify", ("no", "sí"))
    loaded = destila.load(model)
    assert loaded.labels == ("no", "sí")
    answers = loaded.predict(["hola", {"text": "adiós", "id": "x"}])
    assert [answer.to_dict() for answer in answers] == [
        *of(model, ["hola"]), {**of(model, ["adiós"])[0], "id": "x"}
    ]  # fmt: skip


BAD_LINES = [
    ('{"text": "dos"', "not a JSON object"),
    ('["dos"]', "not a JSON object but list"),
    ('{"texto": "dos"}', "no string under 'text'"),
    ('{"text": 7}', "no string under 'text'"),
    ('{"text": "dos", "pair": 3}', "no string under 'pair'"),
    ("[" * 100_000, "not a JSON object (nested"),
    ('{"text": "dos", "n": ' + "9" * 5000 + "}", "not a JSON object"),
]


def test_a_faulty_row_costs_itself_alone(untrained, tmp_path):
    lines = [line for bad, _ in BAD_LINES for line in ('{"text": "uno"}', bad)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    model = untrained("classify", ("no", "sí"))
    answers = of(model, file=tmp_path / "in.jsonl")
    assert [o["text"] for o in answers[::2]] == ["uno"] * len(BAD_LINES)
    for number, (answer, (_, why)) in enumerate(zip(answers[1::2], BAD_LINES, strict=True)):
        assert answer["id"] == str(2 * number + 1)
        assert answer["error"].startswith(f"{tmp_path}/in.jsonl, line {2 * number + 2}: {why}")
    with pytest.raises(DataError, match=r"in\.jsonl, line 2: not a JSON object"):
        list(run(Config(model=str(model), file=str(tmp_path / "in.jsonl"), strict=True)))


def test_half_a_character_is_replaced_and_said(untrained):
    """From JSON, and of a command line whose bytes are no UTF-8."""
    model = untrained("tag", POS)
    for line in ('{"text": "\\ud83d hola"}', "\udcff hola"):
        (said,) = of(model, [line])
        assert said["text"] == "\ufffd hola"
        assert said["warning"] == "a broken character stands as U+FFFD"
    json.dumps(said, ensure_ascii=False).encode("utf-8")


def test_a_byte_that_is_no_utf8_costs_itself_alone(untrained, tmp_path):
    (tmp_path / "in.txt").write_bytes("año\n".encode() * 5 + b"a\xf1o\n" + "año\n".encode() * 5)
    said = of(untrained("classify", ("no", "sí")), file=tmp_path / "in.txt")
    assert [o["text"] for o in said] == ["año"] * 5 + ["a\ufffdo"] + ["año"] * 5
    assert ["warning" in o for o in said] == [False] * 5 + [True] + [False] * 5


def test_a_word_longer_than_the_window_costs_itself_alone(untrained):
    word = "http://x.es/" + "a1b2c3" * 200
    said = of(untrained("tag", POS), ["Ana vive aquí", f"mira {word} ya", "Luis vive allí"])
    assert [len(o["spans"]) for o in said] == [3, 3, 3]
    assert said[1]["spans"][1]["text"] == word
    assert [o.get("warning", "")[:16] for o in said] == ["", "the word 'http:/", ""]


def test_what_is_cut_of_a_long_text_is_said(untrained):
    (said,) = of(untrained("classify", ("no", "sí")), ["El niño comió. " * 1000])
    assert re.match(r"only the first \d+ of 15,000 characters were read", said["warning"])


def test_labels_of_a_low_probability_are_undecided(untrained):
    config = Config(model=str(untrained("classify", ("no", "sí"))), min_probability=1.0)
    (said,) = run(config, lines=["hola"])
    assert (said["label"], said["best"] in ("no", "sí")) == (None, True)
    facts = {"thresholds": [{"precision": 0.9, "min_probability": 1.0}]}
    (Path(config.model) / "destila.json").write_text(json.dumps(facts))
    assert [said] == list(run(Config(model=config.model, min_precision=0.85), lines=["hola"]))
    with pytest.raises(ConfigError, match=r"precision of 0\.95 .*it reached 0\.9"):
        list(run(Config(model=config.model, min_precision=0.95), lines=["hola"]))
    tags = Config(model=str(untrained("tag", POS)), min_probability=1.0)
    (said,) = run(tags, lines=["hola"])
    assert [(s["label"], s["best"] in POS) for s in said["spans"]] == [(None, True)]


@pytest.mark.parametrize("words", [3, "una casa", ["una", 3], [""], [" "]])
def test_words_must_be_a_list_of_words(untrained, tmp_path, words):
    (tmp_path / "in.jsonl").write_text(json.dumps({"words": words}))
    (said,) = of(untrained("tag", POS), file=tmp_path / "in.jsonl")
    assert "in.jsonl, line 1: `words` must be a list of words" in said["error"]


def test_a_sentence_of_no_words_has_no_spans(untrained, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"words": []}')
    assert of(untrained("tag", POS), file=tmp_path / "in.jsonl") == [
        {"id": "0", "text": "", "spans": [], "warning": "the text is blank"}
    ]


def test_a_folder_without_a_head_is_refused_with_the_remedy(untrained):
    model = untrained("classify", ("no", "sí"))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["BertModel"]}))
    with pytest.raises(ModelError, match="no task head with label names"):
        of(model, ["hola"])


def test_a_run_that_was_killed_goes_on_where_it_was(untrained, tmp_path, monkeypatch):
    monkeypatch.setattr(label_texts, "TEXTS_AT_ONCE", 4)
    model, file, out = (
        untrained("classify", ("no", "sí")),
        tmp_path / "in.jsonl",
        tmp_path / "out.jsonl",
    )
    file.write_text("".join(json.dumps({"text": f"texto {i}"}) + "\n" for i in range(30)))
    config = Config(model=str(model), file=str(file), out=str(out))
    seen = []

    def stop(what, done, total):
        seen.append((done, total))
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, progress=stop)
    assert not out.exists()
    asked = []
    monkeypatch.setattr(
        ClassifyTask, "read_row", lambda self, row, n: asked.append(n) or READ_ROW(self, row, n)
    )
    assert run(config)["texts"] == 30
    assert asked == list(range(12, 30))
    assert seen == [(4, 30), (8, 30), (12, 30)]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["id"] for r in rows] == [str(i) for i in range(30)]
    assert [r["label"] for r in rows] == [o["label"] for o in of(model, file=file)]


def test_another_input_starts_anew(untrained, tmp_path):
    model, file, out = (
        untrained("classify", ("no", "sí")),
        tmp_path / "in.txt",
        tmp_path / "out.jsonl",
    )
    config = Config(model=str(model), file=str(file), out=str(out))

    def stop(what, done, total):
        raise KeyboardInterrupt

    file.write_text("uno\ndos\n")
    with pytest.raises(KeyboardInterrupt):
        run(config, progress=stop)
    file.write_text("tres\ncuatro\ncinco\n")
    assert run(config)["texts"] == 3
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == [
        "tres",
        "cuatro",
        "cinco",
    ]


def test_the_input_is_not_overwritten(untrained, tmp_path):
    (tmp_path / "in.txt").write_text("uno\n")
    with pytest.raises(ConfigError, match="is the file of texts itself"):
        run(
            Config(
                model=str(untrained("tag", POS)),
                file=str(tmp_path / "in.txt"),
                out=str(tmp_path / "in.txt"),
            )
        )
