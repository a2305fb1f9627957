"""CoNLL-U: multiword tokens both ways, empty nodes, comments, faults."""

from __future__ import annotations

import pytest

from destila.errors import DataError
from destila.formats.conllu import UPOS, read_conllu

ROWS = [
    "# newdoc id = prensa-1",
    "# sent_id = prensa-1-s1",
    "# text = Salió del bar para verlo.",
    "1\tSalió\tsalir\tVERB\tvmis3s0\t_\t0\troot\t_\t_",
    "2-3\tdel\t_\t_\t_\t_\t_\t_\t_\t_",
    "2\tde\tde\tADP\tspcms\t_\t4\tcase\t_\t_",
    "3\tel\tel\tDET\t_\t_\t4\tdet\t_\t_",
    "4\tbar\tbar\tNOUN\tncms000\t_\t1\tobl\t_\t_",
    "4.1\t_\t_\tPRON\tp\t_\t_\t_\t_\t_",
    "5\tpara\tpara\tADP\tsps00\t_\t6\tmark\t_\t_",
    "6-7\tverlo\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No",
    "6\tver\tver\tVERB\tvmn0000\t_\t1\tadvcl\t_\t_",
    "7\tlo\tél\tPRON\t_\t_\t6\tobj\t_\t_",
    "8\t.\t.\tPUNCT\tfp\t_\t1\tpunct\t_\t_",
    "",
]


def test_words_of_a_multiword_token_share_its_surface():
    (sentence,) = read_conllu(ROWS, "f")
    assert sentence.text == "Salió del bar para verlo ."
    assert [sentence.text[a:b] for a, b in sentence.words] == [
        "Salió",
        "del",
        "del",
        "bar",
        "para",
        "verlo",
        "verlo",
        ".",
    ]
    assert sentence.tags == ("VERB", "ADP", "DET", "NOUN", "ADP", "VERB", "PRON", "PUNCT")


def test_underscore_keeps_the_range_line_as_a_word():
    """It stands before its parts."""
    (sentence,) = read_conllu(ROWS, "f", mwt="underscore")
    assert sentence.text == "Salió del de el bar para verlo ver lo ."
    assert sentence.tags == ("VERB", "_", "ADP", "DET", "NOUN", "ADP", "_", "VERB", "PRON", "PUNCT")
    assert len(sentence.words) == len(set(sentence.words)) == 10


def test_empty_nodes_are_skipped_and_counted():
    (sentence,) = read_conllu(ROWS, "f")
    assert (sentence.empty_nodes, sentence.multiword) == (1, 2)


def test_another_column_can_be_the_tag():
    (sentence,) = read_conllu(ROWS, "f", column="xpos")
    assert sentence.tags[-1] == "fp"


def test_the_sentence_is_named_by_its_comment_or_its_number():
    assert next(read_conllu(ROWS, "f")).id == "prensa-1-s1"
    assert next(read_conllu(ROWS[3:], "f")).id == "1"


def test_a_line_without_ten_columns_is_an_error_with_its_number():
    with pytest.raises(DataError, match="f, line 2: 2 columns"):
        list(read_conllu(["# x", "1\tSalió"], "f"))


def test_an_unfinished_multiword_token_is_an_error():
    """The sentence ends inside it."""
    with pytest.raises(DataError, match="line 6: the sentence ends inside"):
        list(read_conllu(ROWS[:6], "f"))


def test_the_tag_set_has_the_published_order():
    assert len(UPOS) == 18
    assert (UPOS.index("NOUN"), UPOS.index("_"), UPOS.index("AUX")) == (0, 13, 17)


def _row(token, form="casa", tag="NOUN"):
    return f"{token}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_"


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([_row("2")], "line 1: word '2' where word 1 must stand"),
        ([_row("1"), _row("1")], "line 2: word '1' where word 2 must stand"),
        ([_row("1"), _row("3")], "line 2: word '3' where word 2"),
        ([_row("uno")], "word 'uno' where word 1"),
        ([_row("²")], "word '²' where word 1"),
        ([_row("01")], "word '01' where word 1"),
        ([_row("1", form="")], "line 1: the form of '1' is empty"),
        ([_row("1", form=" ")], "the form of '1' is empty"),
        ([_row("1", tag="")], r"the tag of 'casa' \(column 4\) is empty"),
        ([_row("1"), _row("3.1")], "'3.1' is no empty node after word 1"),
        ([_row("1.x")], "'1.x' is no empty node after word 0"),
        ([_row("2-3"), _row("1")], "'2-3' is not the range of the next words"),
        ([_row("1-1"), _row("1")], "'1-1' is not the range"),
        ([_row("1-²"), _row("1")], "'1-²' is not the range"),
        ([_row("1-3"), _row("1"), _row("2-3"), _row("2")], "'2-3' begins inside another"),
        ([_row("1-2"), _row("1")], "the sentence ends inside a multiword token"),
    ],
)
def test_what_is_not_numbered_is_an_error_with_its_line(rows, what):
    for mwt in ("words", "underscore"):
        with pytest.raises(DataError, match=what):
            list(read_conllu(rows, "f", mwt=mwt))
