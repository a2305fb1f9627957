"""A library's error is one of ours; ours, and an interrupt, are what they were."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from destila.errors import DataError, ModelError
from destila.reading.blame import Blaming

PANIC = {
    "version": "1.0",
    "added_tokens": [],
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}],
        "pair": [],
        "special_tokens": {},
    },
    "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
}


def test_an_error_is_blamed_on_the_file():
    with pytest.raises(ModelError, match=r"f is damaged \(bad\): copy it") as caught, _blaming():
        raise ValueError("bad")
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_panic_of_rust_is_an_error_too():
    with pytest.raises(ModelError, match="f is damaged"), _blaming():
        Tokenizer.from_str(json.dumps(PANIC)).encode("a")


@pytest.mark.parametrize("error", [DataError("ours"), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_library_goes_through(error):
    with pytest.raises(type(error)), _blaming():
        raise error


def _blaming():
    return Blaming(ModelError, "f is damaged", remedy="copy it")
