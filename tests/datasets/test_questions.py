"""Question sets in their published formats: own files, SQuAD-es, XQuAD, MLQA, SQAC, COVID-QA."""

from __future__ import annotations

import json

import pytest

from destila import datasets
from destila.errors import DataError

BODY = "El texto {} dice que Ana nació en Lima y que Luis vive en Quito."


def paragraph(name, questions=2, answer="Lima", shift=0):
    context = BODY.format(name)
    start = context.find(answer) + shift if answer else -1
    qas = [
        {
            "id": f"{name}-{n}",
            "question": f"¿Pregunta {n} de {name}?",
            "answers": [{"text": answer, "answer_start": start}],
        }
        for n in range(questions)
    ]
    return {"context": context, "qas": qas}


def write(path, *articles, **more):
    data = [{"title": title, "paragraphs": paragraphs} for title, paragraphs in articles]
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"version": "v1.1", "data": data, **more}, ensure_ascii=False), encoding="utf-8"
    )
    return str(path)


def articles(count, paragraphs=3):
    return [(f"A{a}", [paragraph(f"a{a}p{p}") for p in range(paragraphs)]) for a in range(count)]


def test_missing_parts_of_a_users_file_are_cut_out_by_article(tmp_path):
    data = datasets.load({"use": "squad", "train": write(tmp_path / "q.json", *articles(60))})
    assert (data.task, data.labels) == ("span", ("start", "end"))
    titles = {name: {e.meta["title"] for e in split} for name, split in data.splits.items()}
    assert not titles["train"] & titles["dev"]
    assert not titles["dev"] & titles["test"]
    assert sum(len(split) for split in data.splits.values()) == 60 * 3 * 2


def test_with_few_articles_contexts_stay_whole(tmp_path):
    data = datasets.load(
        {"use": "squad", "train": write(tmp_path / "q.json", *articles(2, paragraphs=60))}
    )
    contexts = {name: {e.pair for e in split} for name, split in data.splits.items()}
    assert not contexts["train"] & (contexts["dev"] | contexts["test"])
    assert len({e.meta["title"] for e in data.splits["dev"]}) == 2


def test_questions_without_labels_are_for_predicting_only(tmp_path):
    """They train nothing and cannot be tested."""
    bare = {"context": "Ana vive.", "qas": [{"id": "x", "question": "¿Quién?"}]}
    train = write(tmp_path / "q.json", *articles(60), ("B", [bare]))
    data = datasets.load({"use": "squad", "train": train})
    assert data.notes == {"train questions without labels, dropped": 1}
    with pytest.raises(
        DataError, match=r"1 questions \(first: 'x'\) have no 'answers' to learn or score by"
    ):
        datasets.load(
            {"use": "squad", "train": train, "test": write(tmp_path / "t.json", ("B", [bare]))}
        )
    with pytest.raises(DataError, match=r"1 questions \(first: 'x'\) have no 'answers'"):
        datasets.load({"use": "squad", "train": write(tmp_path / "t.json", ("B", [bare]))})


@pytest.fixture
def tar(tmp_path):
    """SQuAD-es' dev file of 60 articles; XQuAD asks about two of its paragraphs, in other words."""
    write(tmp_path / "squad_es_tar" / "dev-v1.1-es_small.json", *articles(60))
    shared = [
        {**paragraph("otro"), "qas": [{**paragraph("otro", 1)["qas"][0], "id": name}]}
        for name in ("a3p0-1", "a7p2-0")
    ]
    write(tmp_path / "xquad_es" / "xquad.es.json", ("X", shared))
    return {
        "use": "squad_es",
        "root": str(tmp_path / "squad_es_tar"),
        "xquad": str(tmp_path / "xquad_es"),
    }


def test_paragraphs_shared_with_xquad_are_dropped(tar):
    """All their questions go."""
    data = datasets.load(tar)
    kept = {e.id for e in (*data.splits["train"], *data.splits["dev"])}
    assert len(kept) == 60 * 6 - 4
    assert not kept & {"a3p0-0", "a3p0-1", "a7p2-0", "a7p2-1"}
    assert [e.id for e in data.splits["test"]] == ["a3p0-1", "a7p2-0"]
    assert data.notes["paragraphs shared with XQuAD, dropped"] == 2
    assert data.notes["questions in paragraphs shared with XQuAD, dropped"] == 4
    assert not {e.meta["title"] for e in data.splits["train"]} & {
        e.meta["title"] for e in data.splits["dev"]
    }


def test_squad_es_can_be_tested_on_its_own_articles(tar):
    data = datasets.load({**tar, "test": "articles"})
    assert sum(len(split) for split in data.splits.values()) == 60 * 6
    assert all(data.splits.values())


def test_the_training_file_trains_when_it_is_there(tar, tmp_path):
    write(tmp_path / "squad_es_tar" / "train-v1.1-es.json", ("N", [paragraph("n0")]))
    data = datasets.load(tar)
    assert [e.id for e in data.splits["train"]] == ["n0-0", "n0-1"]
    assert len(data.splits["dev"]) == 60 * 6 - 4


