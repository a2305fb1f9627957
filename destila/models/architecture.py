"""The shape of an encoder, one record for BERT, RoBERTa, ALBERT and DistilBERT; no torch.

kind         what differs
bert         token types, pooler
roberta      positions start at pad_id + 1; its classifier has a dense layer of its own
albert       embeddings of their own width, projected to hidden; one block shared by all layers, or
             with `own_blocks` one each: a BERT whose token table is factorised
distilbert   no token types, no pooler; its classifier has a dense layer with relu
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from destila import config as toml
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.reading.escaping import short_value
from destila.reading.shapes import MOST_LAYERS, MOST_PIECES

ArchitectureKind = Literal["bert", "roberta", "albert", "distilbert"]
Activation = Literal["gelu", "gelu_new", "relu"]
_WIDEST = 1 << 15  # of any encoder that is published, four times over


class EncoderConfig(Options):
    """Every number that shapes an encoder.

    EncoderConfig(kind="albert", vocab_size=31000, positions=512, types=2, embedding=128,
                  hidden=312, layers=4, heads=12, ffn=1248, activation="gelu", dropout=0.0,
                  attention_dropout=0.0, classifier_dropout=0.1, eps=1e-12, init_range=0.02,
                  pad_id=0, bos_id=2, eos_id=3)
    """

    kind: ArchitectureKind = opt(..., "bert, roberta, albert or distilbert")
    vocab_size: int = opt(..., "rows of the token table", ge=1, le=MOST_PIECES)
    positions: int = opt(..., "rows of the position table", ge=1, le=1 << 20)
    types: int = opt(..., "rows of the token-type table; 0: none", ge=0, le=1 << 16)
    embedding: int = opt(
        ..., "width of the embeddings; differs from hidden in albert only", ge=1, le=_WIDEST
    )
    hidden: int = opt(..., "width of the hidden states", ge=1, le=_WIDEST)
    layers: int = opt(..., "layers; in albert, how often the one block runs", ge=1, le=MOST_LAYERS)
    own_blocks: bool = opt(
        False, "albert: every layer has a block of its own (num_hidden_groups = layers)"
    )
    heads: int = opt(..., "attention heads; divides hidden", ge=1, le=_WIDEST)
    ffn: int = opt(..., "width inside the feed-forward part", ge=1, le=4 * _WIDEST)
    activation: Activation = opt(..., "gelu (erf), gelu_new (tanh approximation) or relu")
    dropout: float = opt(..., "dropout of embeddings and block outputs", ge=0, lt=1)
    attention_dropout: float = opt(..., "dropout of attention probabilities", ge=0, lt=1)
    classifier_dropout: float = opt(..., "dropout before the classifier", ge=0, lt=1)
    eps: float = opt(..., "epsilon of layer normalisation", gt=0)
    init_range: float = opt(..., "standard deviation of new weights", gt=0)
    pad_id: int = opt(..., "id of the padding token", ge=0)
    bos_id: int | None = opt(None, "id of the first token of a text, as config.json states it")
    eos_id: int | None = opt(None, "id of the last token of a text, as config.json states it")

    @model_validator(mode="after")
    def _consistent(self) -> EncoderConfig:
        """Refuse sizes that do not fit one another."""
        if self.hidden % self.heads:
            raise ValueError(f"heads = {self.heads} does not divide hidden = {self.hidden}")
        if self.kind != "albert" and self.embedding != self.hidden:
            raise ValueError(
                f"embedding = {self.embedding} must equal hidden = {self.hidden} "
                "unless kind is albert"
            )
        if self.own_blocks and self.kind != "albert":
            raise ValueError(
                f"own_blocks is for albert: in {self.kind} every layer has its own block anyhow"
            )
        if (self.types == 0) != (self.kind == "distilbert"):
            raise ValueError(f"types = {self.types}: distilbert has 0, the other kinds at least 1")
        if self.max_length < 3:
            raise ValueError(
                f"positions = {self.positions} leaves room for {self.max_length} tokens"
            )
        return self

    @property
    def shared(self) -> bool:
        """Whether all layers are one block."""
        return self.kind == "albert" and not self.own_blocks

    @property
    def first_position(self) -> int:
        """The row of the position table that the first token uses."""
        return self.pad_id + 1 if self.kind == "roberta" else 0

    @property
    def max_length(self) -> int:
        """Most tokens in one input, specials included."""
        return self.positions - self.first_position

    def with_values(self, **values: Any) -> EncoderConfig:
        """Return a copy with other values; raise ConfigError when they do not fit."""
        return toml.build_config(
            EncoderConfig, {**self.model_dump(), **values}, where=f"{self.kind} encoder"
        )


def from_shape(shape: Mapping[str, Any], *, vocab_size: int, pad_id: int) -> EncoderConfig:
    """Return the config of an inline shape such as `{kind = "albert", layers = 2, hidden = 256}`.

    Only kind, layers and hidden are required. The rest is as usual for the kind: heads of 64 (else
    one that divides), ffn = 4 hidden, albert embeddings of 128, 512 positions, no dropout in the
    encoder, 0.1 before the classifier.

    Args:
        shape: fields of EncoderConfig.
        vocab_size: the tokenizer's.
        pad_id: the tokenizer's.

    Raises:
        ConfigError: a field is missing, unknown or does not fit the others.
    """
    # what only the user can know
    missing = [key for key in ("kind", "layers", "hidden") if key not in shape]
    if missing:
        raise ConfigError(f"encoder shape {dict(shape)}: {', '.join(missing)} must be given")

    kind, hidden = shape["kind"], shape["hidden"]
    if not isinstance(hidden, int) or not 1 <= hidden <= _WIDEST:
        raise ConfigError(
            f"encoder shape: hidden = {short_value(hidden)} must be a whole number from 1 to "
            f"{_WIDEST:,}"
        )

    # all the rest, unless the shape says otherwise
    usual = {
        "vocab_size": vocab_size,
        "positions": 512 + (pad_id + 1 if kind == "roberta" else 0),
        "types": {"distilbert": 0, "roberta": 1}.get(str(kind), 2),
        "embedding": min(128, hidden) if kind == "albert" else hidden,
        "heads": next(n for n in range(max(1, hidden // 64), 0, -1) if hidden % n == 0),
        "ffn": 4 * hidden,
        "activation": "gelu",
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "classifier_dropout": 0.1,
        "eps": 1e-5 if kind == "roberta" else 1e-12,
        "init_range": 0.02,
        "pad_id": pad_id,
    }
    return toml.build_config(EncoderConfig, {**usual, **shape}, where="encoder shape")
