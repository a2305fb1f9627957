"""Trains a tokenizer on lines of Spanish: BPE after ALBETO's recipe, Unigram, WordPiece or byte-level BPE.

ALBETO's vocabulary (fact sheet of the published models): SentencePiece-style BPE of 31,000 lower-case pieces, accents
kept, ids 0-4 `<pad> <unk> [CLS] [SEP] [MASK]`, then the user symbols `- – £ €`, which no piece is ever merged with,
`▁` before every word. WordPiece follows BERT's layout, byte-level BPE RoBERTa's. Equal lines give an equal tokenizer,
except for Unigram: the library sums its scores in the order of a hash table, so they differ from run to run.
"""

from __future__ import annotations

import json
import random
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from destila.errors import TokenizerError
from destila.tokenizer.convert import roberta_template, template
from destila.tokenizer.spec import Json, is_bytelevel
from destila.tokenizer.tokenizer import Tokenizer, parse_tokenizer

TokenizerKind = Literal["bpe", "unigram", "wordpiece", "bytelevel"]
SYMBOLS = ("-", "–", "£", "€")
_REPORT = 1000  # lines between two reports of progress


@dataclass(frozen=True, slots=True)
class Layout:
    """The special tokens of a family. order: their names by id, with any further reserved name in its place."""

    pad: str
    unk: str
    cls: str
    sep: str
    mask: str
    order: tuple[str, ...]


ALBERT = Layout(
    "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
)
BERT = Layout(
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
)
BETO = Layout(
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ("[MASK]", "[PAD]", "[EOS]", "[UNK]", "[CLS]", "[SEP]"),
)
ROBERTA = Layout(
    "<pad>", "<unk>", "<s>", "</s>", "<mask>", ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
)
_LAYOUTS = {"bpe": ALBERT, "unigram": ALBERT, "wordpiece": BERT, "bytelevel": ROBERTA}


def learn(
    lines: Iterable[str],
    *,
    kind: TokenizerKind = "bpe",
    vocab_size: int = 31_000,
    lowercase: bool = True,
    keep_accents: bool = True,
    symbols: tuple[str, ...] = SYMBOLS,
    alphabet: int = 1000,
    max_length: int = 512,
    layout: Layout | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tokenizer:
    """A tokenizer trained on lines, which are read once and never held in memory.

    symbols: single characters that get the first ids and are never merged (not for byte-level, which needs none).
    alphabet: most frequent characters that are known, BPE and WordPiece. layout: None takes the kind's own.
    progress: called with the number of lines read, the last time with all of them.
    Raises TokenizerError when the lines hold no text.
    """
    layout = layout or _LAYOUTS[kind]
    symbols = () if kind == "bytelevel" else symbols
    backend, trainer = _untrained(kind, vocab_size, symbols, alphabet, layout)
    backend.normalizer = _normaliser(kind, lowercase, keep_accents)
    backend.pre_tokenizer = _pre_tokenizer(kind, symbols, training=True)
    counted = _Counted(lines, progress)
    backend.train_from_iterator(counted, trainer)
    if not counted.count:
        raise TokenizerError("the files hold no text to train a tokenizer on: every line is blank")
    backend.pre_tokenizer = _pre_tokenizer(kind, symbols, training=False)
    spec = json.loads(backend.to_str())
    if kind == "wordpiece":
        spec["model"] = _wordpiece(spec["model"], vocab_size, symbols, layout)
    spec = _arranged(spec, symbols, layout)
    names = {
        f"{role}_token": getattr(layout, role) for role in ("pad", "unk", "cls", "sep", "mask")
    }
    return parse_tokenizer(
        spec, {**names, "model_max_length": max_length}, source=f"a new {kind} tokenizer"
    )


def sample_lines(lines: Iterable[str], size: int, kept: list[str], *, seed: int = 0) -> Iterator[str]:
    """The lines unchanged, while `kept` fills with a uniform sample of at most `size` of them."""
    chance = random.Random(seed)
    for number, line in enumerate(lines):
        if len(kept) < size:
            kept.append(line)
        elif (place := chance.randrange(number + 1)) < size:
            kept[place] = line
        yield line


def vocabulary_fit(tokenizer: Tokenizer, lines: list[str]) -> dict[str, float]:
    """How a vocabulary fits text: `unknown_share` of its tokens and `tokens_per_word` (words between blanks)."""
    pieces = tokenizer.text(lines)
    tokens = sum(len(p.ids) for p in pieces)
    words = sum(len(line.split()) for line in lines)
    unknown = sum(int((p.ids == tokenizer.unk_id).sum()) for p in pieces)
    return {"unknown_share": unknown / max(tokens, 1), "tokens_per_word": tokens / max(words, 1)}


class _Counted:
    """Iterates over the lines that hold text, counting them."""

    def __init__(self, lines: Iterable[str], progress: Callable[[int], None] | None) -> None:
        self.lines, self.progress, self.count = lines, progress, 0

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            if not line or line.isspace():
                continue
            self.count += 1
            if self.progress and self.count % _REPORT == 0:
                self.progress(self.count)
            yield line
        if self.progress:
            self.progress(self.count)


def _normaliser(kind: TokenizerKind, lowercase: bool, keep_accents: bool) -> Any:
    accents = (
        [normalizers.NFC()] if keep_accents else [normalizers.NFKD(), normalizers.StripAccents()]
    )
    letters = [normalizers.Lowercase()] if lowercase else []
    # `▁` stands for a plain blank only, so every run of blanks becomes one, as SentencePiece does.
    blanks = (
        [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
        if kind in ("bpe", "unigram")
        else []
    )
    return normalizers.Sequence([*accents, *letters, *blanks])


def _pre_tokenizer(kind: TokenizerKind, symbols: tuple[str, ...], *, training: bool) -> Any:
    if kind == "bytelevel":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    apart = [pre_tokenizers.Split(symbol, "isolated") for symbol in symbols]
    if kind != "wordpiece":
        return pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), *apart])
    marked = [pre_tokenizers.Metaspace()] if training else []
    return pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), *apart, *marked])


