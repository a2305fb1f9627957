"""The table of a tokenizer that a study trains on its own text."""

from __future__ import annotations

from typing import Literal

from destila.config import Options, opt
from destila.reading.shapes import MOST_PIECES


class TokenizerSpec(Options):
    """A tokenizer trained on the study's own training text."""

    kind: Literal["bpe", "unigram", "wordpiece"] = opt("bpe", "algorithm")
    vocab_size: int = opt(8000, "pieces, specials included", ge=300, le=MOST_PIECES)
    lowercase: bool = opt(True, "lower-case the text first; accents and ñ are always kept")
