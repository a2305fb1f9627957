"""One tokenizer for every published vocabulary: ids, and for each token its span of the **original** text.

Wraps the `tokenizers` library over a `tokenizer.json` (or an older vocabulary file, see `convert`), never transformers'
own classes, which cannot open a BPE vocabulary under an ALBERT configuration. On loading, the special tokens are found
by name, flags of case and accents are honoured, a lower-case vocabulary that would meet capitals is repaired, and a
tokenizer whose tokens could cross a blank is refused: the units of a text are made of whole words.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Backend

from destila import hub
from destila.errors import TokenizerError
from destila.files import write_text
from destila.tokenizer import casing, special_tokens
from destila.tokenizer.convert import convert
from destila.tokenizer.spec import is_bytelevel, steps
from destila.types import CharSpan

_log = logging.getLogger(__name__)
_FLAGS = ("do_lower_case", "strip_accents", "keep_accents")
_CHUNK = 4096  # texts per call of the library: its encodings are large, ours are not
_BATCH = 512  # texts per call for `ids`: few, so that the library's encodings stay small
_CACHE_WORDS = 100_000  # about 40 MB
_MARKS = "▁ Ġ"


@dataclass(frozen=True, slots=True)
class Pieces:
    """Tokens of one text or word without specials.

    ids i32 [n]; spans i32 [n, 2] in code points of the original text, blanks cut off at both ends. The tokens of one
    character share its span; a token that is only a word-start mark has an empty span where its word starts.
    """

    ids: np.ndarray
    spans: np.ndarray


class Tokenizer:
    """A loaded tokenizer; made by `load_tokenizer` or `parse_tokenizer`.

    mask_id: None without a mask token. max_length: None when the files do not state one. source: the file it was read
    from. notes: what was repaired on loading.
    """

    def __init__(
        self,
        settled: _Settled,
        vocab: dict[str, int],
        found: special_tokens.Specials,
        *,
        max_length: int | None,
        source: str,
    ) -> None:
        self._json, self._specials = settled.text, found
        self._backend, self._words = _backends(settled, source)
        self._cache: dict[str, Pieces] = {}
        self._marks = frozenset(
            vocab[piece] for piece in vocab if piece[:1] in _MARKS and not piece.strip(_MARKS)
        )
        self._blanks = _blanks_to_flatten(self._backend, vocab, source)
        self._single, self._pair = special_tokens.frames(self._backend, found, source)
        self.pad_id, self.unk_id = found.pad[1], found.unk[1]
        self.cls_id, self.sep_id = found.cls[1], found.sep[1]
        self.mask_id = found.mask[1] if found.mask else None
        self.vocab_size = max(vocab.values()) + 1
        self.max_length, self.source = max_length, source
        self.notes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Names the exact segmentation and the special ids."""
        from destila.config import (
            fingerprint,
        )  # a tenth of a second that a prediction need not wait

        found = self._specials
        names = [found.pad, found.unk, found.cls, found.sep, found.mask]
        return fingerprint(self._json, [list(n) if n else None for n in names])

    def text(self, texts: Sequence[str]) -> list[Pieces]:
        """The tokens of each text, without specials; an empty text has none."""
        return [pieces for _, pieces in self._encode(self._backend, texts)]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, as `text` gives them but without spans, which cost several times as much."""
        found: list[list[int]] = []
        for start in range(0, len(texts), _BATCH):
            batch = [self._encodable(text) for text in texts[start : start + _BATCH]]
            found += [
                e.ids for e in self._backend.encode_batch_fast(batch, add_special_tokens=False)
            ]
        return found

    def words(self, text: str, words: Sequence[CharSpan]) -> list[Pieces]:
        """The tokens of each word of a text, every word encoded on its own as the start of a word; spans into `text`.

        A word that yields no token gets one unknown token that covers it.
        """
        return self.words_many([(text, words)])[0]

    def words_many(self, texts: Iterable[tuple[str, Sequence[CharSpan]]]) -> list[list[Pieces]]:
        """`words` of many texts, in one call of the library for all words not seen before."""
        return [list(_split(pieces, sizes)) for pieces, sizes in self.words_joined(texts)]

    def words_joined(
        self, texts: Iterable[tuple[str, Sequence[CharSpan]]]
    ) -> list[tuple[Pieces, list[int]]]:
        """`words` of many texts, of each the tokens of all words in a row and how many of them each word has."""
        texts = list(texts)
        known = self._known({text[start:end] for text, words in texts for start, end in words})
        return [
            _joined([known[text[start:end]] for start, end in words], words)
            for text, words in texts
        ]

    def special_count(self, pair: bool) -> int:
        """How many special tokens `frame` adds to one text, or to a pair."""
        return (self._pair if pair else self._single).specials()

    def frame(
        self, a: Pieces, b: Pieces | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One model input: ids i32 [L], type ids i32 [L], spans i32 [L, 2], part i8 [L].

        Specials stand where this tokenizer's own template has them, with span (0, 0) and part -1; part is 0 for
        the first text and 1 for the second, whose spans are into the second text.
        """
        frame = self._single if b is None else self._pair
        second = _NOTHING if b is None else b
        ids = np.concatenate([frame.before, a.ids, frame.between, second.ids, frame.after])
        spans, part = np.zeros((len(ids), 2), np.int32), np.full(len(ids), -1, np.int8)
        types = np.full(len(ids), frame.types[0], np.int32)
        end = 0
        for number, (pieces, gap) in enumerate(((a, frame.before), (second, frame.between))):
            start = end + len(gap)
            types[end:start] = frame.types[2 * number]
            end = start + len(pieces.ids)
            spans[start:end], part[start:end], types[start:end] = (
                pieces.spans,
                number,
                frame.types[2 * number + 1],
            )
        types[end:] = frame.types[4]
        return ids, types, spans, part

    def pieces_of(self, ids: Iterable[int]) -> list[str]:
        """The vocabulary's spelling of ids; raises TokenizerError for an id outside it."""
        pieces = [self._backend.id_to_token(int(i)) for i in ids]
        if None in pieces:
            raise TokenizerError(
                f"{self.source} has {self.vocab_size} tokens; an id is outside of them"
            )
        return [piece for piece in pieces if piece is not None]

    def spell(self, ids: Iterable[int]) -> list[str]:
        """What each id alone spells, by the tokenizer's own decoder; "" for specials and for ids that are not used."""
        found: list[str] = self._backend.decode_batch(
            [[int(i)] for i in ids], skip_special_tokens=True
        )
        return found

    def id_of(self, piece: str) -> int | None:
        """The id of a piece of the vocabulary, None when there is none."""
        found: int | None = self._backend.token_to_id(piece)
        return found

    def content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What it was made of: the content of its tokenizer.json and of its tokenizer_config.json, for `parse_tokenizer`."""
        found = self._specials
        named = {
            "pad": found.pad,
            "unk": found.unk,
            "cls": found.cls,
            "sep": found.sep,
            "mask": found.mask,
        }
        config: dict[str, Any] = {
            f"{role}_token": token[0] for role, token in named.items() if token
        }
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        if self.max_length is not None:
            config["model_max_length"] = self.max_length
        return json.loads(self._json), config

    def save(self, folder: Path | str, *, input_names: Sequence[str] | None = None) -> None:
        """Nothing; writes tokenizer.json and tokenizer_config.json, which transformers' fast class loads too.

        input_names: what transformers feeds the model with; None adds token types where the frame of pairs uses them
        (transformers gives none by itself; DistilBERT takes none).
        """
        _, config = self.content()
        types = ["token_type_ids"] if any(self._pair.types) else []
        config["model_input_names"] = list(input_names or ["input_ids", *types, "attention_mask"])
        write_text(
            Path(folder) / "tokenizer_config.json",
            json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        )
        write_text(Path(folder) / "tokenizer.json", self._json)

    def _known(self, words: set[str]) -> dict[str, Pieces]:
        if len(self._cache) > _CACHE_WORDS:
            self._cache = {}
        new = [word for word in words if word not in self._cache]
        for word, pieces in self._encode(self._words, new):
            self._cache[word] = pieces if len(pieces.ids) else self._unknown(word)
        return self._cache

    def _unknown(self, word: str) -> Pieces:
        return Pieces(np.array([self.unk_id], np.int32), np.array([[0, len(word)]], np.int32))

    def _encode(self, backend: Any, texts: Sequence[str]) -> Iterable[tuple[str, Pieces]]:
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            encodings = backend.encode_batch(
                [self._encodable(t) for t in chunk], add_special_tokens=False
            )
            for text, encoding in zip(chunk, encodings, strict=True):
                yield text, self._pieces(text, encoding.ids, encoding.offsets)

    def _encodable(self, text: str) -> str:
        """The text with characters exchanged one for one: rare blanks that would glue words, halves of pairs."""
        if text.isascii() and not self._blanks:
            return text
        text = text.translate(self._blanks)
        if any("\ud800" <= c <= "\udfff" for c in text):  # half a surrogate pair, from broken JSON
            text = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
        return text

    def _pieces(self, text: str, ids: list[int], offsets: list[CharSpan]) -> Pieces:
        spans = np.empty((len(ids), 2), np.int32)
        for i, (start, end) in enumerate(offsets):
            while start < end and text[start].isspace():
                start += 1
            while start < end and text[end - 1].isspace():
                end -= 1
            spans[i] = (start, start) if ids[i] in self._marks else (start, end)
        if not text.isascii():
            _cover_combining(text, spans)
        return Pieces(np.array(ids, np.int32), spans)


def _joined(known: Sequence[Pieces], words: Sequence[CharSpan]) -> tuple[Pieces, list[int]]:
    """The tokens of words in a row, with spans moved to where the words stand, and the number of each word's."""
    if not known:
        return _NOTHING, []
    sizes = [len(pieces.ids) for pieces in known]
    starts = np.repeat(np.array([start for start, _ in words], np.int32), sizes)
    ids, spans = np.concatenate([p.ids for p in known]), np.concatenate([p.spans for p in known])
    return Pieces(ids, spans + starts[:, None]), sizes


