"""News topics: cut marks, empty rows, repeated and conflicting contents."""

from __future__ import annotations

import pytest

from destila.datasets import news_topics
from destila.errors import DataError

HEADER = "TÍTULO,FECHA,AUTOR,CONTENIDO,CATEGORÍA\n"


def _row(content, topic, title="Un título"):
    return f'{title},2024-06-26T23:17:12Z,"Ana, Luis","{content}",{topic}\n'


def _load(tmp_path, *rows, **options):
    filler = [_row(f"Relleno número {n} de la prueba.", "Cultura") for n in range(40)]
    (tmp_path / "dataset_noticias.csv").write_text(
        HEADER + "".join([*rows, *filler]), encoding="utf-8"
    )
    return news_topics.load(news_topics.Options(root=str(tmp_path), **options))


def _texts(data):
    return [e.text for examples in data.splits.values() for e in examples]


def test_the_cut_mark_is_taken_off_and_counted(tmp_path):
    data = _load(
        tmp_path,
        _row("La NASA ha\r\nseleccionado una nave de desorbi… [+2407 chars]", "Internacional"),
    )
    assert "La NASA ha seleccionado una nave de desorbi" in _texts(data)
    assert data.notes["contents whose cut mark was taken off"] == 1


def test_an_ellipsis_of_the_text_itself_stays(tmp_path):
    assert "Continuará…" in _texts(_load(tmp_path, _row("Continuará…", "Cultura")))


def test_rows_without_class_or_content_are_dropped_and_counted(tmp_path):
    data = _load(
        tmp_path, _row("Algo pasa.", ""), _row("", "España"), _row("… [+10 chars]", "España")
    )
    assert (
        data.notes["rows without a class, dropped"],
        data.notes["rows without content, dropped"],
    ) == (1, 2)
    assert len(_texts(data)) == 40


def test_equal_contents_are_kept_once_after_clean_up(tmp_path):
    data = _load(
        tmp_path,
        _row("Gol  de oro… [+5 chars]", "Deportes"),
        _row("Gol de oro… [+99 chars]", "Deportes"),
    )
    assert _texts(data).count("Gol de oro") == 1
    assert data.notes["repeated rows, dropped"] == 1


def test_contents_of_two_classes_are_dropped(tmp_path):
    """All their copies go."""
    data = _load(
        tmp_path,
        _row("Sube el paro.", "Economía"),
        _row("Sube el paro.", "España"),
        _row("Sube el paro.", "España"),
    )
    assert "Sube el paro." not in _texts(data)
    assert data.notes["rows whose content has several classes, dropped"] == 3


def test_the_split_is_the_same_with_and_without_the_title(tmp_path):
    plain, titled = _load(tmp_path), _load(tmp_path, title=True)
    assert [e.id for e in plain.splits["train"]] == [e.id for e in titled.splits["train"]]
    assert titled.splits["train"][0].text.startswith("Un título Relleno")
    assert len(plain.splits["train"]) > len(plain.splits["test"]) > 0


def test_an_unknown_class_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"label 'Deporte' .* Did you mean 'Deportes'"):
        _load(tmp_path, _row("Gol.", "Deporte"))
