"""Column files, entity tags, tables without quoting."""

from __future__ import annotations

import pytest

from destila.errors import DataError
from destila.formats.columns import blocks, is_iob1, join_words, read_tagged, to_iob2, tsv_rows


def test_blocks_end_at_lines_that_are_empty_or_hold_blanks_only():
    assert list(blocks(["a", " ", "", "b", "c"])) == [[(1, "a")], [(4, "b"), (5, "c")]]


def test_words_are_joined_by_one_space():
    """Words that share a surface have equal spans."""
    assert join_words([("del", 2), ("año", 1)]) == ("del año", ((0, 3), (0, 3), (4, 7)))


def test_a_docstart_line_is_no_sentence():
    sentences = list(read_tagged(["-DOCSTART- -X- O", "", "Ana NP B-PER"], "f", separator=" "))
    assert [(s.words, s.tags, s.line) for s in sentences] == [(("Ana",), ("B-PER",), 3)]


def test_a_docstart_line_may_be_parted_otherwise_than_the_rest():
    (sentence,) = read_tagged(["-DOCSTART- -X- O", "", "Ana\tB-PER"], "f", separator="\t")
    assert sentence.words == ("Ana",)


def test_columns_may_be_counted_from_either_end():
    (sentence,) = read_tagged(["1\tAna\tB-PER\t_"], "f", word=1, tag=-2, separator="\t")
    assert (sentence.words, sentence.tags) == (("Ana",), ("B-PER",))


def test_a_short_line_is_an_error_with_its_number():
    with pytest.raises(DataError, match=r"esp, line 2: 1 column\(s\) in 'Ana'"):
        list(read_tagged(["La O", "Ana"], "esp", separator=" "))


def test_an_empty_cell_is_an_error_with_its_number():
    with pytest.raises(DataError, match="line 1: an empty word or tag"):
        list(read_tagged(["\tO"], "esp", separator="\t"))


@pytest.mark.parametrize(
    ("tags", "fixed", "changed"),
    [
        ("O I-PER I-PER", "O B-PER I-PER", 1),
        ("B-LOC I-PER O", "B-LOC B-PER O", 1),
        ("I-PER B-PER I-PER", "B-PER B-PER I-PER", 1),
        ("B-PER I-PER O", "B-PER I-PER O", 0),
    ],
)
def test_entities_begin_with_b_after_conversion(tags, fixed, changed):
    assert to_iob2(tags.split()) == (tuple(fixed.split()), changed)


@pytest.mark.parametrize(
    ("tags", "answer"),
    [("O I-PER B-PER O", True), ("O B-PER I-PER", False), ("O O", False), ("I-PER O B-LOC", False)],
)
def test_iob1_is_recognised_by_b_between_touching_entities_only(tags, answer):
    assert is_iob1([tags.split()]) is answer


def test_a_quote_in_a_tab_separated_table_is_a_character():
    rows = list(tsv_rows(["premise\tlabel", 'dijo "sí\t1', '"no"\t0'], "f", ["premise"], ["label"]))
    assert rows == [
        (2, {"premise": 'dijo "sí', "label": "1"}),
        (3, {"premise": '"no"', "label": "0"}),
    ]


def test_a_row_of_another_width_is_an_error_with_its_number():
    with pytest.raises(DataError, match="line 3: 1 columns, the header has 2"):
        list(tsv_rows(["a\tb", "1\t2", "3"], "f", ["a"]))


def test_a_missing_column_names_the_nearest_one():
    with pytest.raises(DataError, match=r"no column 'label'\. Did you mean 'labels'"):
        list(tsv_rows(["text\tlabels", "x\ty"], "f", ["label"]))
