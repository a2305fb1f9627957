"""The published files themselves: the counts that their description states. Needs DESTILA_DATA."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from destila import datasets
from destila.datasets._split import count_labels

pytestmark = pytest.mark.skipif(
    not os.environ.get("DESTILA_DATA"), reason="DESTILA_DATA is not set"
)


def _sizes(data):
    return {name: len(examples) for name, examples in data.splits.items()}


def test_conll2002_has_its_sentences_tokens_and_entities():
    data = datasets.load({"use": "conll2002"})
    assert _sizes(data) == {"train": 8323, "dev": 1915, "test": 1517}
    counts = {name: count_labels(examples) for name, examples in data.splits.items()}
    assert [sum(c.values()) for c in counts.values()] == [264_715, 52_923, 51_533]
    kinds = ("B-LOC", "B-ORG", "B-PER", "B-MISC")
    assert [counts["train"][k] for k in kinds] == [4913, 7390, 4321, 2173]
    assert [counts["dev"][k] for k in kinds] == [984, 1700, 1222, 445]
    assert [counts["test"][k] for k in kinds] == [1084, 1400, 735, 339]
    assert max(len(e.words) for e in data.splits["train"]) == 1238


def test_ancora_has_its_words_in_both_readings():
    for mwt, dev, test in (("words", 53_439, 53_602), ("underscore", 53_439 + 1262, 53_602 + 1166)):
        data = datasets.load({"use": "ancora_pos", "mwt": mwt})
        assert _sizes(data) == {"dev": 1654, "test": 1721}
        assert [sum(count_labels(s).values()) for s in data.splits.values()] == [dev, test]
        assert count_labels(data.splits["test"])["_"] == (1166 if mwt == "underscore" else 0)
        assert data.notes["multiword tokens"] == 1262 + 1166


@pytest.mark.slow
def test_cess_loses_every_sentence_that_ancora_tests_on():
    data = datasets.load({"use": "cess_pos"})
    dropped = data.notes[
        "sentences listed as overlap with AnCora, dropped"
    ]  # 1,057 rows name 1,052 sentences
    assert dropped == 1052
    assert _sizes(data) == {"train": 6015 - dropped, "dev": 1654, "test": 1721}
    held = {e.text for split in ("dev", "test") for e in data.splits[split]}
    assert not held & {e.text for e in data.splits["train"]}
    assert len(count_labels(data.splits["train"])) == 14


def test_xnli_has_its_pairs_and_balance():
    data = datasets.load({"use": "xnli_es"})
    assert len(data.splits["train"]) + len(data.splits["dev"]) == 2490
    assert count_labels([*data.splits["train"], *data.splits["dev"]]) == dict.fromkeys(
        data.labels, 830
    )
    assert count_labels(data.splits["test"]) == dict.fromkeys(data.labels, 1670)
    assert not {e.text for e in data.splits["test"]} & {e.text for e in data.splits["train"]}


def test_paws_x_has_its_pairs_and_placeholders():
    data = datasets.load({"use": "paws_x", "placeholder": "keep"})
    assert count_labels([*data.splits["train"], *data.splits["dev"]]) == {"0": 1153, "1": 847}
    assert count_labels(data.splits["test"]) == {"0": 1093, "1": 907}
    notes = datasets.load({"use": "paws_x"}).notes
    assert notes["dev pairs with the placeholder NS, dropped"] == 38
    assert notes["test pairs with the placeholder NS, dropped"] == 1


def test_inferes_has_its_pairs_labels_and_copies():
    data = datasets.load({"use": "inferes"})
    assert sum(_sizes(data).values()) == 8056
    published = datasets.load({"use": "inferes", "split": "published"})
    assert published.notes["test pairs that are copies of train pairs (kept)"] == 7
    assert count_labels([*published.splits["train"], *published.splits["dev"]]) == {
        "neutral": 2376, "contradiction": 2150, "entailment": 1918,
    }  # fmt: skip
    assert count_labels(published.splits["test"]) == {
        "neutral": 594,
        "contradiction": 537,
        "entailment": 481,
    }


def test_inferes_splits_share_no_topic():
    topics = [
        {e.meta["topic"] for e in s} for s in datasets.load({"use": "inferes"}).splits.values()
    ]
    assert sum(map(len, topics)) == len(set().union(*topics)) == 7


def test_news_topics_keeps_each_content_once_and_no_conflict():
    data = datasets.load({"use": "news_topics"})
    texts = Counter(e.text for s in data.splits.values() for e in s)
    assert max(texts.values()) == 1
    assert len(texts) == 5007 - 595
    assert data.notes["contents whose cut mark was taken off"] == 5701
    assert data.notes["rows without a class, dropped"] == 4
    assert not any("chars]" in text for text in texts)


def test_legal_topics_has_its_documents():
    data = datasets.load({"use": "legal_topics"})
    assert _sizes(data) == {"train": 7362, "dev": 880, "test": 880}
    assert count_labels(data.splits["train"]).most_common(1)[0][0] == "relaciones_exteriores"


def test_xquad_and_mlqa_have_their_questions():
    data = datasets.load({"use": "xquad_es"})
    assert (_sizes(data), data.notes) == ({"test": 1190}, {})
    assert len({e.pair for e in data.splits["test"]}) == 240
    data = datasets.load({"use": "mlqa_es"})
    assert (_sizes(data), data.notes) == ({"dev": 500}, {})


def test_squad_es_is_apart_from_xquad():
    for version, questions, paragraphs in (("1.1", 5851, 230), ("2.0", 6138, 168)):
        data = datasets.load({"use": "squad_es", "version": version})
        kept = [*data.splits["train"], *data.splits["dev"]]
        assert len(kept) == questions
        assert data.notes["paragraphs shared with XQuAD, dropped"] == paragraphs
        assert not {e.id for e in kept} & {e.id for e in data.splits["test"]}
        assert len(data.splits["dev"]) > 200


def test_covid_qa_has_its_wrong_offsets():
    data = datasets.load({"use": "covid_qa"})
    notes = data.notes
    off = (
        "answers with a wrong offset, found again",
        "answers that are not in their context, dropped",
    )
    assert sum(notes[f"train {what}"] for what in off) == 32
    lost = notes["train questions without an answer that is in the context, dropped"]
    assert sum(_sizes(data).values()) + lost == 948
    assert max(len((e.pair or "").split()) for s in data.splits.values() for e in s) > 2700
