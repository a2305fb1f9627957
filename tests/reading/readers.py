"""The readers of strangers' files, each with the valid files from which its examples are made."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from destila import records
from destila.corpus import shards
from destila.corpus.documents import documents
from destila.files import open_text
from destila.formats.columns import read_tagged
from destila.formats.conllu import read_conllu
from destila.formats.squad import read_squad
from destila.formats.tables import table_rows
from destila.inference.exported import choose_graph
from destila.model_folder import read_folder
from destila.report.table import study_markdown, terminal_rows
from destila.study.planning.recipe import read_recipe
from destila.tasks import task_of_folder
from destila.tokenizer.tokenizer import load_tokenizer
from tests.report.conftest import record

CONFIG = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "vocab_size": 400,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "id2label": {"0": "no", "1": "sí"},
    "pad_token_id": 0,
    "eos_token_id": [1],
    "hidden_dropout_prob": 0.1,
}
DESTILA = {"task": "classify", "labels": ["no", "sí"], "max_length": 32, "span": {"window": 9}}
EXPORT = {
    "candidates": [{"name": "fp32", "file": "model.onnx", "kind": "fp32"}],
    "default": "fp32",
    "runtime": {"name": "fp32", "threads": 2},
}
SQUAD = {
    "version": "v2",
    "data": [
        {
            "title": "Ríos",
            "paragraphs": [
                {
                    "context": "El Ebro nace en Fontibre.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "¿Dónde nace?",
                            "answers": [{"text": "Fontibre", "answer_start": 16}],
                        },
                        {"id": "2", "question": "¿Cuándo?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}
CONLLU = (
    "# sent_id = 1\n1\tNace\tnacer\tVERB\tv\t_\t0\troot\t_\t_\n2-3\tdel\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\tde\tde\tADP\ts\t_\t3\tcase\t_\t_\n3\tel\tel\tDET\td\t_\t1\tobl\t_\t_\n3.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
)
RECIPE = """
name = "prueba"
data = {use = "table", train = "datos.csv", text = "text", label = "label"}
seeds = [0, 1]

[[teachers]]
name = "maestro"
model = "dccuchile/bert"
layers = [0, 1]

[[students]]
name = "alumno"
shape = {kind = "bert", layers = 2, hidden = 64}
tokenizer = {kind = "bpe", vocab_size = 900}

[distil]
terms = [{use = "kl", temperature = 2.0}]
"""


@dataclass
class Reader:
    """A reader, the file that it is fed with, valid files to begin from, and what they lie in."""

    path: Path
    read: Callable[[], Any]
    files: list[bytes]
    values: Sequence[Any] = ()
    wrap: Callable[[bytes], bytes] = bytes


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _with(folder: Path, **files: Any) -> Path:
    """Make a folder with JSON files: `_with(path, config=CONFIG)`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / f"{name}.json").write_bytes(_json(value))
    return folder


def _of_json(name: str, value: Any, read: Callable[[Path], Any], **beside: Any) -> Any:
    """Return what makes the reader of a JSON file in a folder with other files."""

    def make(folder: Path, fixture: Callable[[str], Any]) -> Reader:
        _with(folder, **beside)
        return Reader(folder / name, lambda: read(folder), [_json(value)], [value])

    return make


def _of_lines(
    name: str, files: list[str], read: Callable[[Path], Any], values: Sequence[Any] = ()
) -> Any:
    """Return what makes the reader of one file."""

    def make(folder: Path, fixture: Callable[[str], Any]) -> Reader:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        return Reader(path, lambda: read(path), [text.encode() for text in files], values)

    return make


def _config(folder: Path) -> None:
    from destila.models import hf_config

    info = read_folder(folder)
    hf_config.read_hf_config(info.config, where=str(folder))


def _destila(folder: Path) -> None:
    info = read_folder(folder)
    if info.task:
        task_of_folder(info)


def _records(path: Path) -> None:
    """Read records, and draw what a report draws of them."""
    read = records.read_records(path)
    if read:
        study_markdown(read, "x")
        terminal_rows(read)


