"""A teacher labels in 8 bits where there is much to label."""

from __future__ import annotations

from dataclasses import replace

import pytest

from destila import datasets
from destila.study.intake.default_way import default_way


@pytest.mark.parametrize(("sentences", "label_in"), [(2_400, "precision"), (2_500, "int8")])
def test_many_sentences_are_labelled_in_8_bits(sentences, label_in):
    tagged = datasets.load({"use": "demo_tags"})
    texts = (tagged.splits["train"] * 20)[:sentences]
    options, train = default_way(replace(tagged, splits={**tagged.splits, "train": texts}))
    assert options.label_in == label_in
    assert train == {"steps": 8 * (sentences // 32 + bool(sentences % 32))}
