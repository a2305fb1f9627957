"""A user's own table: columns by name and content, splits by hash, one clear error per fault."""

from __future__ import annotations

import json

import openpyxl
import pytest

from destila.datasets import table
from destila.errors import DataError

LABELS = ("queja", "pregunta")


def _csv(tmp_path, text, name="datos.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def _rows(count=60, start=0, header="texto,etiqueta"):
    return f"{header}\n" + "".join(
        f"El mensaje número {n},{LABELS[n % 2]}\n" for n in range(start, start + count)
    )


def _load(path, **options):
    return table.load(table.Options(train=path, **options))


def test_columns_are_found_by_their_names(tmp_path):
    data = _load(_csv(tmp_path, _rows()))
    assert data.labels == ("pregunta", "queja")
    assert data.splits["train"][0].text.startswith("El mensaje")
    assert data.splits["train"][0].target in LABELS


def test_columns_with_unknown_names_are_found_by_their_content(tmp_path):
    example = _load(_csv(tmp_path, _rows(header="aaa,bbb"))).splits["train"][0]
    assert example.text.startswith("El mensaje")


def test_columns_can_be_named(tmp_path):
    text = "label,texto,clave,nombre\n" + "".join(
        f"no sirve {n},corto,{LABELS[n % 2]},{n}\n" for n in range(60)
    )
    data = _load(_csv(tmp_path, text), text="label", label="clave", id="nombre", pair="texto")
    example = next(e for s in data.splits.values() for e in s if e.id == "7")
    assert (example.text, example.pair, example.target) == ("no sirve 7", "corto", "pregunta")


def test_two_texts_are_found_by_their_names_and_can_be_declined(tmp_path):
    text = "premise,hypothesis,label\n" + "".join(
        f"Premisa {n},Hipótesis {n},{n % 3}\n" for n in range(60)
    )
    path = _csv(tmp_path, text)
    assert _load(path).splits["train"][0].pair is not None
    assert _load(path, pair="").splits["train"][0].pair is None


def test_dev_and_test_are_cut_out_by_hash(tmp_path):
    """Equal texts stay together."""
    text = _rows(200) + _rows(200).split("\n", 1)[1]
    splits = _load(_csv(tmp_path, text)).splits
    texts = {name: {e.text for e in examples} for name, examples in splits.items()}
    assert sum(map(len, texts.values())) == 200
    assert 130 <= len(texts["train"]) <= 185
    assert _load(_csv(tmp_path, text, "otro.csv")).splits["dev"][0].text == splits["dev"][0].text


def test_a_given_test_file_leaves_only_dev_to_cut_out(tmp_path):
    data = _load(_csv(tmp_path, _rows(100)), test=_csv(tmp_path, _rows(10, 500), "test.csv"))
    assert len(data.splits["test"]) == 10
    assert len(data.splits["train"]) + len(data.splits["dev"]) == 100


def test_json_lines_with_number_labels_are_read(tmp_path):
    text = "".join(
        json.dumps({"text": f"Frase {n}", "label": n % 2, "id": n}) + "\n" for n in range(60)
    )
    assert _load(_csv(tmp_path, text, "datos.jsonl")).labels == ("0", "1")


def test_rows_without_text_or_label_are_dropped_and_counted(tmp_path):
    data = _load(_csv(tmp_path, _rows() + " ,queja\nHola,\n"))
    assert data.notes["train rows without text, dropped"] == 1
    assert data.notes["train rows without label, dropped"] == 1


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("texto,etiqueta\nhola\n", "line 2: 1 columns, the header has 2"),
        ("texto,etiqueta\n", "a header but no rows"),
        ("texto\nhola\n", "needs a text and a label column, it has texto"),
        (
            "texto,etiqueta\n" + "".join(f"Hola {n},{n}\n" for n in range(9)),
            "does not look like labels .9 different",
        ),
        ("texto,etiqueta\n" + f"Hola,{'larga ' * 12}x\n" * 9, "does not look like labels"),
        ("texto,etiqueta\n" + "Hola,queja\n" * 9, "every label is 'queja'"),
        (
            "me gusta,queja\n" + "Hola a todos,queja\nQué tal,pregunta\n" * 9,
            "the first line is an example",
        ),
    ],
)
def test_a_faulty_table_is_one_clear_error(tmp_path, rows, what):
    with pytest.raises(DataError, match=what):
        _load(_csv(tmp_path, rows))


def test_a_column_that_does_not_exist_names_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"no column 'etiquetas'\. Did you mean 'etiqueta'"):
        _load(_csv(tmp_path, _rows()), label="etiquetas")


def test_the_label_column_may_not_be_the_text_column(tmp_path):
    with pytest.raises(DataError, match="cannot be both text and label"):
        _load(_csv(tmp_path, _rows()), text="texto", label="texto")


def test_an_unknown_label_in_test_is_named_with_its_line(tmp_path):
    test = _csv(tmp_path, "texto,etiqueta\nHola,elogio\n", "test.csv")
    with pytest.raises(
        DataError, match="label 'elogio' of test example test-2 is not a label of train"
    ):
        _load(_csv(tmp_path, _rows()), test=test)


def test_a_test_row_without_a_label_is_refused(tmp_path):
    test = _csv(tmp_path, "texto,etiqueta\nHola,\n", "test.csv")
    with pytest.raises(DataError, match="line 2: a test row without a label"):
        _load(_csv(tmp_path, _rows()), test=test)


def test_a_test_file_without_the_columns_of_train_is_refused(tmp_path):
    test = _csv(tmp_path, "texto,clase\nHola,queja\n", "test.csv")
    with pytest.raises(DataError, match=r"test\.csv, line 2: no column 'etiqueta'"):
        _load(_csv(tmp_path, _rows()), test=test)


def test_an_object_is_no_label(tmp_path):
    with pytest.raises(DataError, match="line 1: 'label' is a dict"):
        _load(
            _csv(tmp_path, '{"text": "Hola", "label": {"a": 1}}\n', "datos.jsonl"),
            text="text",
            label="label",
        )


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_files_of_other_encodings_are_read(tmp_path, encoding):
    path = tmp_path / "datos.csv"
    path.write_bytes(_rows().replace("mensaje", "niño “x”").encode(encoding))
    assert "niño “x”" in _load(str(path)).splits["train"][0].text
    assert _load(str(path), encoding=encoding).splits == _load(str(path)).splits


def test_a_data_set_says_which_column_is_what(tmp_path):
    text = "premise,hypothesis,gold_label\n" + "".join(f"P {n},H {n},{n % 2}\n" for n in range(60))
    assert _load(_csv(tmp_path, text)).columns == {
        "text": "premise",
        "pair": "hypothesis",
        "label": "gold_label",
    }


def test_an_excel_file_is_a_table(tmp_path):
    book = openpyxl.Workbook()
    for row in _rows().splitlines():
        book.active.append(row.split(","))
    book.save(tmp_path / "datos.xlsx")
    assert _load(str(tmp_path / "datos.xlsx")).labels == ("pregunta", "queja")
