"""Entities swapped for others of their type, and what is made kept on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from destila.errors import CacheError, ConfigError
from destila.tasks.metrics import entities
from destila.teachers.cache import WRITTEN, Cache, cache_spec
from destila.teachers.made_texts.augment import (
    Edit,
    apply_edits,
    augment_file,
    count_augmented,
    cross_pairs,
    keep_new,
    load_or_make,
    recase,
    recased_copies,
    swap_entities,
)
from destila.types import Dataset, Example

ROWS = (
    ("Ana vive en Sevilla .", "B-PER O O B-LOC O"),
    ("Luis García fue a Buenos Aires .", "B-PER I-PER O O B-LOC I-LOC O"),
    ("Marta conoce la ONU .", "B-PER O O B-ORG O"),
    ("No hay nadie .", "O O O O"),
)


def tagged(text: str, tags: str, name: str) -> Example:
    words, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        words.append((start, at))
    return Example(name, text, words=tuple(words), target=tuple(tags.split()))


@pytest.fixture
def sentences() -> list[Example]:
    return [tagged(text, tags, f"s{i}") for i, (text, tags) in enumerate(ROWS)]


def named(example: Example) -> list[tuple[str, str]]:
    words = [example.text[a:b] for a, b in example.words]
    return [(kind, " ".join(words[first:last])) for kind, first, last in entities(example.target)]


def test_words_give_way_and_what_stands_between_them_stays():
    text = "  El  niño, ¿come?\n"
    words = [(2, 4), (6, 10), (10, 11), (12, 13), (13, 17), (17, 18)]
    edited, spans = apply_edits(text, words, [Edit(1, 2, ("gato", "gris")), Edit(4, 5, ("ve",))])
    assert edited == "  El  gato gris, ¿ve?\n"
    assert [edited[a:b] for a, b in spans] == ["El", "gato", "gris", ",", "¿", "ve", "?"]
    assert apply_edits(text, words, []) == (text, tuple(words))


def test_swapped_entities_keep_their_types_and_labels(sentences):
    """Swapped sentences have entities of the same types and labels that fit."""
    known = {pair for e in sentences for pair in named(e)}
    made = swap_entities(sentences, copies=5, share=1.0, seed=0)
    assert len(made) == 15  # not of the sentence without entities
    for example in made:
        source = next(e for e in sentences if example.id.startswith(f"{e.id}-swap"))
        assert len(example.words) == len(example.target)
        assert " ".join(example.text[a:b] for a, b in example.words) == example.text
        assert [kind for kind, _ in named(example)] == [kind for kind, _ in named(source)]
        assert set(named(example)) <= known
        for kind, words in named(source):
            if kind != "ORG":  # there is no other organisation
                assert (kind, words) not in named(example)
    others = [w for e in made if e.id.startswith("s2") for k, w in named(e) if k == "ORG"]
    assert others == ["ONU"] * 5


def test_a_share_of_the_entities_is_swapped_and_at_least_one(sentences):
    for share, changed in ((0.1, 1), (0.5, 1), (1.0, 2)):
        made = swap_entities(sentences[:2], copies=3, share=share, seed=1)
        for example in made:
            source = sentences[int(example.id[1])]
            assert (
                sum(a != b for a, b in zip(named(source), named(example), strict=True)) == changed
            )


def test_swaps_depend_on_seed_copy_and_text_alone(sentences):
    """What is made depends on the seed, the copy and the text alone."""
    every = swap_entities(sentences, copies=2, share=0.5, seed=3)
    assert swap_entities(sentences, copies=2, share=0.5, seed=3) == every
    assert swap_entities(sentences, copies=2, share=0.5, seed=4) != every
    backwards = [replace(e, id=f"x{e.id}") for e in reversed(sentences)]
    assert {e.text for e in swap_entities(backwards, copies=2, share=0.5, seed=3)} == {
        e.text for e in every
    }


def test_texts_of_pairs_meet_in_other_pairs():
    """All of the new pairs, or none, hold two texts that belong together; none has a label."""
    groups = {"Llueve.": ("Hay agua.", "Hace sol."), "Ana canta.": ("Ana calla.", "Se oye a Ana.")}
    pairs = [
        Example(f"{first} {second}", first, second, target="neutral")
        for first, seconds in groups.items()
        for second in seconds
    ]
    near = cross_pairs(pairs, copies=9, share=1, seed=3)
    far = cross_pairs(pairs, copies=9, share=0, seed=3)
    assert len(near) == len(far) == 36
    for made in near:
        assert made.text != made.pair
        assert any({made.text, made.pair} <= {first, *seconds} for first, seconds in groups.items())
    assert {e.text for e in far} == set(groups)
    assert {e.pair for e in far} == {second for seconds in groups.values() for second in seconds}
    assert {e.target for e in (*near, *far)} == {None}
    assert near == cross_pairs(pairs, copies=9, share=1, seed=3)


def test_texts_that_are_known_or_made_twice_are_left_out(sentences):
    made = [
        replace(sentences[0], id="again"),
        replace(sentences[0], id="b", text="Ana"),
        Example("c", "Ana"),
    ]
    assert [e.id for e in keep_new(made, sentences)] == ["b"]


def test_what_was_made_is_read_from_disk(sentences, tmp_path, monkeypatch):
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path))
    made = [
        *swap_entities(sentences, copies=1, share=0.5, seed=0),
        Example("p", "uno", pair="dos\u2028tres"),
        Example("w", "a"),
        Example("c", "una", target="positiva"),
    ]
    assert load_or_make("k", lambda: made) == made
    assert load_or_make("k", list) == made
    augment_file("k").write_text('["a"]\n', encoding="utf-8")
    with pytest.raises(CacheError, match="delete it, and it is made again"):
        load_or_make("k", list)


def test_some_texts_change_their_case_and_nothing_else(sentences):
    made = recase(sentences * 20, 0.5, 3)
    assert made == recase(sentences * 20, 0.5, 3)
    changed = [(old, new) for old, new in zip(sentences * 20, made, strict=True) if old != new]
    assert recase(sentences, 0.0, 3) == sentences
    many = recase([replace(s, text=f"{s.text} {i}") for i in range(50) for s in sentences], 0.5, 3)
    turned = [e for e in many if e.meta]
    assert 70 < len(turned) < 130
    assert {e.text.isupper() for e in turned} == {e.text.islower() for e in turned} == {True, False}
    for old, new in changed:
        assert new.meta == {WRITTEN: old.text}
        assert (new.words, new.target) == (old.words, old.target)


def test_copies_in_another_case_keep_labels_and_the_text(sentences):
    many = [replace(s, text=f"{s.text} {i}") for i in range(40) for s in sentences]
    made = recased_copies(many, copies=2, share=0.5, seed=0)
    assert len(many) * 0.6 < len(made) < len(many) * 1.4
    assert {e.text.isupper() for e in made} == {e.text.islower() for e in made} == {True, False}
    known = {e.text: e for e in many}
    assert all(e.target == known[e.meta[WRITTEN]].target for e in made)


def test_a_teacher_reads_what_was_written(sentences, tmp_path, monkeypatch):
    """And its answer is found for the text in capitals, also after a look on disk."""
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path))
    capitals = load_or_make("k", lambda: recase(sentences, 1.0, 0))
    assert load_or_make("k", list) == capitals
    spec = cache_spec(
        teacher="t", tokenizer="k", max_length=9, task="tag", unit="word", labels=["A", "B"]
    )
    read = []

    def teacher(examples):
        read.extend(e.text for e in examples)
        return [np.full((len(e.words), 2), len(read), np.float32) for e in examples]

    cache = Cache.open(tmp_path / "cache", spec, 2)
    assert cache.fill(sentences[:1] + capitals, teacher) == len(sentences)
    assert read == [e.text for e in sentences]
    assert np.array_equal(cache.rows(capitals[:1])[0], cache.rows(sentences[:1])[0])


def test_what_a_data_set_cannot_give_is_refused_at_once(sentences):
    """What a data set cannot give is said before anything is made."""
    dataset = Dataset("ner", "tag", ("O", "B-PER", "I-PER"), {"train": sentences})
    assert count_augmented(dataset, "swap", 2) == 6
    assert count_augmented(dataset, "fill", 2) == 8
    with pytest.raises(ConfigError, match="needs B- and I- labels"):
        count_augmented(replace(dataset, labels=("NOUN", "VERB")), "swap", 1)
    with pytest.raises(ConfigError, match="not for questions"):
        count_augmented(replace(dataset, task="span"), "fill", 1)
