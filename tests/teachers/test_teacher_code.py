"""A folder that only transformers knows brings code and pickles: neither is run, nobody is asked."""

from __future__ import annotations

import json
import pickle

import pytest

from destila.errors import ModelError
from destila.teachers.teacher import load_teacher


@pytest.fixture
def folder(tmp_path, bpe):
    """A folder with an unknown model_type and a module that would leave a file behind."""
    bpe.save(tmp_path)
    code = f"open({str(tmp_path / 'flag')!r}, 'w')\n"
    (tmp_path / "modeling_malo.py").write_text(code)
    config = {
        "model_type": "malo",
        "architectures": ["MaloForSequenceClassification"],
        "auto_map": {
            "AutoConfig": "modeling_malo.Config",
            "AutoModelForSequenceClassification": "modeling_malo.Model",
        },
        "id2label": {"0": "a", "1": "b"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_code_of_a_folder_is_never_run(folder, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load_teacher(folder, "classify", ("a", "b"))
    assert not (folder / "flag").exists()


class Malo:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ["electra", "bert"])
def test_a_pickle_is_never_run(folder, kind):
    config = json.loads((folder / "config.json").read_text())
    del config["auto_map"]
    sizes = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 1}
    sizes |= {"intermediate_size": 8, "vocab_size": 500}
    name = f"{kind.capitalize()}ForSequenceClassification"
    config |= {"model_type": kind, "architectures": [name], **sizes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Malo(str(folder / "flag"))}))
    with pytest.raises(ModelError, match="cannot"):
        load_teacher(folder, "classify", ("a", "b"))
    assert not (folder / "flag").exists()
