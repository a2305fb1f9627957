from __future__ import annotations

from destila.measuring.profile import describe, profile
from destila.measuring.sample_texts import spread
from destila.types import Example

EXAMPLES = [Example(str(i), "una frase de prueba " * (i + 1)) for i in range(5)]


def test_both_real_protocols_and_the_papers_one_are_measured():
    found = profile(
        lambda e: e.text.split(),
        EXAMPLES,
        threads=1,
        repeats=2,
        warmup=1,
        model_only=lambda e: lambda: len(e.text),
        random_512=lambda: None,
        papers_repeats=7,
    )
    assert [x.protocol for x in found] == ["real", "real-model", "papers-512"]
    assert [x.conditions.repeats for x in found] == [10, 10, 7]
    assert all(x.conditions.threads == 1 for x in found)
    assert all(0 <= x.median_ms <= x.p95_ms for x in found)


def test_a_predictor_without_a_model_inside_has_the_real_protocol_only():
    assert [
        x.protocol for x in profile(lambda e: e.id, EXAMPLES, threads=1, backend="sklearn")
    ] == ["real"]


def test_without_examples_or_with_zero_texts_nothing_is_timed():
    assert profile(lambda e: e.id, [], threads=1) == []
    assert profile(lambda e: e.id, EXAMPLES, threads=1, texts=0) == []


def test_the_conditions_tell_the_length_distribution():
    found = profile(lambda e: e.id, EXAMPLES, threads=1, lengths=[3, 5, 7, 9, 100])
    assert found[0].conditions.length == "real: median 7, p95 82, max 100 tokens"


def test_words_are_the_length_where_tokens_are_not_given():
    assert profile(lambda e: e.id, EXAMPLES, threads=1)[0].conditions.length.endswith(
        "max 20 words"
    )


def test_only_as_many_texts_as_asked_are_timed_spread_over_all():
    seen = []
    profile(lambda e: seen.append(e.id), EXAMPLES, threads=1, texts=3, repeats=1, warmup=0)
    assert seen == ["0", "2", "4"]


def test_a_spread_keeps_short_sequences_whole():
    assert spread([1, 2], 5) == [1, 2]


def test_lengths_are_described_in_words():
    assert describe([4, 4, 4], "tokens") == "real: median 4, p95 4, max 4 tokens"
