"""The `tokenizers` library behind a tokenizer: how it reads files, words and blanks.

The library keeps a `tokenizer.json` in a form of its own, so a file is read once, written back by
the library, and everything else looks at that.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tokenizers import Tokenizer as Backend

from destila.errors import TokenizerError
from destila.reading.blame import Blaming
from destila.reading.escaping import short_value
from destila.reading.shapes import MOST_PIECES
from destila.reading.values import MalformedError, parse_json
from destila.tokenizer.spec import Json, steps

FETCH_AGAIN = "fetch or write it again"
"""What helps when a file of a tokenizer is damaged."""

_MARKS = "▁ Ġ"
_LONG_NUMBER = re.compile(r":\s*\d{8}")


@dataclass(frozen=True, slots=True)
class CanonicalSpec:
    """A tokenizer.json as the library writes it: its text, its content, the library's tokenizer."""

    text: str
    spec: Json
    backend: Any


def canonical_spec(text: str, source: str) -> CanonicalSpec:
    """Read any tokenizer.json and write it as the library does, without truncation and padding.

    A large vocabulary takes the library longer to read than the rest of a start, so callers read
    each state of one once.

    Raises:
        TokenizerError: the library cannot read it.
    """
    _check_ids(text, source)
    backend = _read(text, source)
    backend.no_truncation()
    backend.no_padding()

    text = backend.to_str()
    spec = json.loads(text)
    _check_template(spec, source)
    return CanonicalSpec(text, spec, backend)


def text_and_word_backends(canonical: CanonicalSpec, source: str) -> tuple[Any, Any]:
    """Build the library's tokenizer for texts, and the one for single words.

    The one for words marks the start of what it is given as the start of a word.
    """
    spec = dict(canonical.spec)
    for part in ("post_processor", "pre_tokenizer"):
        spec[part] = deepcopy(spec[part])

    # Offsets are trimmed by us: the library would also cut the first letter of a word whose blank
    # it did not see.
    trims = [step for step in steps(spec["post_processor"]) if step.get("trim_offsets")]
    for step in trims:
        step["trim_offsets"] = False
    for_texts = _read(json.dumps(spec), source) if trims else canonical.backend

    # Two families mark a word by the blank before it, which a word alone does not have.
    changed = False
    for step in steps(spec["pre_tokenizer"]):
        if step["type"] == "ByteLevel" and not step["add_prefix_space"]:
            step["add_prefix_space"] = changed = True
        if step["type"] == "Metaspace" and step["prepend_scheme"] == "never":
            step["prepend_scheme"], changed = "first", True
    for_words = _read(json.dumps(spec), source) if changed else for_texts
    return for_texts, for_words


def unsplit_blanks(backend: Any, vocab: dict[str, int], source: str) -> dict[int, str]:
    """List the blanks that a tokenizer does not split at, as a table from each to a plain one.

    Raises:
        TokenizerError: a token could cross a plain blank.
    """
    # Pieces may respect words even where no splitter does: if none has a blank inside, and unknown
    # characters are not joined across one.
    if _joins(backend, " "):
        crossing_piece = next((p for p in vocab if set(p.strip(_MARKS)) & set(_MARKS)), None)
        probe = backend.encode("日 日", add_special_tokens=False)
        crossing_unknown = any(start < 1 and end > 2 for start, end in probe.offsets)
        if crossing_piece is not None or crossing_unknown:
            raise TokenizerError(
                f"{source} has tokens that cross blanks ({crossing_piece or 'unknown runs'!r}), "
                "but units are whole words: use a tokenizer whose pre-tokenizer splits at blanks"
            )

    blanks = [chr(c) for c in range(0x3001) if chr(c).isspace() and chr(c) != " "]
    return {ord(blank): " " for blank in blanks if _joins(backend, blank)}


def _joins(backend: Any, blank: str) -> bool:
    """Tell whether `a`, a blank and `a` reach the model as one stretch."""
    text = f"a{blank}a"
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)

    parts = [text]
    if backend.pre_tokenizer is not None:
        parts = [part for part, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
    return any(part.count("a") > 1 for part in parts)


def _read(text: str, source: str) -> Any:
    """Build the library's tokenizer of a tokenizer.json; raise TokenizerError when it cannot."""
    problem = f"{source} is not a tokenizer the tokenizers library can read"
    with Blaming(TokenizerError, problem, remedy=FETCH_AGAIN):
        return Backend.from_str(text)


def _check_ids(text: str, source: str) -> None:
    """Raise TokenizerError where an id of a tokenizer.json is too large: the library would abort.

    The file is parsed for it only where some number behind a colon is long enough.
    """
    if not _LONG_NUMBER.search(text):
        return
    try:
        spec = parse_json(text)
    except MalformedError as error:
        raise TokenizerError(f"{source} is not valid JSON ({error}): {FETCH_AGAIN}") from error

    # The vocabulary, and the tokens added to it.
    spec = spec if isinstance(spec, dict) else {}
    model, added = spec.get("model"), spec.get("added_tokens")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    ids = list(vocab.values()) if isinstance(vocab, dict) else []
    ids += [t.get("id") for t in added if isinstance(t, dict)] if isinstance(added, list) else []
    large = [i for i in ids if isinstance(i, int | float) and i >= MOST_PIECES]
    if large:
        raise TokenizerError(
            f"{source} has a piece of id {short_value(large[0])}, at most {MOST_PIECES:,} are "
            f"read: {FETCH_AGAIN}"
        )


def _check_template(spec: Json, source: str) -> None:
    """Raise TokenizerError where a template puts a token that it does not define."""
    for step in steps(spec["post_processor"]):
        if step["type"] != "TemplateProcessing":
            continue
        placed = [
            part["SpecialToken"]["id"]
            for part in chain(step["single"], step["pair"])
            if "SpecialToken" in part
        ]
        unknown = [name for name in placed if name not in step["special_tokens"]]
        if unknown:
            raise TokenizerError(
                f"{source} puts the token {short_value(unknown[0])} around texts, which its "
                f"template does not define: {FETCH_AGAIN}"
            )