def _split(pieces: Pieces, sizes: Sequence[int]) -> Iterator[Pieces]:
    for end, size in zip(accumulate(sizes), sizes, strict=True):
        yield Pieces(pieces.ids[end - size : end], pieces.spans[end - size : end])


_NOTHING = Pieces(np.empty(0, np.int32), np.empty((0, 2), np.int32))


def load_tokenizer(
    source: str | Path, *, lowercase: bool | None = None, keep_accents: bool | None = None
) -> Tokenizer:
    """The tokenizer in a folder, in a `tokenizer.json`, or under a hub name.

    lowercase, keep_accents: override what the folder's flags say; None follows them. Raises TokenizerError for a file
    that is damaged, lacks a special token or lets tokens cross blanks; ModelError for a name that is not found.
    """
    file = Path(source)
    if not file.is_file():
        file = hub.resolve(source, what="tokenizer") / "tokenizer.json"
    config = _config(file.parent)
    if (
        config.get("tokenizer_class") == "PreTrainedTokenizerFast"
    ):  # reads no flags: its tokenizer.json says it all
        config = {key: value for key, value in config.items() if key not in _FLAGS}
    if lowercase is not None:
        config["do_lower_case"] = lowercase
    if keep_accents is not None:
        config |= {"keep_accents": keep_accents, "strip_accents": not keep_accents}
    if file.is_file():
        return _parsed(_canonical(_text(file), str(file)), config, str(file))
    spec, file = convert(file.parent, config)
    return parse_tokenizer(spec, config, source=str(file))


