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
