from __future__ import annotations

import pytest

from destila.errors import ModelError
from destila.measuring import size


def test_weights_are_counted_and_nothing_else(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    (tmp_path / "config.json").write_bytes(bytes(10))
    assert size.weights_bytes(tmp_path) == 100


def test_linked_weights_count_with_their_real_size(tmp_path):
    (tmp_path / "blob").write_bytes(bytes(100))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    assert size.weights_bytes(folder) == 100


def test_a_folder_without_weights_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="holds no weights"):
        size.weights_bytes(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="no model folder"):
        size.weights_bytes(tmp_path / "none")
