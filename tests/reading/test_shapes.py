"""Files of model folders have the kinds that are read of them."""

from __future__ import annotations

import pytest

from destila.errors import ModelError
from destila.reading import shapes


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "", "..", ".x", "a\0", "a\n", "C:x"])
def test_a_file_beside_is_a_plain_name(name):
    with pytest.raises(
        ModelError, match=r"f: key 'weight_map\.a' = .* plain name of a file in that folder: again"
    ):
        _check({"weight_map": {"a": name}}, shapes.WEIGHT_INDEX_FILE)


@pytest.mark.parametrize(
    ("kind", "content", "key"),
    [
        (shapes.MODEL_CONFIG_FILE, {"architectures": 3}, "architectures"),
        (shapes.MODEL_CONFIG_FILE, {"architectures": {"a": 1}}, "architectures"),
        (shapes.MODEL_CONFIG_FILE, {"id2label": 3}, "id2label"),
        (shapes.MODEL_CONFIG_FILE, {"hidden_act": []}, "hidden_act"),
        (shapes.MODEL_CONFIG_FILE, {"num_hidden_layers": "doce"}, "num_hidden_layers"),
        (shapes.MODEL_CONFIG_FILE, {"max_position_embeddings": 10**13}, "max_position_embeddings"),
        (shapes.DESTILA_FILE, {"max_length": "largo"}, "max_length"),
        (shapes.DESTILA_FILE, {"max_length": -1}, "max_length"),
        (shapes.EXPORT_FILE, {"candidates": {}, "default": "a"}, "candidates"),
        (shapes.EXPORT_FILE, {"candidates": [{"name": "a"}], "default": "a"}, "candidates.0.file"),
        (shapes.WEIGHT_INDEX_FILE, {"weight_map": {"a": 3}}, "weight_map.a"),
        (shapes.TOKENIZER_CONFIG_FILE, {"pad_token": ["x"]}, "pad_token"),
        (shapes.TOKENIZER_CONFIG_FILE, {"do_lower_case": "no"}, "do_lower_case"),
    ],
)
def test_a_key_of_another_kind_is_named(kind, content, key):
    with pytest.raises(ModelError, match=rf"f: key '{key}"):
        _check(content, kind)


def test_unknown_keys_may_hold_anything():
    """They are passed over; a known key beside them is still named."""
    _check({"auto_map": [1], "id2label": None}, shapes.MODEL_CONFIG_FILE)
    _check({"pad_token": {"content": "x", "lstrip": 1}}, shapes.TOKENIZER_CONFIG_FILE)
    with pytest.raises(ModelError, match="f: key 'vocab_size'"):
        _check({"auto_map": [1], "vocab_size": "x"}, shapes.MODEL_CONFIG_FILE)


def _check(content, shape):
    shapes.check_shape(content, shape, "f", ModelError, remedy="again")
