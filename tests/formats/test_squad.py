"""SQuAD's JSON as it is published, and as people break it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from destila.errors import DataError
from destila.formats.squad import is_squad, read_squad

CONTEXT = "Ana nació en Lima. Luis nació en Lima, en 1998."


def question(number, *answers, **more):
    texts = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": f"q{number}", "question": f"¿Pregunta {number}?", "answers": texts, **more}


def paragraph(*questions, context=CONTEXT):
    return {"context": context, "qas": list(questions)}


@pytest.fixture
def write(tmp_path):
    def written(*paragraphs, **more):
        path = tmp_path / "q.json"
        path.write_text(
            json.dumps({"data": [{"title": "T", "paragraphs": list(paragraphs)}], **more}),
            encoding="utf-8",
        )
        return path

    return written


def answers(path):
    notes = Counter()
    return [[e.pair[a:b] for a, b in e.answers] for e in read_squad(path, "train", notes)], {
        k: n for k, n in notes.items() if n
    }


def test_a_question_has_its_context_and_distinct_answers(write):
    path = write(paragraph(question(1, ("Lima", 13), ("en Lima", 10), ("Lima", 13))), version="1.1")
    (example,) = read_squad(path, "train", Counter())
    assert (example.id, example.text, example.pair) == ("q1", "¿Pregunta 1?", CONTEXT)
    assert example.answers == ((13, 17), (10, 17))
    assert example.meta == {"title": "T", "paragraph": 0}


def test_a_wrong_offset_is_repaired_to_the_nearest_occurrence(write):
    path = write(paragraph(question(1, ("Lima", 15), ("Lima", 31), ("Lima", -1))))
    (example,) = read_squad(path, "train", notes := Counter())
    assert example.answers == ((13, 17), (33, 37))
    assert notes["train answers with a wrong offset, found again"] == 3


def test_an_answer_that_is_not_there_is_dropped(write):
    """With it goes a question without another answer."""
    path = write(paragraph(question(1, ("Quito", 13), ("Lima", 13)), question(2, ("Quito", 13))))
    places, notes = answers(path)
    assert places == [["Lima"]]
    assert notes == {
        "train answers that are not in their context, dropped": 2,
        "train questions without an answer that is in the context, dropped": 1,
    }


def test_answers_that_the_alignment_lost_are_dropped(write):
    places, notes = answers(write(paragraph(question(1, ("", -1), ("Lima", 13), ("", -1)))))
    assert (places, notes) == ([["Lima"]], {"train empty answers, dropped": 2})


def test_questions_without_an_answer_are_kept_as_such(write):
    impossible = question(
        2, is_impossible=True, plausible_answers=[{"text": "Lima", "answer_start": 13}]
    )
    places, notes = answers(write(paragraph(question(1), impossible, question(3, ("", -1)))))
    assert places == [[], [], []]
    assert notes == {"train questions whose answers are empty, read as without answer": 1}


def test_a_question_without_the_key_is_unlabelled(write):
    bare = {"id": "x", "question": "¿Dónde?"}
    assert read_squad(write(paragraph(bare)), "train", Counter())[0].answers is None


def test_blanks_around_an_answer_are_not_part_of_it(write):
    assert answers(write(paragraph(question(1, (" Lima", 12), ("Lima. ", 13)))))[0] == [
        ["Lima", "Lima."]
    ]


def test_repeated_ids_are_numbered_and_missing_ones_made(write):
    nameless = {"question": "¿Y?", "answers": []}
    path = write(
        paragraph(
            question(1), question(1), question("1-2"), question(1), nameless, {**nameless, "id": 7}
        )
    )
    examples = read_squad(path, "train", notes := Counter())
    ids = [e.id for e in examples]
    assert len(set(ids)) == 6
    assert ids[0] == "q1"
    assert ids[4:] == ["train-5", "7"]
    assert notes["train ids that occur again, numbered"] == 3


def test_a_context_is_not_edited(write):
    context = "\ufeff  Ana\r\n\tnacio\u0301 en\u00a0Lima 👩🏽‍🚀 "
    start = context.index("Lima")
    (example,) = read_squad(
        write(paragraph(question(1, ("Lima", start)), context=context)), "train", Counter()
    )
    assert (example.pair, example.answers) == (context, ((start, start + 4),))


def test_a_question_without_text_is_dropped(write):
    path = write(paragraph({"id": "a", "question": " ", "answers": []}, question(1, ("Lima", 13))))
    (example,) = read_squad(path, "train", notes := Counter())
    assert example.id == "q1"
    assert notes["train questions without text, dropped"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [\n{"title" "a"}]}', r"is not valid JSON \(.* at line 2\)"),
        ("[1]", "an object with 'data'"),
        ("{}", "the file has no 'data': it must be a list"),
        ('{"data": [3]}', r"data\[0\] is a int"),
        (
            '{"data": [{"paragraphs": {}}]}',
            r"data\[0\] has a dict as 'paragraphs': it must be a list",
        ),
        (
            '{"data": [{"paragraphs": [{"context": " ", "qas": []}]}]}',
            r"context of data\[0\].paragraphs\[0\] is empty",
        ),
        (
            '{"data": [{"paragraphs": [{"context": "a", "qas": [{}]}]}]}',
            r"qas\[0\] has no 'question'",
        ),
        ('{"data": []}', "no question in it"),
    ],
)
def test_a_file_of_another_shape_is_one_error_with_its_place(tmp_path, content, message):
    path = tmp_path / "q.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_squad(path, "train", Counter())


def test_an_answer_needs_a_whole_number_as_its_place(write):
    for wrong in (None, "3", 2.5, True):
        with pytest.raises(DataError, match=r"qas\[0\].answers\[0\] has no 'answer_start'"):
            read_squad(write(paragraph(question(1, ("Lima", wrong)))), "train", Counter())


def test_squad_files_are_recognised(write, tmp_path):
    assert is_squad(write(paragraph(question(1))))
    for content in ('{"data": [{"text": "a"}]}', '[{"text": "a"}]', '{"text": "a"}\n{"text": "b"}'):
        (tmp_path / "other.json").write_text(content, encoding="utf-8")
        assert not is_squad(tmp_path / "other.json")
