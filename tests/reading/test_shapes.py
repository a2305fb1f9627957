"""Files of model folders have the kinds that are read of them."""

from __future__ import annotations

import pytest

from destila.errors import ModelError
from destila.reading import shapes


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "", "..", ".x", "a\0", "a\n", "C:x"])
def test_a_file_beside_is_a_plain_name(name):
    with pytest.raises(
        ModelError, match=r"f: key 'weight_map\.a' = .* plain name of a file: again"
    ):
        shapes.fitted(
            shapes.WeightIndexFile, {"weight_map": {"a": name}}, "f", ModelError, remedy="again"
        )


@pytest.mark.parametrize(
    ("kind", "content", "key"),
    [
        (shapes.ModelConfigFile, {"architectures": 3}, "architectures"),
        (shapes.ModelConfigFile, {"architectures": {"a": 1}}, "architectures"),
        (shapes.ModelConfigFile, {"id2label": 3}, "id2label"),
        (shapes.ModelConfigFile, {"hidden_act": []}, "hidden_act"),
        (shapes.ModelConfigFile, {"num_hidden_layers": "doce"}, "num_hidden_layers"),
        (shapes.ModelConfigFile, {"max_position_embeddings": 10**13}, "max_position_embeddings"),
        (shapes.DestilaFile, {"max_length": "largo"}, "max_length"),
        (shapes.DestilaFile, {"max_length": -1}, "max_length"),
        (shapes.ExportFile, {"candidates": [], "default": "a"}, "candidates"),
        (shapes.ExportFile, {"candidates": [{"name": "a"}], "default": "a"}, "candidates.0.file"),
        (shapes.WeightIndexFile, {"weight_map": {"a": 3}}, "weight_map.a"),
        (shapes.TokenizerConfigFile, {"pad_token": ["x"]}, "pad_token"),
        (shapes.TokenizerConfigFile, {"do_lower_case": "no"}, "do_lower_case"),
    ],
)
def test_a_key_of_another_kind_is_named(kind, content, key):
    with pytest.raises(ModelError, match=rf"f: key '{key}"):
        shapes.fitted(kind, content, "f", ModelError)


def test_unknown_keys_may_hold_anything():
    assert shapes.fitted(shapes.ModelConfigFile, {"auto_map": [1]}, "f", ModelError)