def _untrained(
    kind: TokenizerKind, vocab_size: int, symbols: tuple[str, ...], alphabet: int, layout: Layout
) -> tuple[Backend, Any]:
    specials = list(layout.order)
    common: Json = {"vocab_size": vocab_size, "special_tokens": specials, "show_progress": False}
    if kind == "bytelevel":
        letters = pre_tokenizers.ByteLevel.alphabet()
        return Backend(models.BPE()), trainers.BpeTrainer(**common, initial_alphabet=letters)
    common["initial_alphabet"] = list(symbols)
    if kind == "unigram":
        return Backend(models.Unigram()), trainers.UnigramTrainer(**common, unk_token=layout.unk)
    if kind == "wordpiece":
        common["vocab_size"] += (
            alphabet  # `▁a` and `a` become one piece, so more are needed than asked for
        )
    # SentencePiece knows pieces of at most 16 characters.
    merger = trainers.BpeTrainer(**common, limit_alphabet=alphabet, max_token_length=16)
    return Backend(models.BPE(unk_token=layout.unk, fuse_unk=True)), merger


def _wordpiece(merged: Json, vocab_size: int, symbols: tuple[str, ...], layout: Layout) -> Json:
    """A WordPiece model out of BPE trained on words marked with `▁`: `▁ni` becomes `ni`, `ño` becomes `##ño`.

    The library's own WordPiece training depends on the order of a hash table, so that no run gives the same twice.
    """
    trained = [
        p
        for p in sorted(merged["vocab"], key=merged["vocab"].__getitem__)
        if p not in (*layout.order, "▁")
    ]
    letters = [p for p in trained if len(p) == 1 and p not in symbols]
    inside = [
        c for c in letters if unicodedata.category(c)[0] != "P" and c not in string.punctuation
    ]
    turned = [p[1:] if p[0] == "▁" else f"##{p}" for p in trained if len(p) > 1]
    pieces = dict.fromkeys(
        [*layout.order, *symbols, *letters, *(f"##{c}" for c in inside), *turned]
    )
    vocab = {piece: i for i, piece in enumerate(list(pieces)[:vocab_size])}
    return {
        "type": "WordPiece",
        "unk_token": layout.unk,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": vocab,
    }


def _arranged(spec: Json, symbols: tuple[str, ...], layout: Layout) -> Json:
    """The trained tokenizer with the symbols right after the special tokens, and its frame."""
    model = spec["model"]
    if model["type"] == "Unigram":
        scores = dict(model["vocab"])
        pieces = [*layout.order, *symbols, *scores]
        # A symbol stands alone after the split, so its score never competes.
        model["vocab"] = [[p, scores.get(p, 0.0)] for p in dict.fromkeys(pieces)]
        model["unk_id"] = layout.order.index(layout.unk)
        ids = {piece: i for i, (piece, _) in enumerate(model["vocab"])}
    else:
        trained = sorted(model["vocab"], key=model["vocab"].__getitem__)
        ids = {
            piece: i for i, piece in enumerate(dict.fromkeys([*layout.order, *symbols, *trained]))
        }
        model["vocab"] = ids
    byte = is_bytelevel(spec)
    frame = roberta_template if byte else template
    spec["post_processor"] = frame(layout.cls, layout.sep, ids)
    spec["decoder"] = _BYTES if byte else _DECODERS[model["type"]]
    return spec


_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_MARKS = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
_DECODERS = {
    "BPE": _MARKS,
    "Unigram": _MARKS,
    "WordPiece": {"type": "WordPiece", "prefix": "##", "cleanup": True},
}