def _tokenizer(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    pieces = tokenizer.text(["El niño comió 3,5 € en España", ""])
    tokenizer.frame(pieces[0])
    tokenizer.words("El niño", [(0, 2), (3, 7)])


def _of_tokenizer(name: str, kind: str = "bpe") -> Any:
    """Return what makes the reader of a file of a tokenizer, trained by a fixture."""

    def make(folder: Path, fixture: Callable[[str], Any]) -> Reader:
        folder.mkdir(parents=True, exist_ok=True)
        fixture(kind).save(folder)
        data = (folder / name).read_bytes()
        return Reader(folder / name, lambda: _tokenizer(folder), [data], [json.loads(data)])

    return make


def _vocabulary(folder: Path, fixture: Callable[[str], Any]) -> Reader:
    folder.mkdir(parents=True, exist_ok=True)
    spec, _ = fixture("wordpiece").content()
    vocab = spec["model"]["vocab"]
    text = "\n".join(sorted(vocab, key=vocab.__getitem__)) + "\n"
    return Reader(folder / "vocab.txt", lambda: _tokenizer(folder), [text.encode()])


def _byte_level(folder: Path, fixture: Callable[[str], Any]) -> Reader:
    folder.mkdir(parents=True, exist_ok=True)
    spec, _ = fixture("bytelevel").content()
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in spec["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    vocab = spec["model"]["vocab"]
    return Reader(folder / "vocab.json", lambda: _tokenizer(folder), [_json(vocab)], [vocab])


def _piece(text: str, score: float, kind: int) -> bytes:
    raw = text.encode()
    body = b"\x0a" + bytes([len(raw)]) + raw + b"\x15" + struct.pack("<f", score)
    body += b"\x18" + bytes([kind])
    return b"\x0a" + bytes([len(body)]) + body


def _sentencepiece(folder: Path, fixture: Callable[[str], Any]) -> Reader:
    folder.mkdir(parents=True, exist_ok=True)
    special = [("<pad>", 3), ("<unk>", 2), ("[CLS]", 3), ("[SEP]", 3), ("[MASK]", 4), ("▁", 1)]
    pieces = b"".join(_piece(text, 0.0, kind) for text, kind in special)
    letters = b"".join(_piece(c, -1.0 - n, 1) for n, c in enumerate("abcdeilmnñorsu"))
    files = [pieces + letters + bytes([0x12, 2, 0x18, kind]) for kind in (1, 2)]
    return Reader(folder / "spiece.model", lambda: _tokenizer(folder), files)


def _weights(name: str) -> Any:
    """Return what makes the reader of weights, or of the index of their parts."""

    def make(folder: Path, fixture: Callable[[str], Any]) -> Reader:
        import torch
        from safetensors.torch import save

        from destila.models.weights import read_weights

        folder.mkdir(parents=True, exist_ok=True)
        data = save({"a.weight": torch.zeros(2, 3), "b.gamma": torch.ones(4)})
        if name == "model.safetensors":
            return Reader(folder / name, lambda: read_weights(folder), [data])
        (folder / "a.safetensors").write_bytes(data)
        index = {"metadata": {"total_size": 40}, "weight_map": {"a.weight": "a.safetensors"}}
        return Reader(folder / name, lambda: read_weights(folder), [_json(index)], [index])

    return make


_RECORD = records.record_to_json(
    record(
        details={
            "labels": ["a", "b"],
            "per_label": {"a": {"f1": 0.5, "precision": 0.5, "recall": 0.5, "support": 3}},
            "confusion": [[1, 2], [0, 3]],
            "dev": {"accuracy": 0.5},
            "teacher": "t",
        }
    )
)
_ROWS = [{"text": "hola", "label": "a"}, {"text": "adiós", "label": 3}]
_MANIFEST = {
    "format": shards.SHARD_FORMAT,
    "fingerprint": "x",
    "counts": {},
    "tokenizer": {"fingerprint": "x", "vocab_size": 9},
    "shards": [{"name": "0", "documents": 1, "sentences": 1, "tokens": 3, "sha256": {}}],
}

READERS: dict[str, Callable[[Path, Callable[[str], Any]], Reader]] = {
    "config": _of_json("config.json", CONFIG, _config),
    "destila": _of_json("destila.json", DESTILA, _destila, config=CONFIG),
    "export": _of_json("export.json", EXPORT, choose_graph),
    "manifest": _of_json("manifest.json", _MANIFEST, shards.read_manifest),
    "records": _of_lines(
        "r.jsonl", [json.dumps(_RECORD) + "\n"], _records, [_RECORD, {**_RECORD, "items": []}]
    ),
    "recipe": _of_lines("r.toml", [RECIPE], lambda path: read_recipe(str(path))),
    "csv": _of_lines(
        "t.csv",
        ['text,label\n"hola, ""tú""",a\nadiós,b\n', "text;label\nhola;a\n", "text\tlabel\nx\ty\n"],
        lambda path: list(table_rows(path, needed=("text",))),
    ),
    "jsonl": _of_lines(
        "t.jsonl",
        ["".join(json.dumps(row) + "\n" for row in _ROWS)],
        lambda path: list(table_rows(path, needed=("text",))),
        _ROWS,
    ),
    "json list": _of_lines(
        "t.json", [json.dumps(_ROWS)], lambda path: list(table_rows(path)), [_ROWS]
    ),
    "raw json lines": _of_lines(
        "d.jsonl", [json.dumps(_ROWS[0]) + "\n"], lambda path: list(documents(path)), [_ROWS[0]]
    ),
    "conll": _of_lines(
        "t.conll",
        ["-DOCSTART- O\n\nAna B-PER\nvive O\n\nLima B-LOC\n"],
        lambda path: list(read_tagged(open_text(path), str(path))),
    ),
    "conllu": _of_lines(
        "t.conllu", [CONLLU], lambda path: list(read_conllu(open_text(path), str(path)))
    ),
    "squad": _of_lines(
        "s.json", [json.dumps(SQUAD)], lambda path: read_squad(path, "train", Counter()), [SQUAD]
    ),
    "tokenizer": _of_tokenizer("tokenizer.json"),
    "tokenizer of wordpiece": _of_tokenizer("tokenizer.json", "wordpiece"),
    "tokenizer of unigram": _of_tokenizer("tokenizer.json", "unigram"),
    "tokenizer config": _of_tokenizer("tokenizer_config.json"),
    "vocab.txt": _vocabulary,
    "vocab.json": _byte_level,
    "spiece": _sentencepiece,
    "safetensors": _weights("model.safetensors"),
    "weight index": _weights("model.safetensors.index.json"),
}
