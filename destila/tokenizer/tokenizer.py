"""One tokenizer for every published vocabulary: ids, and each token's span of the original text.

Wraps the `tokenizers` library over a `tokenizer.json` (or an older vocabulary file, see
`convert`), never transformers' own classes, which cannot open a BPE vocabulary under an ALBERT
configuration. On loading, the special tokens are looked up by name, flags of case and accents are
honoured, a lower-case vocabulary that would meet capitals is repaired, and a tokenizer whose
tokens could cross a blank is refused: the units of a text are made of whole words.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from destila import hub
from destila.errors import TokenizerError
from destila.files import write_text
from destila.reading.blame import Blaming
from destila.reading.shapes import TOKENIZER_CONFIG_FILE, read_shape
from destila.reading.values import read_utf8
from destila.tokenizer import casing
from destila.tokenizer.backends import (
    FETCH_AGAIN,
    CanonicalSpec,
    canonical_spec,
    text_and_word_backends,
    unsplit_blanks,
)
from destila.tokenizer.convert import convert
from destila.tokenizer.pieces import (
    NO_PIECES,
    Pieces,
    cover_combining,
    cover_quotes,
    join_pieces,
    split_pieces,
    trim_spans,
)
from destila.tokenizer.spec import Json, is_bytelevel, vocabulary
from destila.tokenizer.special_tokens import SpecialTokens, find_special_tokens, read_templates
from destila.types import CharSpan

_log = logging.getLogger(__name__)
_FLAGS = ("do_lower_case", "strip_accents", "keep_accents")
_TEXTS_PER_CALL = 4096  # the library's encodings are large, ours are not
_IDS_PER_CALL = 512  # texts; few, so that the library's encodings stay small
_CACHE_WORDS = 100_000  # about 40 MB
_MARKS = "▁ Ġ"
_HALVES = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """A loaded tokenizer; made by `load_tokenizer` or `parse_tokenizer`.

    mask_id: None without a mask token. max_length: None when the files do not state one.
    source: the file it was read from. notes: what was repaired on loading.
    """

    def __init__(
        self,
        canonical: CanonicalSpec,
        vocab: dict[str, int],
        specials: SpecialTokens,
        *,
        max_length: int | None,
        source: str,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._json, self._specials = canonical.text, specials
        self._backend, self._word_backend = text_and_word_backends(canonical, source)
        self._words: dict[str, Pieces] = {}
        self._marks = frozenset(
            i for piece, i in vocab.items() if piece[:1] in _MARKS and not piece.strip(_MARKS)
        )
        self._blanks = unsplit_blanks(self._backend, vocab, source)
        self._single, self._pair = read_templates(self._backend, specials, source)

        self.pad_id, self.unk_id = specials.pad[1], specials.unk[1]
        self.cls_id, self.sep_id = specials.cls[1], specials.sep[1]
        self.mask_id = specials.mask[1] if specials.mask else None
        self.vocab_size = max(vocab.values()) + 1
        self.max_length, self.source, self.notes = max_length, source, notes

    @cached_property
    def fingerprint(self) -> str:
        """The name of the exact segmentation and the special ids."""
        from destila.config import (
            fingerprint,  # a tenth of a second that a prediction need not wait
        )

        names = self._specials.by_role().values()
        return fingerprint(self._json, [list(name) if name else None for name in names])

    def text(self, texts: Sequence[str]) -> list[Pieces]:
        """Return the tokens of each text, without specials; an empty text has none."""
        return [pieces for _, pieces in self._encode(self._backend, texts)]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, as `text` does.

        The spans, which are left out, cost several times as much.
        """
        ids: list[list[int]] = []
        for start in range(0, len(texts), _IDS_PER_CALL):
            batch = [self._encodable(text) for text in texts[start : start + _IDS_PER_CALL]]
            encodings = self._backend.encode_batch_fast(batch, add_special_tokens=False)
            ids += [encoding.ids for encoding in encodings]
        return ids

    def words(self, text: str, words: Sequence[CharSpan]) -> list[Pieces]:
        """Return the tokens of each word of a text, each encoded on its own as the start of a word.

        Spans are into `text`. A word that yields no token gets one unknown token that covers it.
        """
        return self.words_many([(text, words)])[0]

    def words_many(self, texts: Iterable[tuple[str, Sequence[CharSpan]]]) -> list[list[Pieces]]:
        """Return `words` of many texts, by one call of the library for all words that are new."""
        return [list(split_pieces(pieces, sizes)) for pieces, sizes in self.words_joined(texts)]

    def words_joined(
        self, texts: Iterable[tuple[str, Sequence[CharSpan]]]
    ) -> list[tuple[Pieces, list[int]]]:
        """Return `words` of many texts: of each the tokens in a row, and how many a word has."""
        rows = [(words, [text[start:end] for start, end in words]) for text, words in texts]
        known = self._encode_words(set(chain.from_iterable(surfaces for _, surfaces in rows)))
        return [join_pieces([known[word] for word in surfaces], words) for words, surfaces in rows]

    def special_count(self, pair: bool) -> int:
        """Count the special tokens that `frame` adds to one text, or to a pair."""
        return (self._pair if pair else self._single).special_count()

    def frame(
        self, a: Pieces, b: Pieces | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Put one text, or two, between special tokens: one model input of L tokens.

        Specials stand where this tokenizer's own template has them, with span (0, 0) and part -1.

        Returns:
            ids: i32 [L].
            types: i32 [L], the type ids.
            spans: i32 [L, 2]; those of the second text are into the second text.
            part: i8 [L], 0 for the first text and 1 for the second.
        """
        template = self._single if b is None else self._pair
        second = NO_PIECES if b is None else b
        gaps = (template.before, template.between)
        ids = np.concatenate([gaps[0], a.ids, gaps[1], second.ids, template.after])  # [L]

        # Everything is special until a text fills its stretch.
        types = np.full(len(ids), template.types[0], np.int32)  # [L]
        spans = np.zeros((len(ids), 2), np.int32)  # [L, 2]
        part = np.full(len(ids), -1, np.int8)  # [L]
        end = 0
        for number, (gap, pieces) in enumerate(zip(gaps, (a, second), strict=True)):
            start = end + len(gap)
            types[end:start] = template.types[2 * number]
            end = start + len(pieces.ids)
            types[start:end] = template.types[2 * number + 1]
            spans[start:end] = pieces.spans
            part[start:end] = number
        types[end:] = template.types[4]
        return ids, types, spans, part

    def pieces_of(self, ids: Iterable[int]) -> list[str]:
        """Return the vocabulary's spelling of ids; raise TokenizerError for an id outside it."""
        pieces = [self._backend.id_to_token(int(i)) for i in ids]
        if None in pieces:
            raise TokenizerError(
                f"{self.source} has {self.vocab_size} tokens; an id is outside of them"
            )
        return [piece for piece in pieces if piece is not None]

    def spell(self, ids: Iterable[int]) -> list[str]:
        """Spell each id alone by the tokenizer's own decoder; "" for specials and unused ids."""
        texts: list[str] = self._backend.decode_batch(
            [[int(i)] for i in ids], skip_special_tokens=True
        )
        return texts

    def id_of(self, piece: str) -> int | None:
        """Return the id of a piece of the vocabulary, None when there is none."""
        number: int | None = self._backend.token_to_id(piece)
        return number

    def content(self) -> tuple[Json, Json]:
        """Return what `parse_tokenizer` takes: tokenizer.json and tokenizer_config.json."""
        names = self._specials.by_role().items()
        config: Json = {f"{role}_token": token[0] for role, token in names if token}
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        if self.max_length is not None:
            config["model_max_length"] = self.max_length
        return json.loads(self._json), config

    def reading(self) -> Json:
        """Return what another reader of tokenizer.json needs for the same tokens, as JSON."""
        texts, words = (
            json.loads(backend.to_str())["pre_tokenizer"]
            for backend in (self._backend, self._word_backend)
        )
        return {
            "unk": self.unk_id,
            "single": self._single.plain(),
            "pair": self._pair.plain(),
            "blanks": {chr(blank): plain for blank, plain in self._blanks.items()},
            "word_pre_tokenizer": None if words == texts else words,
        }

    def save(self, folder: Path | str, *, input_names: Sequence[str] | None = None) -> None:
        """Write tokenizer.json and tokenizer_config.json, which transformers' fast class loads too.

        Args:
            folder: where they go.
            input_names: what transformers feeds the model with; None adds token types where the
                template of pairs uses them (transformers gives none by itself; DistilBERT takes
                none).
        """
        _, config = self.content()
        if not input_names:
            types = ["token_type_ids"] if any(self._pair.types) else []
            input_names = ["input_ids", *types, "attention_mask"]
        config["model_input_names"] = list(input_names)

        folder = Path(folder)
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        write_text(folder / "tokenizer_config.json", text)
        write_text(folder / "tokenizer.json", self._json)

    def _encode_words(self, words: set[str]) -> dict[str, Pieces]:
        """Encode the words that are new, and return all that are known."""
        if len(self._words) > _CACHE_WORDS:
            self._words = {}
        known = self._words  # another thread may begin a new one meanwhile
        new = [word for word in words if word not in known]
        for word, pieces in self._encode(self._word_backend, new):
            if not len(pieces.ids):
                unknown = np.array([self.unk_id], np.int32)
                pieces = Pieces(unknown, np.array([[0, len(word)]], np.int32))
            known[word] = pieces
        return known

    def _encode(self, backend: Any, texts: Sequence[str]) -> Iterator[tuple[str, Pieces]]:
        """Yield each text with its tokens."""
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            batch = texts[start : start + _TEXTS_PER_CALL]
            encodable = [self._encodable(text) for text in batch]
            with Blaming(TokenizerError, f"{self.source} cannot encode a text", remedy=FETCH_AGAIN):
                encodings = backend.encode_batch(encodable, add_special_tokens=False)
            for text, encoding in zip(batch, encodings, strict=True):
                yield text, self._pieces(text, encoding.ids, encoding.offsets)

    def _encodable(self, text: str) -> str:
        """Exchange characters one for one: rare blanks that would join words, halves of pairs."""
        if text.isascii() and not self._blanks:
            return text
        text = text.translate(self._blanks)

        # Broken JSON holds halves of surrogate pairs, which UTF-8 cannot hold.
        return _HALVES.sub("\ufffd", text)

    def _pieces(self, text: str, ids: list[int], offsets: list[CharSpan]) -> Pieces:
        """Make the pieces of a text from the library's ids and offsets."""
        spans = trim_spans(text, offsets)  # [n, 2]

        # A mark without letters covers nothing: its span is empty, where its word starts.
        marks = [i for i, number in enumerate(ids) if number in self._marks]
        spans[marks, 1] = spans[marks, 0]

        if "''" in text or "``" in text:
            cover_quotes(text, spans)
        if not text.isascii():
            cover_combining(text, spans)
        return Pieces(np.array(ids, np.int32), spans)


def load_tokenizer(
    source: str | Path, *, lowercase: bool | None = None, keep_accents: bool | None = None
) -> Tokenizer:
    """Load the tokenizer in a folder, in a `tokenizer.json`, or under a hub name.

    Args:
        source: folder, file or name.
        lowercase: overrides the folder's flag; None follows it.
        keep_accents: overrides the folder's flags; None follows them.

    Raises:
        TokenizerError: a file is damaged, lacks a special token or lets tokens cross blanks.
        ModelError: there is no such name.
    """
    file = Path(source)
    if not file.is_file():
        file = hub.resolve(source, what="tokenizer") / "tokenizer.json"

    # The fast class of transformers reads no flags: its tokenizer.json says it all.
    config = _read_config(file.parent)
    if config.get("tokenizer_class") == "PreTrainedTokenizerFast":
        config = {key: value for key, value in config.items() if key not in _FLAGS}
    if lowercase is not None:
        config["do_lower_case"] = lowercase
    if keep_accents is not None:
        config |= {"keep_accents": keep_accents, "strip_accents": not keep_accents}

    if file.is_file():
        text = read_utf8(file, TokenizerError, remedy=FETCH_AGAIN)
        return _build(canonical_spec(text, str(file)), config, str(file))
    spec, file = convert(file.parent, config)
    return parse_tokenizer(spec, config, source=str(file))


def parse_tokenizer(spec: Json, config: Json | None = None, *, source: str) -> Tokenizer:
    """Make the tokenizer of a tokenizer.json's content and a tokenizer_config.json's.

    Args:
        spec: content of tokenizer.json.
        config: content of tokenizer_config.json; None has no flags and names.
        source: what messages call it.

    Raises:
        TokenizerError: see `load_tokenizer`.
    """
    return _build(canonical_spec(json.dumps(spec), source), config or {}, source)


def _build(canonical: CanonicalSpec, config: Json, source: str) -> Tokenizer:
    """Apply flags and repairs, look up the special tokens, and make the tokenizer."""
    with Blaming(TokenizerError, f"{source} is no tokenizer that can be used", remedy=FETCH_AGAIN):
        return _built(canonical, config, source)


def _built(canonical: CanonicalSpec, config: Json, source: str) -> Tokenizer:
    """Do what `_build` says; the library may fail at any step."""
    strip, keep = config.get("strip_accents"), config.get("keep_accents")
    if keep is None and strip is not None:
        keep = not strip
    lowercase = config.get("do_lower_case")
    spec = casing.set_casing(canonical.spec, lowercase=lowercase, keep_accents=keep)
    spec, notes = _repair_casing(spec, source)

    # The normaliser is the only part that flags and repairs touch.
    if spec["normalizer"] != canonical.spec["normalizer"]:
        canonical = canonical_spec(json.dumps(spec), source)

    ids = canonical.backend.get_vocab(with_added_tokens=True)
    if len(set(ids.values())) < len(ids):
        raise TokenizerError(f"{source} gives one id to two pieces: {FETCH_AGAIN}")
    limit = config.get("model_max_length")
    max_length = int(limit) if isinstance(limit, int | float) and 0 < limit < 1_000_000 else None
    return Tokenizer(
        canonical,
        ids,
        find_special_tokens(canonical.spec, config, ids, source),
        max_length=max_length,
        source=source,
        notes=notes,
    )


def _repair_casing(spec: Json, source: str) -> tuple[Json, tuple[str, ...]]:
    """Make a tokenizer fit for cased text; return it with notes of what was done or is odd."""
    if is_bytelevel(spec):
        return spec, ()
    named = {token["content"] for token in spec["added_tokens"]}
    pieces = [piece for piece in vocabulary(spec) if piece not in named]

    notes: list[str] = []
    if casing.is_lower_only(pieces) and not casing.lowers_case(spec):
        notes.append(
            "the vocabulary is lower-case only but nothing lower-cased the text: now it is "
            "lower-cased"
        )
        spec = casing.set_casing(spec, lowercase=True, keep_accents=None)
    if casing.strips_accents(spec) and casing.has_accents(pieces):
        notes.append(
            "accents are stripped ('año' becomes 'ano') although the vocabulary has them: see "
            "keep_accents"
        )

    for note in notes:
        _log.warning("%s: %s", source, note)
    return spec, tuple(notes)


def _read_config(folder: Path) -> Json:
    """Read tokenizer_config.json over special_tokens_map.json, as far as they are there."""
    config: Json = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            config |= read_shape(path, TOKENIZER_CONFIG_FILE, TokenizerError, remedy=FETCH_AGAIN)
    return config