def parse_tokenizer(
    spec: dict[str, Any], config: dict[str, Any] | None = None, *, source: str
) -> Tokenizer:
    """The tokenizer of a tokenizer.json's content and a tokenizer_config.json's; see `load_tokenizer`."""
    return _parsed(_canonical(json.dumps(spec), source), config or {}, source)


@dataclass(frozen=True, slots=True)
class _Settled:
    """A tokenizer.json as the library itself writes it: its text, its content, and the library's tokenizer of it."""

    text: str
    spec: dict[str, Any]
    backend: Any


def _canonical(text: str, source: str) -> _Settled:
    """Any tokenizer.json, as the library writes it, without truncation and padding.

    A large vocabulary takes the library longer to read than the rest of a start, so it reads each state of one once.
    """
    backend = _backend(text, source)
    backend.no_truncation()
    backend.no_padding()
    text = backend.to_str()
    return _Settled(text, json.loads(text), backend)


def _parsed(settled: _Settled, config: dict[str, Any], source: str) -> Tokenizer:
    strip, keep = config.get("strip_accents"), config.get("keep_accents")
    keep = keep if keep is not None or strip is None else not strip
    spec = casing.set_casing(settled.spec, lowercase=config.get("do_lower_case"), keep_accents=keep)
    spec, notes = _repaired(spec, source)
    if (
        spec["normalizer"] != settled.spec["normalizer"]
    ):  # the only part that the two lines above touch
        settled = _canonical(json.dumps(spec), source)
    ids = settled.backend.get_vocab(with_added_tokens=True)
    limit = config.get("model_max_length")
    max_length = int(limit) if isinstance(limit, int | float) and 0 < limit < 1_000_000 else None
    found = special_tokens.find(settled.spec, config, ids, source)
    tokenizer = Tokenizer(settled, ids, found, max_length=max_length, source=source)
    tokenizer.notes = notes
    return tokenizer


