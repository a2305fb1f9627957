"""Case and accents of a tokenizer's normaliser: what it does, what a folder's flags ask for, what its vocabulary needs.

Three published mistakes are behind this file. A cased text met a lower-case vocabulary, so that every capital became
unknown (the flags of the first ALBETO fine-tunings, and one test command of DistilBETO). Accents were stripped although
the vocabulary has thousands of accented pieces (`año` and `ano`, `hacía` and `hacia` became one). And a missing flag
was read as "strip".
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer as Backend

Json = dict[str, Any]


def lowers(spec: Json) -> bool:
    """True when the normaliser of a tokenizer.json turns capitals into small letters."""
    return _normalised(spec, "A") == "a"


def strips(spec: Json) -> bool:
    """True when the normaliser of a tokenizer.json turns `ñ` and `í` into `n` and `i`."""
    return "n" in _normalised(spec, "ñ") and "\u0303" not in _normalised(spec, "ñ")


def lower_only(pieces: Iterable[str]) -> bool:
    """True when a vocabulary spells words in small letters only; bracketed specials do not count."""
    words = "\n".join(p for p in pieces if not (p[:1] + p[-1:] in ("[]", "<>") and len(p) > 2))
    return re.search("[a-z]", words) is not None and re.search("[A-Z]", words) is None


def accented(pieces: Iterable[str]) -> bool:
    """True when a vocabulary has pieces that only accented text can reach."""
    return re.search("[áéíóúñü]", "\n".join(pieces)) is not None


def is_bytelevel(spec: Json) -> bool:
    """True when the pre-tokenizer spells words in bytes, where every character is known."""
    return any(step["type"] == "ByteLevel" for step in steps(spec["pre_tokenizer"]))


def steps(part: Json | None) -> list[Json]:
    """The steps of a normaliser or pre-tokenizer as a flat list; empty for None."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        inner = next(
            value for key, value in part.items() if key != "type"
        )  # the list has a name per kind of part
        return [step for p in inner for step in steps(p)]
    return [part]


def apply(spec: Json, *, lowercase: bool | None, keep_accents: bool | None) -> Json:
    """The tokenizer.json with its normaliser set to lower-case (or not) and to keep accents (or not).

    None leaves that half as it is. The steps that belong to neither stay in their order.
    """
    chain = [dict(step) for step in steps(spec["normalizer"])]
    bert = next((step for step in chain if step["type"] == "BertNormalizer"), None)
    if bert is not None:
        bert["lowercase"] = bert["lowercase"] if lowercase is None else lowercase
        bert["strip_accents"] = (
            bert.get("strip_accents") if keep_accents is None else not keep_accents
        )
        return {**spec, "normalizer": _sequence(chain)}
    if keep_accents is True and strips(spec):
        chain = _without_stripping(chain)
    if lowercase is False:
        chain = [step for step in chain if step["type"] != "Lowercase"]
    if lowercase is True and not lowers(spec):
        chain.insert(0, {"type": "Lowercase"})
    if keep_accents is False and not strips(spec):
        chain[:0] = [{"type": "NFKD"}, {"type": "StripAccents"}]
    return {**spec, "normalizer": _sequence(chain)}


def _without_stripping(chain: list[Json]) -> list[Json]:
    """The chain without its StripAccents steps and the decomposition before each, which served them only."""
    kept: list[Json] = []
    for step in chain:
        if step["type"] != "StripAccents":
            kept.append(step)
        elif kept and kept[-1]["type"] in ("NFD", "NFKD"):
            kept.pop()
    return kept


def _sequence(chain: list[Json]) -> Json | None:
    if not chain:
        return None
    return chain[0] if len(chain) == 1 else {"type": "Sequence", "normalizers": chain}


def _normalised(spec: Json, text: str) -> str:
    if spec["normalizer"] is None:
        return text
    # The library builds a normaliser only as part of a tokenizer, so an empty one carries it.
    parts: Json = dict.fromkeys(("pre_tokenizer", "post_processor", "decoder"))
    parts |= {
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"},
    }
    carrier = Backend.from_str(
        json.dumps({"version": "1.0", "normalizer": spec["normalizer"], **parts})
    )
    return unicodedata.normalize("NFD", carrier.normalizer.normalize_str(text)).strip(" ▁")
