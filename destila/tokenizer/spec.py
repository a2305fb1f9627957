"""The content of a `tokenizer.json`, and the questions that several files of this room ask of it.

The content is a plain dictionary, as the `tokenizers` library reads and writes it: `normalizer`,
`pre_tokenizer`, `model`, `post_processor`, `decoder` and `added_tokens`.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def vocabulary(spec: Json) -> dict[str, int]:
    """Return piece -> id of the model; added tokens that are no pieces of it are left out."""
    vocab = spec["model"]["vocab"]
    if isinstance(vocab, dict):
        return vocab

    # A Unigram model lists [piece, score]; the place in the list is the id.
    return {piece: i for i, (piece, _) in enumerate(vocab)}


def steps(part: Json | None) -> list[Json]:
    """Return the steps of a normaliser or pre-tokenizer as a flat list, empty for None."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]

    # The list of a sequence has another name in each kind of part.
    nested = next(value for key, value in part.items() if key != "type")
    flat: list[Json] = []
    for step in nested:
        flat += steps(step)
    return flat


def is_bytelevel(spec: Json) -> bool:
    """Tell whether the pre-tokenizer spells words in bytes, where every character is known."""
    return any(step["type"] == "ByteLevel" for step in steps(spec["pre_tokenizer"]))
