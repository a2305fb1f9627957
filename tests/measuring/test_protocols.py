"""What is timed, on targets that only count what they are asked."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from destila.errors import ConfigError
from destila.measuring import latency, protocols
from destila.measuring.targets import TimingTarget
from destila.models.presets import PRESETS
from destila.types import Example

EXAMPLES = [Example(str(i), "una frase de prueba " * (i + 1)) for i in range(5)]
LENGTHS = [3, 5, 7, 9, 100]


class CountingPredictor:
    """Notes which examples it is asked to label."""

    labels = ("O",)

    def __init__(self):
        self.asked = []

    def predict(self, examples):
        self.asked += [example.id for example in examples]
        yield from examples


class WindowTask:
    """Gives example i one window of LENGTHS[i] tokens."""

    has_pairs = False

    def encode(self, examples, tokenizer, labels, *, max_length):
        features = [
            SimpleNamespace(
                row=row, input_ids=np.arange(LENGTHS[row]), type_ids=np.zeros(LENGTHS[row])
            )
            for row in range(len(examples))
        ]
        return SimpleNamespace(features=features)


@pytest.fixture(autouse=True)
def _no_untimed_calls(monkeypatch):
    """Here calls are counted."""
    monkeypatch.setattr(latency, "SETTLE", 0)


def baseline():
    predictor = CountingPredictor()
    return TimingTarget(
        name="crf", head="tag", labels=("O",), params=1, size_bytes=1, predictor=predictor
    )


def model(seen=None):
    def forward(windows):
        return lambda: None if seen is None else seen.append([len(ids) for ids, _ in windows])

    return TimingTarget(
        name="model",
        head="tag",
        labels=("O",),
        params=1,
        size_bytes=1,
        forward=forward,
        predictor=CountingPredictor(),
        task=WindowTask(),
        tokenizer=object(),
        config=PRESETS["albeto-tiny"],
        window=512,
    )


def timed(targets, protocol, warmup=1):
    times, latencies = protocols.time_protocol(targets, protocol, warmup=warmup, threads=1)
    return times, latencies


def test_real_texts_alone_and_random_ids_are_timed():
    targets = [model()]
    plan = [
        protocols.real_texts(targets, EXAMPLES, 2),
        protocols.model_alone(targets, EXAMPLES, 2),
        protocols.random_length(targets, 512, 7),
    ]
    latencies = [timed(targets, protocol)[1][0] for protocol in plan]
    assert [x.protocol for x in latencies] == ["real", "real-model", "papers-512"]
    assert [x.conditions.repeats for x in latencies] == [10, 10, 7]
    assert all(x.conditions.threads == 1 for x in latencies)
    assert all(0 <= x.median_ms <= x.p95_ms for x in latencies)


def test_the_conditions_tell_the_distribution_of_lengths():
    protocol = protocols.real_texts([model()], EXAMPLES, 1)
    assert protocol.length == ("real: median 7, p95 82, max 100 tokens",)


def test_words_are_the_length_where_there_is_no_tokenizer():
    protocol = protocols.real_texts([baseline()], EXAMPLES, 1)
    assert protocol.length[0].endswith("max 20 words")


def test_every_text_is_one_call():
    target = baseline()
    timed([target], protocols.real_texts([target], EXAMPLES[::2], 1), warmup=0)
    assert target.predictor.asked == ["0", "2", "4"]


def test_lengths_are_described_in_words():
    assert protocols.describe_lengths([4, 4, 4], "tokens") == (
        "real: median 4, p95 4, max 4 tokens"
    )


def test_batches_are_full_and_times_are_per_text():
    target = baseline()
    protocol = protocols.throughput([target, target], EXAMPLES, 1, batch=2)
    _, latencies = timed([target, target], protocol, warmup=0)
    assert target.predictor.asked == ["0", "1", "2", "3", "0", "1", "2", "3"]
    assert latencies[0].conditions.batch == 2


def test_the_model_alone_sees_its_windows_encoded():
    seen = []
    targets = [model(seen)]
    timed(targets, protocols.model_alone(targets, EXAMPLES, 1), warmup=0)
    assert seen == [[length] for length in LENGTHS]


def test_a_preset_is_refused_where_texts_are_read():
    preset = TimingTarget(
        name="tiny", head="tag", labels=("O",), params=1, size_bytes=1, forward=lambda windows: int
    )
    with pytest.raises(ConfigError, match="preset 'tiny' has no tokenizer"):
        protocols.real_texts([preset], EXAMPLES, 1)


def test_a_length_beyond_the_model_is_refused():
    with pytest.raises(ConfigError, match="length = 600: model reads at most 512 tokens"):
        protocols.random_length([model()], 600, 1)


def test_windows_are_cut_between_the_two_specials():
    def window(*ids):
        return (np.array(ids), np.zeros(len(ids)))

    (ids, types), *others = protocols._cut([[window(2, 5, 6, 7, 3)], [window(2, 8, 9, 3)]], 5)
    assert (ids.tolist(), types.tolist(), others) == ([2, 5, 6, 7, 3], [0] * 5, [])
    ((ids, _),) = protocols._cut([[window(2, 5, 6, 3)]], 7)
    assert ids.tolist() == [2, 5, 6, 5, 6, 5, 3]


def test_the_published_seconds_are_the_mean_of_the_repeats():
    assert protocols.ner_seconds(np.array([[1000.0, 500.0], [500.0, 1000.0]])) == 1.5
