"""Case and accents of a tokenizer: what its normaliser does, what flags and vocabulary ask for.

Three published mistakes are behind this file. A cased text met a lower-case vocabulary, so that
every capital became unknown (the flags of the first ALBETO fine-tunings, and one test command of
DistilBETO). Accents were stripped although the vocabulary has thousands of accented pieces (`año`
and `ano`, `hacía` and `hacia` became one). And a missing flag was read as "strip".
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

from tokenizers import Tokenizer as Backend

from destila.tokenizer.spec import Json, steps


def lowers_case(spec: Json) -> bool:
    """Tell whether the normaliser of a tokenizer.json turns capitals into small letters."""
    return _normalise(spec, "A") == "a"


def strips_accents(spec: Json) -> bool:
    """Tell whether the normaliser of a tokenizer.json turns `ñ` and `í` into `n` and `i`."""
    letter = _normalise(spec, "ñ")
    return "n" in letter and "\u0303" not in letter


def is_lower_only(pieces: Iterable[str]) -> bool:
    """Tell whether a vocabulary spells words in small letters only; bracketed specials apart."""
    words = "\n".join(p for p in pieces if not (p[:1] + p[-1:] in ("[]", "<>") and len(p) > 2))
    return re.search("[a-z]", words) is not None and re.search("[A-Z]", words) is None


def has_accents(pieces: Iterable[str]) -> bool:
    """Tell whether a vocabulary has pieces that only accented text can reach."""
    return re.search("[áéíóúñü]", "\n".join(pieces)) is not None


def set_casing(spec: Json, *, lowercase: bool | None, keep_accents: bool | None) -> Json:
    """Return a tokenizer.json whose normaliser lower-cases (or not) and keeps accents (or not).

    Args:
        spec: content of the tokenizer.json; it is not changed.
        lowercase: None leaves the case as it is.
        keep_accents: None leaves the accents as they are.

    """
    chain = [dict(step) for step in steps(spec["normalizer"])]

    # BERT's normaliser has a flag for each half.
    bert = next((step for step in chain if step["type"] == "BertNormalizer"), None)
    if bert is not None:
        if lowercase is not None:
            bert["lowercase"] = lowercase
        stripping = bert.get("strip_accents")
        bert["strip_accents"] = stripping if keep_accents is None else not keep_accents
        return {**spec, "normalizer": _sequence(chain)}

    # Any other is a chain of steps; those that serve neither half stay in their order.
    if keep_accents is True and strips_accents(spec):
        chain = _without_stripping(chain)
    if lowercase is False:
        chain = [step for step in chain if step["type"] != "Lowercase"]
    if lowercase is True and not lowers_case(spec):
        chain.insert(0, {"type": "Lowercase"})
    if keep_accents is False and not strips_accents(spec):
        chain[:0] = [{"type": "NFKD"}, {"type": "StripAccents"}]
    return {**spec, "normalizer": _sequence(chain)}


def _without_stripping(chain: list[Json]) -> list[Json]:
    """Drop the StripAccents steps, and the decomposition before each, which served them only."""
    kept: list[Json] = []
    for step in chain:
        if step["type"] != "StripAccents":
            kept.append(step)
        elif kept and kept[-1]["type"] in ("NFD", "NFKD"):
            kept.pop()
    return kept


def _sequence(chain: list[Json]) -> Json | None:
    """Write a chain of steps as one normaliser, None when it is empty."""
    if not chain:
        return None
    return chain[0] if len(chain) == 1 else {"type": "Sequence", "normalizers": chain}


def _normalise(spec: Json, text: str) -> str:
    """Run the normaliser of a tokenizer.json on a text; accents come back as marks of their own."""
    if spec["normalizer"] is None:
        return text

    # The library builds a normaliser only as part of a tokenizer, so an empty one carries it.
    carrier: Json = dict.fromkeys(("pre_tokenizer", "post_processor", "decoder"))
    carrier |= {"version": "1.0", "normalizer": spec["normalizer"], "added_tokens": []}
    carrier["model"] = {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"}
    normaliser = Backend.from_str(json.dumps(carrier)).normalizer

    return unicodedata.normalize("NFD", normaliser.normalize_str(text)).strip(" ▁")
