"""A tokenizer trained on lines of Spanish: BPE as ALBETO's, Unigram, WordPiece or byte-level BPE.

ALBETO's vocabulary: SentencePiece-style BPE of 31,000 lower-case pieces, accents kept, ids 0-4
`<pad> <unk> [CLS] [SEP] [MASK]`, then the user symbols `- – £ €`, which no piece is ever merged
with, `▁` before every word. WordPiece follows BERT's layout, byte-level BPE RoBERTa's. Equal lines
give an equal tokenizer, except for Unigram: the library sums its scores in the order of a hash
table, so they differ from run to run.
"""

from __future__ import annotations

import json
import random
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from destila.errors import TokenizerError
from destila.tokenizer.convert import bert_template, roberta_template
from destila.tokenizer.spec import Json, is_bytelevel
from destila.tokenizer.tokenizer import Tokenizer, parse_tokenizer

TokenizerKind = Literal["bpe", "unigram", "wordpiece", "bytelevel"]
SYMBOLS = ("-", "–", "£", "€")
_REPORT = 1000  # lines between two reports of progress
_LONGEST_PIECE = 16  # characters, as in SentencePiece
_ENDLESS = 500  # characters of a run without blanks
_ENDLESS_WORD = re.compile(rf"\S{{{_ENDLESS},}}")


@dataclass(frozen=True, slots=True)
class Layout:
    """The special tokens of a family. order: their names by id, with any further reserved name."""

    pad: str
    unk: str
    cls: str
    sep: str
    mask: str
    order: tuple[str, ...]


ALBERT = Layout(
    pad="<pad>",
    unk="<unk>",
    cls="[CLS]",
    sep="[SEP]",
    mask="[MASK]",
    order=("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
)
BERT = Layout(
    pad="[PAD]",
    unk="[UNK]",
    cls="[CLS]",
    sep="[SEP]",
    mask="[MASK]",
    order=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
)
BETO = Layout(
    pad="[PAD]",
    unk="[UNK]",
    cls="[CLS]",
    sep="[SEP]",
    mask="[MASK]",
    order=("[MASK]", "[PAD]", "[EOS]", "[UNK]", "[CLS]", "[SEP]"),
)
ROBERTA = Layout(
    pad="<pad>",
    unk="<unk>",
    cls="<s>",
    sep="</s>",
    mask="<mask>",
    order=("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
)
_LAYOUTS = {"bpe": ALBERT, "unigram": ALBERT, "wordpiece": BERT, "bytelevel": ROBERTA}

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
_DECODERS = {
    "BPE": _METASPACE,
    "Unigram": _METASPACE,
    "WordPiece": {"type": "WordPiece", "prefix": "##", "cleanup": True},
}


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
    """Train a tokenizer on lines, which are read once and never held in memory.

    Args:
        lines: text; blank lines do not count.
        kind: of vocabulary.
        vocab_size: pieces, special tokens included.
        lowercase: turn capitals into small letters.
        keep_accents: keep á, ñ and the others.
        symbols: single characters that get the first ids and are never merged; byte-level needs
            none.
        alphabet: most frequent characters that are known, for BPE and WordPiece.
        max_length: longest input, in tokens, that its models will take.
        layout: special tokens; None takes the kind's own.
        progress: called with the number of lines read, the last time with all of them.

    Raises:
        TokenizerError: the lines hold no text.
    """
    layout = layout or _LAYOUTS[kind]
    symbols = () if kind == "bytelevel" else symbols

    # The library trains on what the normaliser and the pre-tokenizer make of a line.
    backend, trainer = _untrained(kind, vocab_size, symbols, alphabet, layout)
    backend.normalizer = _normaliser(kind, lowercase, keep_accents)
    backend.pre_tokenizer = _pre_tokenizer(kind, symbols, training=True)
    counted = _CountedLines(lines, progress)
    backend.train_from_iterator(counted, trainer)
    if not counted.count:
        raise TokenizerError("the files hold no text to train a tokenizer on: every line is blank")

    # What it learnt becomes a tokenizer.json in the layout of the family.
    backend.pre_tokenizer = _pre_tokenizer(kind, symbols, training=False)
    spec = json.loads(backend.to_str())
    if kind == "wordpiece":
        spec["model"] = _wordpiece_of_bpe(spec["model"], vocab_size, symbols, layout)
    spec = _arrange(spec, symbols, layout)

    roles = ("pad", "unk", "cls", "sep", "mask")
    config: Json = {f"{role}_token": getattr(layout, role) for role in roles}
    config["model_max_length"] = max_length
    return parse_tokenizer(spec, config, source=f"a new {kind} tokenizer")


def without_endless_words(line: str) -> str:
    """Return a line without runs of characters that are no words: the training would not end.

    Encoded pictures and files without blanks have such runs; the longest word has 23 letters.
    """
    return line if len(line) < _ENDLESS else _ENDLESS_WORD.sub(" ", line)


def reservoir_sample(
    lines: Iterable[str], size: int, sample: list[str], *, seed: int = 0
) -> Iterator[str]:
    """Yield the lines unchanged, while `sample` fills with a uniform sample of them.

    Args:
        lines: text.
        size: most lines of the sample.
        sample: an empty list, filled in place.
        seed: of the choice.
    """
    chance = random.Random(seed)
    for number, line in enumerate(lines):
        if len(sample) < size:
            sample.append(line)
        elif (place := chance.randrange(number + 1)) < size:
            sample[place] = line
        yield line


def vocabulary_fit(tokenizer: Tokenizer, lines: list[str]) -> dict[str, float]:
    """Measure how a vocabulary fits text, by two shares.

    Returns:
        unknown_share: of its tokens.
        tokens_per_word: words stand between blanks.
    """
    pieces = tokenizer.text(lines)
    tokens = sum(len(p.ids) for p in pieces)
    words = sum(len(line.split()) for line in lines)
    unknown = sum(int((p.ids == tokenizer.unk_id).sum()) for p in pieces)
    return {"unknown_share": unknown / max(tokens, 1), "tokens_per_word": tokens / max(words, 1)}


class _CountedLines:
    """Iterates over the lines that hold text, counting them."""

    def __init__(self, lines: Iterable[str], progress: Callable[[int], None] | None) -> None:
        self.lines, self.progress, self.count = lines, progress, 0

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            if not line or line.isspace():
                continue
            line = without_endless_words(line)
            self.count += 1
            if self.progress and self.count % _REPORT == 0:
                self.progress(self.count)
            yield line

        if self.progress:
            self.progress(self.count)


def _normaliser(kind: TokenizerKind, lowercase: bool, keep_accents: bool) -> Any:
    """Build the normaliser: accents, then case, then blanks."""
    chain: list[Any] = [normalizers.NFC()]
    if not keep_accents:
        chain = [normalizers.NFKD(), normalizers.StripAccents()]
    if lowercase:
        chain.append(normalizers.Lowercase())

    # `▁` stands for a plain blank only, so every run of blanks becomes one, as SentencePiece does.
    if kind in ("bpe", "unigram"):
        chain += [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    return normalizers.Sequence(chain)


def _pre_tokenizer(kind: TokenizerKind, symbols: tuple[str, ...], *, training: bool) -> Any:
    """Build the splitter into words; WordPiece is trained on words that are marked with `▁`."""
    if kind == "bytelevel":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    apart = [pre_tokenizers.Split(symbol, "isolated") for symbol in symbols]
    if kind != "wordpiece":
        return pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), *apart])

    marks = [pre_tokenizers.Metaspace()] if training else []
    return pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), *apart, *marks])


