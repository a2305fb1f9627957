"""MLDoc es: topic and text, the bytes literals of the generator, headers, tabs, sizes."""

from __future__ import annotations

import pytest

from destila.datasets import mldoc
from destila.errors import DataError

OTHER = "GCAT\tEl  Gobierno\u00a0habló.\nMCAT\tSubió la bolsa.\n"


def _load(tmp_path, train, name="spanish.train.10000", **options):
    (tmp_path / name).write_text(train, encoding="utf-8")
    (tmp_path / "spanish.dev").write_text(OTHER, encoding="utf-8")
    (tmp_path / "spanish.test").write_text(OTHER, encoding="utf-8")
    return mldoc.load(mldoc.Options(root=str(tmp_path), **options))


def test_a_line_is_a_topic_a_tab_and_the_text_without_quoting(tmp_path):
    data = _load(tmp_path, 'ECAT\t"El IPC subió.\nCCAT\tLa empresa" cerró.\n')
    assert [(e.target, e.text) for e in data.splits["train"]] == [
        ("ECAT", '"El IPC subió.'),
        ("CCAT", 'La empresa" cerró.'),
    ]
    assert data.labels == ("CCAT", "ECAT", "GCAT", "MCAT")


def test_blanks_are_collapsed_to_one(tmp_path):
    assert _load(tmp_path, "ECAT\tx\n").splits["dev"][0].text == "El Gobierno habló."


def test_the_generators_bytes_literals_are_decoded_and_counted(tmp_path):
    lines = [
        f"GCAT\t{text.encode()}"
        for text in ("Año nuevo,\nvida nueva", "L'Hospitalet", "dijo \"sí\" y 'no'")
    ]
    data = _load(tmp_path, "\n".join(lines))
    assert [e.text for e in data.splits["train"]] == [
        "Año nuevo, vida nueva",
        "L'Hospitalet",
        "dijo \"sí\" y 'no'",
    ]
    assert data.notes == {"texts decoded from a Python bytes literal": 3}


def test_a_text_that_begins_like_a_bytes_literal_stays(tmp_path):
    """It only begins like one."""
    assert _load(tmp_path, "GCAT\tb' es una letra\n").splits["train"][0].text == "b' es una letra"


def test_a_damaged_bytes_literal_is_an_error_with_its_line(tmp_path):
    with pytest.raises(DataError, match="line 2: a damaged bytes literal"):
        _load(tmp_path, "GCAT\thola\nGCAT\tb'a\\xff'\n")


@pytest.mark.parametrize("header", ["label\ttext\nECAT\tHola.", "text\tlabel\nHola.\tECAT"])
def test_a_header_says_which_column_is_which(tmp_path, header):
    (example,) = _load(tmp_path, header).splits["train"]
    assert (example.target, example.text) == ("ECAT", "Hola.")


def test_a_tab_inside_the_text_is_a_blank(tmp_path):
    assert _load(tmp_path, "ECAT\tuno\tdos\n").splits["train"][0].text == "uno dos"


def test_the_training_size_names_the_file(tmp_path):
    assert (
        len(_load(tmp_path, "ECAT\tx\n", name="spanish.train.1000.tsv", size=1000).splits["train"])
        == 1
    )


def test_rows_without_text_are_dropped_and_counted(tmp_path):
    assert _load(tmp_path, "ECAT\tx\nECAT\t \n").notes == {"rows without text, dropped": 1}


@pytest.mark.parametrize(
    ("line", "what"), [("XCAT\thola", "topic 'XCAT' is none of"), ("hola", "one column")]
)
def test_a_faulty_row_is_an_error_with_its_line(tmp_path, line, what):
    with pytest.raises(DataError, match=f"line 2: {what}"):
        _load(tmp_path, "ECAT\tx\n" + line + "\n")


def test_the_memoria_reads_the_first_two_sentences_as_a_pair(tmp_path):
    train = (
        "ECAT\tEl IPC subió en marzo. El Sr. Gil lo dijo ayer. Nadie más.\nMCAT\tSubió la bolsa.\n"
    )
    data = _load(tmp_path, train, text="two sentences")
    assert [(e.text, e.pair) for e in data.splits["train"]] == [
        ("El IPC subió en marzo.", "El Sr. Gil lo dijo ayer."),
        ("Subió la bolsa.", None),
    ]
