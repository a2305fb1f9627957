from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from destila.models.architecture import EncoderConfig
from destila.tokenizer import tokenizer as tokenizers
from destila.types import Batch

KINDS = ("bert", "roberta", "albert", "distilbert")
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
WORDS = (
    "el",
    "la",
    "perro",
    "casa",
    "come",
    "duerme",
    "niño",
    "año",
    "rápido",
    "##s",
    "##to",
    "un",
    "de",
    ".",
    ",",
)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece tokenizer of twenty pieces with RoBERTa's special ids (pad 1), which suit every kind."""
    folder = tmp_path_factory.mktemp("tokenizer")
    vocab = {piece: i for i, piece in enumerate((*SPECIALS, *WORDS))}
    added = [
        {
            "id": i,
            "content": s,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
        }
        | {"normalized": False}
        for i, s in enumerate(SPECIALS)
    ]
    template = [
        {"SpecialToken": {"id": "<s>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    template.append({"SpecialToken": {"id": "</s>", "type_id": 0}})
    second = [
        {"Sequence": {"id": "B", "type_id": 1}},
        {"SpecialToken": {"id": "</s>", "type_id": 1}},
    ]
    spec = {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template,
            "pair": template + second,
            "special_tokens": {
                s: {"id": s, "ids": [vocab[s]], "tokens": [s]} for s in ("<s>", "</s>")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
        "model": {
            "type": "WordPiece",
            "unk_token": "<unk>",
            "continuing_subword_prefix": "##",
            "vocab": vocab,
        }
        | {"max_input_chars_per_word": 100},
    }
    (folder / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    names = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    config = {f"{role}_token": token for role, token in names.items()} | {"model_max_length": 24}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> tokenizers.Tokenizer:
    return tokenizers.load_tokenizer(tokenizer_folder)


def small(kind: str, **values) -> EncoderConfig:
    """A random-sized small config of a kind; no two of its widths are equal."""
    usual = {
        "kind": kind,
        "vocab_size": 20,
        "positions": 26,
        "types": {"distilbert": 0, "roberta": 1}.get(kind, 2),
        "embedding": 12 if kind == "albert" else 40,
        "hidden": 40,
        "layers": 3,
        "heads": 4,
        "ffn": 72,
        "activation": "gelu_new" if kind == "albert" else "gelu",
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "classifier_dropout": 0.2,
        "eps": 1e-12,
        "init_range": 0.2,
        "pad_id": 1,
    }
    return EncoderConfig(**{**usual, **values})


@pytest.fixture(scope="session")
def small_config():
    return small


def ragged(lengths: tuple[int, ...], *, vocab: int = 20, types: int = 2, seed: int = 0) -> Batch:
    """A right-padded batch of random ids; no real token is a pad."""
    random = np.random.default_rng(seed)
    b, longest = len(lengths), max(lengths)
    ids = torch.from_numpy(random.integers(2, vocab, (b, longest)))
    mask = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]
    kinds = torch.from_numpy(random.integers(0, max(1, types), (b, longest)))
    none = torch.zeros((b, 1), dtype=torch.int64)
    return Batch(
        features=(),
        input_ids=ids.masked_fill(~mask, 1),
        mask=mask,
        type_ids=kinds * mask,
        unit=none,
        first=none,
        unit_mask=none.bool(),
        target=none,
    )


@pytest.fixture(scope="session")
def ragged_batch():
    return ragged