def _untrained(
    kind: TokenizerKind, vocab_size: int, symbols: tuple[str, ...], alphabet: int, layout: Layout
) -> tuple[Backend, Any]:
    """Build the library's empty tokenizer and its trainer."""
    options: Json = {"vocab_size": vocab_size, "special_tokens": list(layout.order)}
    options["show_progress"] = False
    if kind == "bytelevel":
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
        return Backend(models.BPE()), trainers.BpeTrainer(**options)

    options["initial_alphabet"] = list(symbols)
    if kind == "unigram":
        return Backend(models.Unigram()), trainers.UnigramTrainer(**options, unk_token=layout.unk)

    # `▁a` and `a` become one piece of WordPiece, so more are needed than asked for.
    if kind == "wordpiece":
        options["vocab_size"] += alphabet
    trainer = trainers.BpeTrainer(
        **options, limit_alphabet=alphabet, max_token_length=_LONGEST_PIECE
    )
    return Backend(models.BPE(unk_token=layout.unk, fuse_unk=True)), trainer


def _wordpiece_of_bpe(bpe: Json, vocab_size: int, symbols: tuple[str, ...], layout: Layout) -> Json:
    """Make a WordPiece model of BPE trained on words marked with `▁`.

    `▁ni` becomes `ni`, `ño` becomes `##ño`. The library's own WordPiece training depends on the
    order of a hash table, so that no run gives the same twice.

    Args:
        bpe: the trained model of the tokenizer.json.
        vocab_size: pieces to keep, the most useful ones.
        symbols: characters that stand alone, never inside a word.
        layout: special tokens.
    """
    skipped = {*layout.order, "▁"}
    by_id = sorted(bpe["vocab"], key=bpe["vocab"].__getitem__)
    trained = [piece for piece in by_id if piece not in skipped]

    # Every letter is known at the start of a word and, punctuation apart, inside one.
    letters = [piece for piece in trained if len(piece) == 1 and piece not in symbols]
    inside = [f"##{letter}" for letter in letters if not _is_punctuation(letter)]

    # Longer pieces, in the order in which they were merged.
    longer = [piece for piece in trained if len(piece) > 1]
    turned = [piece[1:] if piece[0] == "▁" else f"##{piece}" for piece in longer]

    pieces = list(dict.fromkeys([*layout.order, *symbols, *letters, *inside, *turned]))
    return {
        "type": "WordPiece",
        "unk_token": layout.unk,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {piece: i for i, piece in enumerate(pieces[:vocab_size])},
    }


def _is_punctuation(letter: str) -> bool:
    """Tell whether BERT's pre-tokenizer would split a character off."""
    return unicodedata.category(letter)[0] == "P" or letter in string.punctuation


def _arrange(spec: Json, symbols: tuple[str, ...], layout: Layout) -> Json:
    """Put the symbols right after the special tokens, and set template and decoder."""
    model = spec["model"]
    first = [*layout.order, *symbols]
    if model["type"] == "Unigram":
        # A symbol stands alone after the split, so its score never competes.
        scores = dict(model["vocab"])
        pieces = list(dict.fromkeys([*first, *scores]))
        model["vocab"] = [[piece, scores.get(piece, 0.0)] for piece in pieces]
        model["unk_id"] = layout.order.index(layout.unk)
        ids = {piece: i for i, piece in enumerate(pieces)}
    else:
        trained = sorted(model["vocab"], key=model["vocab"].__getitem__)
        ids = {piece: i for i, piece in enumerate(dict.fromkeys([*first, *trained]))}
        model["vocab"] = ids

    in_bytes = is_bytelevel(spec)
    template = roberta_template if in_bytes else bert_template
    spec["post_processor"] = template(layout.cls, layout.sep, ids)
    spec["decoder"] = _BYTES if in_bytes else _DECODERS[model["type"]]
    return spec
