"""Older vocabulary files -> the content of a `tokenizer.json`, so that one reader serves all.

`vocab.txt` (BERT, BETO, DistilBETO), `spiece.model` (ALBERT, ALBETO: Unigram or BPE inside) and
`vocab.json` with `merges.txt` (RoBERTa). Flags that the folder states are honoured; a flag it does
not state is decided by the vocabulary for case, by the family's own rule for accents (BERT strips
them when it lower-cases; ALBERT here keeps them).
"""

from __future__ import annotations

import base64
from pathlib import Path

from tokenizers.normalizers import Precompiled

from destila.errors import TokenizerError
from destila.reading.blame import Blaming
from destila.reading.shapes import MOST_PIECES
from destila.reading.values import read_json_object, read_utf8
from destila.tokenizer import casing
from destila.tokenizer import sentencepiece as spiece
from destila.tokenizer.backends import FETCH_AGAIN
from destila.tokenizer.sentencepiece import SentencePieceModel
from destila.tokenizer.spec import Json
from destila.tokenizer.special_tokens import KNOWN_NAMES, declared_name


def convert(folder: Path, config: Json) -> tuple[Json, Path]:
    """Return the tokenizer.json content for the vocabulary file in a folder, and that file.

    Args:
        folder: of a published model.
        config: content of tokenizer_config.json, may be empty.

    Raises:
        TokenizerError: the folder has none of the known files, or a damaged one.
    """
    if (folder / "vocab.txt").is_file():
        return _from_wordpiece(folder / "vocab.txt", config), folder / "vocab.txt"
    if (folder / "spiece.model").is_file():
        return _from_sentencepiece(folder / "spiece.model", config), folder / "spiece.model"
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        spec = _from_bytelevel(folder / "vocab.json", folder / "merges.txt", config)
        return spec, folder / "vocab.json"
    raise TokenizerError(
        f"{folder} has no tokenizer: looked for tokenizer.json, vocab.txt, spiece.model, "
        "vocab.json with merges.txt"
    )


def bert_template(cls: str, sep: str, ids: dict[str, int]) -> Json:
    """Write BERT's post-processor: `[CLS] A [SEP]` of type 0, in pairs then `B [SEP]` of type 1."""

    def token(name: str, type_id: int) -> Json:
        return {"SpecialToken": {"id": name, "type_id": type_id}}

    single = [token(cls, 0), {"Sequence": {"id": "A", "type_id": 0}}, token(sep, 0)]
    second = [{"Sequence": {"id": "B", "type_id": 1}}, token(sep, 1)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, *second],
        "special_tokens": {
            name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in (cls, sep)
        },
    }


def roberta_template(cls: str, sep: str, ids: dict[str, int]) -> Json:
    """Write RoBERTa's post-processor: `<s> A </s>` and `<s> A </s></s> B </s>`, all of type 0."""
    return {
        "type": "RobertaProcessing",
        "sep": [sep, ids[sep]],
        "cls": [cls, ids[cls]],
        "trim_offsets": True,
        "add_prefix_space": False,
    }


def _from_wordpiece(path: Path, config: Json) -> Json:
    """Convert a BERT `vocab.txt`: one piece per line, `##` inside words."""
    vocab = {line: i for i, line in enumerate(_read_lines(path))}
    names = _special_names(config, vocab, path)
    normaliser = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": _lowercase(config, vocab),
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(vocab[name], name) for name in names.values()],
        "normalizer": normaliser,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": bert_template(names["cls"], names["sep"], vocab),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": names["unk"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }


def _from_sentencepiece(path: Path, config: Json) -> Json:
    """Convert an ALBERT `spiece.model`, whichever algorithm is inside."""
    model = spiece.read_sentencepiece(path)
    vocab = {piece.text: i for i, piece in enumerate(model.pieces)}
    names = _special_names(config, vocab, path)
    marked = model.dummy_prefix and model.collapse_blanks
    metaspace = {
        "type": "Metaspace",
        "replacement": "▁",
        "prepend_scheme": "always" if marked else "never",
        "split": True,
    }
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_of_sentencepiece(model, vocab, set(names.values())),
        "normalizer": _albert_normaliser(model),
        "pre_tokenizer": metaspace,
        "post_processor": bert_template(names["cls"], names["sep"], vocab),
        "decoder": metaspace | {"prepend_scheme": "always" if model.dummy_prefix else "never"},
        "model": _bpe(model, vocab) if model.type == spiece.BPE else _unigram(model),
    }
    return casing.set_casing(
        spec, lowercase=_lowercase(config, vocab), keep_accents=config.get("keep_accents")
    )


def _from_bytelevel(vocab_path: Path, merges_path: Path, config: Json) -> Json:
    """Convert RoBERTa's `vocab.json` and `merges.txt`."""
    remedy = "fetch it again"
    vocab = read_json_object(vocab_path, TokenizerError, remedy=remedy, unique=False)
    if set(map(type, vocab.values())) != {int} or not 0 <= max(vocab.values()) < MOST_PIECES:
        raise TokenizerError(f"{vocab_path} must give every piece a whole number: {remedy}")
    lines = _read_lines(merges_path)
    merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]

    # The mask takes the blank before it, as a word would.
    names = _special_names(config, vocab, vocab_path)
    mask = names.get("mask")
    added = [_added_token(vocab[name], name, lstrip=name == mask) for name in names.values()]

    bytelevel = {
        "type": "ByteLevel",
        "add_prefix_space": config.get("add_prefix_space", False),
        "trim_offsets": True,
        "use_regex": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": bytelevel,
        "post_processor": roberta_template(names["cls"], names["sep"], vocab),
        "decoder": bytelevel,
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": merges,
            "unk_token": None,
            "fuse_unk": False,
        },
    }


