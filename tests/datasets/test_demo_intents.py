"""Demo data sets: sizes, splits that share nothing, labels, and the very sentences of a seed."""

from __future__ import annotations

from collections import Counter

import pytest

from destila import datasets
from destila.config import fingerprint
from destila.datasets._grammar import sentence_key
from destila.types import Dataset

SMALL = {"train": 400, "dev": 60, "test": 100}


@pytest.fixture(scope="module", params=["demo_intents", "demo_tags"])
def demo(request: pytest.FixtureRequest) -> Dataset:
    return datasets.load({"use": request.param} | SMALL)


def test_the_splits_have_the_sizes_asked_for(demo: Dataset) -> None:
    assert {name: len(split) for name, split in demo.splits.items()} == SMALL


def test_no_two_splits_share_a_sentence(demo: Dataset) -> None:
    keys = [sentence_key(example.text) for split in demo.splits.values() for example in split]
    assert len(set(keys)) == sum(SMALL.values())


def test_the_seed_decides_the_sentences(demo: Dataset) -> None:
    """Equal seeds give the same sentences and another seed others."""
    again = datasets.load({"use": demo.name} | SMALL)
    other = datasets.load({"use": demo.name, "seed": 1} | SMALL)
    assert again.splits == demo.splits
    assert [e.text for e in other.splits["train"]] != [e.text for e in demo.splits["train"]]


def test_unlabelled_sentences_come_on_top_and_are_new(demo: Dataset) -> None:
    more = datasets.load({"use": demo.name, "unlabelled": 50} | SMALL).splits
    assert more["train"] == demo.splits["train"]
    assert [e.target for e in more["unlabelled"]] == [None] * 50
    assert not {sentence_key(e.text) for e in more["unlabelled"]} & {
        sentence_key(e.text) for s in demo.splits.values() for e in s
    }


def test_every_label_occurs_in_every_split(demo: Dataset) -> None:
    for split in demo.splits.values():
        targets = [
            t for e in split for t in ((e.target,) if isinstance(e.target, str) else e.target or ())
        ]
        assert set(targets) == set(demo.labels)


def test_no_slot_is_left_unfilled(demo: Dataset) -> None:
    assert not [
        e.text
        for split in demo.splits.values()
        for e in split
        if set(e.text) & set("{}|") or "  " in e.text
    ]


def test_the_text_is_spanish_with_its_marks(demo: Dataset) -> None:
    letters = Counter("".join(e.text for e in demo.splits["train"]).lower())
    assert all(letters[c] for c in "áéíóúñ¿¡")


def test_tags_fit_the_words_and_are_valid_bio() -> None:
    for example in datasets.load({"use": "demo_tags"} | SMALL).splits["train"]:
        assert isinstance(example.target, tuple)
        assert len(example.target) == len(example.words)
        for before, tag in zip(("O", *example.target), example.target, strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:]


@pytest.mark.parametrize(
    ("name", "expected"), [("demo_intents", "3940b808a38796f7"), ("demo_tags", "4f0b6dc58f6cf8dc")]
)
def test_the_sentences_are_those_behind_the_published_numbers(name: str, expected: str) -> None:
    """After a change on purpose: run the demo again, renew its numbers, then this line."""
    demo = datasets.load({"use": name} | SMALL)
    assert (
        fingerprint([(e.text, e.target) for split in demo.splits.values() for e in split])
        == expected
    )
