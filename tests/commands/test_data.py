"""`destila data`: the report on a data set before training."""

from __future__ import annotations

import json
import unicodedata

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors

from destila.commands.data import Config, run, show
from destila.study.intake.data_report import inspect
from destila.tokenizer.tokenizer import load_tokenizer
from destila.types import Dataset, Example

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "el", "gato", "duerme", "mucho"]


@pytest.fixture
def folder(tmp_path):
    """A word-level tokenizer of four words."""
    backend = Backend(models.WordLevel({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens(VOCABULARY[:5])
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    backend.save(str(tmp_path / "tokenizer.json"))
    config = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | config)
    )
    return tmp_path


def _texts(split, *pairs):
    return [Example(f"{split}-{n}", text, target=label) for n, (text, label) in enumerate(pairs)]


SPLITS = {
    "train": _texts(
        "train", ("el gato", "a"), ("el gato", "b"), ("el perro duerme mucho", "a"), ("mucho", "a")
    ),
    "dev": _texts("dev", ("gato", "b"), ("mucho", "c")),
}
DATA = Dataset("prueba", "classify", ("a", "b", "c", "d"), SPLITS, {"dropped": 3})


def test_labels_are_counted_per_split():
    splits = inspect(DATA, {}, 8)["splits"]
    assert splits["train"]["labels"] == {"a": 3, "b": 1, "c": 0, "d": 0}
    assert splits["dev"]["examples"] == 2


def test_labels_of_one_split_only_and_of_none_are_named():
    report = inspect(DATA, {}, 8)
    assert report["labels_in_one_split"] == {"a": "train", "c": "dev"}
    assert report["labels_without_examples"] == ["d"]


def test_repeats_within_and_between_splits_are_counted():
    report = inspect(DATA, {}, 8)
    assert report["splits"]["train"]["repeated"] == 1
    assert report["splits"]["train"]["repeated_with_another_label"] == 1
    assert report["overlap"] == {"train-dev": 1}


def test_lengths_in_words_are_a_spread():
    words = inspect(DATA, {}, 8)["splits"]["train"]["words"]
    assert words == pytest.approx({"mean": 2.25, "p50": 2.0, "p95": 3.7, "max": 4})


def test_lengths_in_tokens_hold_the_specials(folder):
    """They say what share of the texts is cut, and what share of the tokens unknown."""
    found = inspect(DATA, {"mini": load_tokenizer(folder)}, 5)["tokenizers"]["mini"]["train"]
    assert found["tokens"]["max"] == 6
    assert found["truncated"] == 0.25
    assert found["unknown"] == pytest.approx(1 / 9)


def test_both_texts_of_a_pair_count(folder):
    data = Dataset(
        "p", "classify", ("a",), {"train": [Example("1", "el gato", pair="duerme", target="a")]}
    )
    report = inspect(data, {"mini": load_tokenizer(folder)}, 5)
    assert report["splits"]["train"]["words"]["max"] == 3
    assert report["tokenizers"]["mini"]["train"]["tokens"]["max"] == 6


def test_long_tagged_sentences_are_windowed_not_truncated(folder):
    spans = ((0, 2), (3, 7), (8, 14))
    data = Dataset(
        "p",
        "tag",
        ("O",),
        {"train": [Example("1", "el gato duerme", words=spans, target=("O",) * 3)]},
    )
    found = inspect(data, {"mini": load_tokenizer(folder)}, 4)["tokenizers"]["mini"]["train"]
    assert (found["windowed"], found["tokens"]["max"]) == (1.0, 5)
    assert "truncated" not in found


@pytest.mark.parametrize(
    "begin",
    [
        "1 dev examples also occur in train: ",
        "1 texts of train occur with more than one label: ",
        "label 'c' occurs in dev only: ",
        "mini cuts 25% of train at 5 tokens: raise max_length",
        "mini does not know 11.1% of the tokens of train, such as ",
    ],
)
def test_what_needs_a_look_is_said_in_words(folder, begin):
    warnings = inspect(DATA, {"mini": load_tokenizer(folder)}, 5)["warnings"]
    assert any(warning.startswith(begin) for warning in warnings)


def test_no_length_is_advised_that_the_model_cannot_read(folder):
    tokenizers = {"mini": load_tokenizer(folder)}
    (cut,) = (w for w in inspect(DATA, tokenizers, 5, {"mini": 5})["warnings"] if "cuts" in w)
    assert "it can read no more than 5" in cut
    assert "raise" not in cut
    assert (
        "mini reads at most 4 tokens: lower max_length to it"
        in inspect(DATA, tokenizers, 5, {"mini": 4})["checks"]["models"]
    )


def _of(texts):
    return inspect(Dataset("p", "classify", ("a",), {"train": _texts("t", *texts)}), {}, 8)


def test_other_languages_and_split_accents_are_noted():
    spanish = [("Los niños comen el pan con su madre", "a")] * 7
    report = _of(
        [
            *spanish,
            ("The cat is on the table and it was not happy", "a"),
            (unicodedata.normalize("NFD", "El niño está en la canción"), "a"),
            ("El niÃ±o come pan", "a"),
        ]
    )
    assert report["texts"]["train"] == {"English": 0.1, "decomposed": 0.1, "broken": 0.1}
    checks = " ".join(report["checks"]["texts"])
    for what in ("10% of the texts seem to be in English", "NFC", "give `encoding`"):
        assert what in checks
    assert _of(spanish)["texts"]["train"] == {}


def test_a_small_test_split_and_rare_labels_are_noted():
    splits = {
        "train": _texts("train", *[("el gato", "a")] * 9, ("mucho", "b")),
        "test": _texts("test", ("duerme", "a"), ("perro", "b")),
    }
    warnings = " ".join(inspect(Dataset("p", "classify", ("a", "b"), splits), {}, 8)["warnings"])
    assert "test has 2 examples, so that one answer is 50.0 points" in warnings
    assert "1 labels have under 5 examples in train ('b')" in warnings


def test_what_no_piece_stands_for_is_named(folder):
    """Once for all splits, with other advice for emoji than for letters."""
    tokenizers = {"mini": load_tokenizer(folder)}

    def said(text):
        splits = {name: _texts(name, (text, "a")) for name in ("train", "test")}
        report = inspect(Dataset("p", "classify", ("a",), splits), tokenizers, 16, folds=5)
        (warning,) = report["checks"]["models"]
        assert not any("test has" in each for each in report["checks"]["splits"])
        return warning

    assert "🏆 (2): emoji and signs" in said("el gato 🏆 duerme 🏆")
    assert "try another teacher" in said("el ж ж ж")


def test_a_recipe_is_checked_with_the_tokenizers_of_its_models(folder, tmp_path):
    table = "texto,clase\n" + "".join(f"el gato {n},{'ab'[n % 2]}\n" for n in range(60))
    (tmp_path / "datos.csv").write_text(table)
    (tmp_path / "r.toml").write_text(
        f"""name = "r"
data = {{use = "table", train = "{tmp_path / "datos.csv"}"}}
[[teachers]]
model = "{folder}"
name = "maestro"
[[students]]
name = "uno"
model = "{folder}"
[[students]]
name = "dos"
shape = {{kind = "bert", layers = 2, hidden = 32}}
tokenizer = {{kind = "bpe"}}
""",
        encoding="utf-8",
    )
    report = run(Config(recipe=str(tmp_path / "r.toml"), set=("max_length=16",)))
    assert list(report["tokenizers"]) == ["maestro, uno"]
    assert report["tokenizers_not_checked"] == {"dos": "its tokenizer is trained by the run"}
    assert json.loads(json.dumps(report)) == report

    # The card has a section for each kind of check, and no objects.
    card = show(report)
    titles = [section.get("title") for section in card["sections"]]
    assert titles == ["Splits, classify", "Labels", "Texts", "Models", "Notes", None]
    lines = [line for section in card["sections"] for line in section["lines"]]
    assert "· dos is not looked at: its tokenizer is trained by the run" in lines
    assert not any("{" in line for line in lines)
    assert all(line[0] in "✔⚠·" for line in lines[:-1])
    assert lines[-1].startswith(f"{tmp_path / 'r.toml'}: ")