def _special_names(config: Json, vocab: dict[str, int], path: Path) -> dict[str, str]:
    """Return role -> name of a vocabulary's special tokens; only the mask may be missing."""
    names: dict[str, str] = {}
    for role, known in KNOWN_NAMES.items():
        declared = declared_name(config, role)
        name = next((n for n in (declared, *known) if n in vocab), None)
        if name is not None:
            names[role] = name
        elif role != "mask":
            candidates = f"{declared or ''} {' '.join(known)}".strip()
            raise TokenizerError(f"{path} has no {role} token: looked for {candidates}")
    return names


def _lowercase(config: Json, vocab: dict[str, int]) -> bool:
    """Return what the flag says, or without one what the vocabulary asks for."""
    flag: bool | None = config.get("do_lower_case")
    return casing.is_lower_only(vocab) if flag is None else flag


def _added_token(id_: int, content: str, *, special: bool = True, lstrip: bool = False) -> Json:
    """Write an entry of `added_tokens`."""
    return {
        "id": id_,
        "content": content,
        "special": special,
        "single_word": False,
        "lstrip": lstrip,
        "rstrip": False,
        "normalized": not special,
    }


def _added_of_sentencepiece(
    model: SentencePieceModel, vocab: dict[str, int], names: set[str]
) -> list[Json]:
    """List the pieces that are looked for before segmentation: specials and some symbols."""
    special = {p.text for p in model.pieces if p.kind in (spiece.CONTROL, spiece.UNKNOWN)}

    # A symbol of one character is safe as a plain piece of BPE: training never merged it.
    symbols: set[str] = set()
    if model.type == spiece.BPE:
        symbols = {p.text for p in model.pieces if p.kind == spiece.USER and len(p.text) > 1}

    added = [_added_token(vocab[text], text) for text in special | names]
    added += [_added_token(vocab[text], text, special=False) for text in symbols - names]
    return sorted(added, key=lambda token: token["id"])


def _albert_normaliser(model: SentencePieceModel) -> Json:
    """Write ALBERT's normaliser: quotes, then the model's compiled rules, then single blanks."""
    # The library looks for rules inside of a character and its accents, and takes the shortest: a
    # rule that lower-cases the bare capital would lose its accent, so these become one first.
    chain: list[Json] = [{"type": "NFC"}] if _lowers(model) else []
    chain += [
        {"type": "Replace", "pattern": {"String": quotes}, "content": '"'}
        for quotes in ("``", "''")
    ]
    if model.charsmap:
        charsmap = base64.b64encode(model.charsmap).decode("ascii")
        chain.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if model.collapse_blanks:
        chain.append({"type": "Strip", "strip_left": True, "strip_right": True})
        chain.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})

    # SentencePiece marks the start of a text whatever it begins with. Metaspace leaves out one that
    # begins with a blank, which only a model that keeps blanks ever sees.
    elif model.dummy_prefix:
        chain.append({"type": "Prepend", "prepend": "▁"})
    return {"type": "Sequence", "normalizers": chain}


def _lowers(model: SentencePieceModel) -> bool:
    """Tell whether the compiled rules of a model lower-case what they read."""
    if not model.charsmap:
        return False
    with Blaming(TokenizerError, "the rules of a spiece.model are damaged", remedy=FETCH_AGAIN):
        lowered: str = Precompiled(model.charsmap).normalize_str("Ñ")
    return lowered == "ñ"


def _unigram(model: SentencePieceModel) -> Json:
    """Write the Unigram model with its scores."""
    normal_scores = [p.score for p in model.pieces if p.kind == spiece.NORMAL]
    best = max(normal_scores, default=0.0)

    # SentencePiece lets a user symbol win against every segmentation of the same characters.
    vocab: list[list[str | float]] = []
    for piece in model.pieces:
        is_symbol = piece.kind == spiece.USER
        vocab.append([piece.text, len(piece.text) * best - 0.1 if is_symbol else piece.score])
    return {
        "type": "Unigram",
        "unk_id": model.unk_id,
        "vocab": vocab,
        "byte_fallback": model.byte_fallback,
    }


def _bpe(model: SentencePieceModel, vocab: dict[str, int]) -> Json:
    """Write the BPE model with a list of merges.

    SentencePiece merges the pair whose result scores highest; a list in that order does the same.
    """
    ranked = sorted(
        (p for p in model.pieces if p.kind == spiece.NORMAL), key=lambda piece: -piece.score
    )
    normal = {piece.text for piece in ranked}

    # Every way to cut a piece into two others is a merge that makes it.
    merges: list[list[str]] = []
    for piece in ranked:
        for cut in range(1, len(piece.text)):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in normal and right in normal:
                merges.append([left, right])
    return {
        "type": "BPE",
        "vocab": vocab,
        "merges": merges,
        "unk_token": model.pieces[model.unk_id].text,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
    }


def _read_lines(path: Path) -> list[str]:
    """Read the lines of a vocabulary file; raise TokenizerError when it is empty or not UTF-8."""
    text = read_utf8(path, TokenizerError, remedy="convert it or fetch it again")
    if not text.strip():
        raise TokenizerError(f"{path} is empty: fetch it again")

    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()  # the end of the last line
    return [line.removesuffix("\r") for line in lines]
