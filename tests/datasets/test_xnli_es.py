"""XNLI es: both published layouts, labels, other languages, premises kept together."""

from __future__ import annotations

import pytest

from destila.datasets import xnli_es
from destila.errors import DataError

HEADER = "language\tgold_label\tsentence1\tsentence2\tpromptID\tpairID\tgenre\tsource_dataset"
TEST = (
    'premise\thypothesis\tlabel\nDijo "hola.\tSaludó.\t0\n'
    "Llovió.\tQuizá nevó.\t1\nEstá vivo.\tHa muerto.\t2\n"
)
WORDS = ("entailment", "neutral", "contradiction")


def _dev(language, prompt, label):
    names = f"{prompt}_d\t{prompt}-{label}-{language}\tletters\txnli.dev"
    return f"{language}\t{label}\tPremisa {prompt}.\tHipótesis {label}.\t{names}"


@pytest.fixture
def folder(tmp_path):
    rows = [
        _dev(language, n, label) for n in range(60) for label in WORDS for language in ("en", "es")
    ]
    for i, part in enumerate(("met", "no_met", "nonrelevant")):
        text = "\n".join([HEADER, *rows[i::3]]) + "\n"
        (tmp_path / f"meta4xnli_xnli_dev_{part}.tsv").write_text(text, encoding="utf-8")
    (tmp_path / "xnli-es-original.test.tsv").write_text(TEST, encoding="utf-8")
    return tmp_path


def test_the_english_half_is_dropped_and_counted(folder):
    data = xnli_es.load(xnli_es.Options(root=str(folder)))
    assert len(data.splits["train"]) + len(data.splits["dev"]) == 180
    assert data.notes["rows in other languages, dropped"] == 180


def test_about_the_share_of_premises_trains(folder):
    """All pairs of a premise stay together."""
    data = xnli_es.load(xnli_es.Options(root=str(folder), train_share=0.5))
    premises = [{e.text for e in data.splits[s]} for s in ("train", "dev")]
    assert not premises[0] & premises[1]
    assert 60 <= len(data.splits["train"]) <= 120
    assert data.notes["dev pairs used for training, as there is no training file"] == len(
        data.splits["train"]
    )


def test_integer_labels_and_quotes_are_read(folder):
    """0, 1, 2 are entailment, neutral, contradiction; quotes are characters."""
    test = xnli_es.load(xnli_es.Options(root=str(folder))).splits["test"]
    assert [e.target for e in test] == list(WORDS)
    assert (test[0].text, test[0].pair) == ('Dijo "hola.', "Saludó.")


def test_both_forms_of_the_published_files_are_read(tmp_path):
    """They are the files of fifteen languages and the translated training file."""
    header = "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\t"
    header += "promptID\tpairID\tgenre\tmatch"
    for name in ("xnli.dev.tsv", "xnli.test.tsv"):
        rows = [
            "ar\tneutral\t\tx\ty\t1\t1\tfiction\tTrue",
            "es\tcontradiction\t\tLlueve.\tNo.\t1\t1\tfiction\tTrue",
        ]
        (tmp_path / name).write_text("\n".join([header, *rows]), encoding="utf-8")
    (tmp_path / "multinli.train.es.tsv").write_text(
        "premise\thypo\tlabel\nUno .\tDos .\tcontradictory\nTres .\t\tneutral\n"
    )
    data = xnli_es.load(xnli_es.Options(root=str(tmp_path)))
    assert [e.target for s in ("train", "dev", "test") for e in data.splits[s]] == [
        "contradiction"
    ] * 3
    assert data.splits["dev"][0].meta == {"promptID": "1", "genre": "fiction"}
    assert data.notes == {
        "rows in other languages, dropped": 2,
        "pairs with an empty sentence, dropped": 1,
    }


def test_an_unknown_label_is_an_error_with_its_line(folder):
    (folder / "xnli-es-original.test.tsv").write_text(TEST + "a\tb\t3\n")
    with pytest.raises(DataError, match="line 5: label '3' is none of"):
        xnli_es.load(xnli_es.Options(root=str(folder)))