def test_the_published_dev_split_keeps_the_paragraphs_of_xquad(tar, tmp_path):
    write(tmp_path / "squad_es_tar" / "train-v1.1-es.json", ("N", [paragraph("n0")]))
    data = datasets.load({**tar, "shared": "keep"})
    assert len(data.splits["dev"]) == 60 * 6


def test_squad_es_can_be_tested_on_its_own_dev_file(tar, tmp_path):
    with pytest.raises(DataError, match="the dev file cannot train too"):
        datasets.load({**tar, "test": "dev"})
    write(tmp_path / "squad_es_tar" / "train-v1.1-es.json", ("N", [paragraph("n0")]))
    data = datasets.load({**tar, "test": "dev"})
    assert [e.id for e in data.splits["test"]] == [e.id for e in data.splits["dev"]]
    assert len(data.splits["test"]) == 60 * 6


def test_squad_es_is_tested_on_mlqa_as_in_the_memoria(tar, tmp_path):
    tar |= {"test": "mlqa_es", "mlqa": str(tmp_path)}
    write(tmp_path / "dev-context-es-question-es.json", ("M", [paragraph("m")]))
    with pytest.raises(DataError, match="MLQA has no test file"):
        datasets.load(tar)
    write(tmp_path / "test-context-es-question-es.json", ("M", [paragraph("t")]))
    assert [e.id for e in datasets.load(tar).splits["test"]] == ["t-0", "t-1"]


def test_answers_that_squad_es_lost_are_dropped(tar, tmp_path):
    lost = paragraph("l0", 1)
    lost["qas"][0]["answers"].insert(0, {"text": "", "answer_start": -1})
    write(tmp_path / "squad_es_tar" / "train-v1.1-es.json", ("N", [lost]))
    data = datasets.load(tar)
    (example,) = data.splits["train"]
    assert [example.pair[a:b] for a, b in example.answers] == ["Lima"]
    assert data.notes["train empty answers, dropped"] == 1


def test_version_two_reads_its_own_file(tar, tmp_path):
    none = paragraph("v2", 1)
    none["qas"][0] |= {"answers": [], "is_impossible": True}
    write(tmp_path / "squad_es_tar" / "dev-v2.0-es_small.json", *articles(60), ("V", [none]))
    data = datasets.load({**tar, "version": "2.0"})
    assert [e.answers for split in data.splits.values() for e in split if e.id == "v2-0"] == [()]


def test_xquad_is_a_test_set(tmp_path):
    write(tmp_path / "xquad.es.json", ("X", [paragraph("x")]))
    data = datasets.load({"use": "xquad_es", "root": str(tmp_path)})
    assert {name: len(split) for name, split in data.splits.items()} == {"test": 2}


def test_mlqa_has_the_splits_whose_files_are_there(tmp_path):
    write(tmp_path / "dev-context-es-question-es.json", ("M", [paragraph("m")]))
    options = {"use": "mlqa_es", "root": str(tmp_path)}
    assert list(datasets.load(options).splits) == ["dev"]
    write(tmp_path / "test-context-es-question-es.json", ("M", [paragraph("t")]))
    write(tmp_path / "es_squad-translate-train-train-v1.1.json", ("M", [paragraph("n", shift=4)]))
    data = datasets.load(options)
    assert list(data.splits) == ["train", "dev", "test"]
    assert data.notes == {"train answers with a wrong offset, found again": 2}


def test_mlqa_has_the_dev_split_of_the_memoria_too(tmp_path):
    write(tmp_path / "es_squad-translate-train-dev-v1.1.json", ("M", [paragraph("d")]))
    data = datasets.load({"use": "mlqa_es", "root": str(tmp_path), "dev": "translated"})
    assert [e.id for e in data.splits["dev"]] == ["d-0", "d-1"]


def test_sqac_needs_its_three_files(tmp_path):
    for split in ("train", "dev"):
        write(tmp_path / f"{split}.json", ("S", [paragraph(split)]))
    with pytest.raises(DataError, match=r"has no test\.json"):
        datasets.load({"use": "sqac", "root": str(tmp_path)})
    write(tmp_path / "test.json", ("S", [paragraph("test")]))
    data = datasets.load({"use": "sqac", "root": str(tmp_path)})
    assert [e.id for e in data.splits["test"]] == ["test-0", "test-1"]


def test_covid_qa_takes_numbers_for_ids(tmp_path):
    """An empty answer counts as none."""
    quirks = [
        paragraph("c0", 1),
        paragraph("c1", 1, answer=""),
        paragraph("c2", 1, shift=3),
        paragraph("c3", 1, answer="La Paz"),
    ]
    for number, item in enumerate(quirks):
        item["qas"][0]["id"] = number
    write(tmp_path / "dataset_covid_qa_train.json", *articles(60), ("C", quirks))
    data = datasets.load({"use": "covid_qa", "root": str(tmp_path)})
    answers = {
        e.id: [e.pair[a:b] for a, b in e.answers] for split in data.splits.values() for e in split
    }
    assert {name: answers[name] for name in "012"} == {"0": ["Lima"], "1": [], "2": ["Lima"]}
    assert "3" not in answers
    assert data.notes == {
        "train answers with a wrong offset, found again": 1,
        "train answers that are not in their context, dropped": 1,
        "train questions without an answer that is in the context, dropped": 1,
        "train questions whose answers are empty, read as without answer": 1,
    }