def _repaired(spec: dict[str, Any], source: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The spec made fit for cased text, and what was done about it."""
    if is_bytelevel(spec):
        return spec, ()
    named = {token["content"] for token in spec["added_tokens"]}
    vocab = spec["model"]["vocab"]
    pieces = [
        p
        for p in (vocab if isinstance(vocab, dict) else (entry[0] for entry in vocab))
        if p not in named
    ]
    notes: list[str] = []
    if casing.is_lower_only(pieces) and not casing.lowers_case(spec):
        notes.append(
            "the vocabulary is lower-case only but nothing lower-cased the text: now it is lower-cased"
        )
        spec = casing.set_casing(spec, lowercase=True, keep_accents=None)
    if casing.strips_accents(spec) and casing.has_accents(pieces):
        notes.append(
            "accents are stripped ('año' becomes 'ano') although the vocabulary has them: see keep_accents"
        )
    for note in notes:
        _log.warning("%s: %s", source, note)
    return spec, tuple(notes)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8: {error}. Fetch or write it again") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise TokenizerError(
            f"{path} is not valid JSON: {error}. Fetch or write it again"
        ) from error
    if not isinstance(content, dict):
        raise TokenizerError(f"{path} holds no JSON object: fetch or write it again")
    return content


def _config(folder: Path) -> dict[str, Any]:
    files = [
        folder / "special_tokens_map.json",
        folder / "tokenizer_config.json",
    ]  # the later one wins
    return {key: value for file in files if file.is_file() for key, value in _read(file).items()}


def _backend(text: str, source: str) -> Any:
    try:
        return Backend.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise TokenizerError(
            f"{source} is not a tokenizer the tokenizers library can read: {error}"
        ) from error


def _backends(settled: _Settled, source: str) -> tuple[Any, Any]:
    """The library's tokenizer for texts, and the one for words, which marks the start of a text as a word's start."""
    spec = {
        **settled.spec,
        **{part: deepcopy(settled.spec[part]) for part in ("post_processor", "pre_tokenizer")},
    }
    trims = [step for step in steps(spec["post_processor"]) if step.get("trim_offsets")]
    for (
        step
    ) in trims:  # it would also cut the first letter of a word whose blank it did not see; we trim
        step["trim_offsets"] = False
    whole = _backend(json.dumps(spec), source) if trims else settled.backend
    changed = False
    for step in steps(spec["pre_tokenizer"]):
        if step["type"] == "ByteLevel" and not step["add_prefix_space"]:
            step["add_prefix_space"] = changed = True
        if step["type"] == "Metaspace" and step["prepend_scheme"] == "never":
            step["prepend_scheme"], changed = "first", True
    return whole, _backend(json.dumps(spec), source) if changed else whole


def _blanks_to_flatten(backend: Any, vocab: dict[str, int], source: str) -> dict[int, str]:
    """Blanks that this tokenizer does not split at, as a table that turns each into a plain blank.

    Raises TokenizerError when a token could cross a plain blank.
    """
    if _glues(backend, " "):
        inner = next((p for p in vocab if any(mark in p.strip("▁ Ġ") for mark in "▁ Ġ")), None)
        probe = backend.encode("日 日", add_special_tokens=False)
        crossing = any(start < 1 and end > 2 for start, end in probe.offsets)
        if inner is not None or crossing:
            raise TokenizerError(
                f"{source} has tokens that cross blanks ({inner or 'unknown runs'!r}), but units are whole words: "
                "use a tokenizer whose pre-tokenizer splits at blanks"
            )
    blanks = (chr(c) for c in range(0x3001) if chr(c).isspace() and chr(c) != " ")
    return {ord(blank): " " for blank in blanks if _glues(backend, blank)}


def _glues(backend: Any, blank: str) -> bool:
    """True when `a`, a blank and `a` reach the model as one stretch."""
    text = f"a{blank}a"
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    parts = (
        [text]
        if backend.pre_tokenizer is None
        else [p for p, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
    )
    return any(part.count("a") > 1 for part in parts)


def _cover_combining(text: str, spans: np.ndarray) -> None:
    """Extends, in place, spans over combining accents that composition swallowed (`e` + accent is one piece)."""
    ends = [*spans[1:, 0].tolist(), len(text)]
    for i, limit in enumerate(ends[: len(spans)]):
        start, end = spans[i].tolist()
        while start < end < limit and unicodedata.combining(text[end]):
            end += 1
        spans[i, 1] = end
