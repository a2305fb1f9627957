"""Older vocabulary files -> the content of a `tokenizer.json`, so that one reader serves every published model.

`vocab.txt` (BERT, BETO, DistilBETO), `spiece.model` (ALBERT, ALBETO: Unigram or BPE inside) and `vocab.json` with
`merges.txt` (RoBERTa). Flags that the folder states are honoured; a flag it does not state is decided by the vocabulary
for case, by the family's own rule for accents (BERT strips them when it lower-cases; ALBERT here keeps them).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from destila.errors import TokenizerError
from destila.tokenizer import casing
from destila.tokenizer import sentencepiece as spiece
from destila.tokenizer.spec import Json
from destila.tokenizer.special_tokens import KNOWN


def convert(folder: Path, config: Json) -> tuple[Json, Path]:
    """The tokenizer.json content for the vocabulary file in a folder, and that file.

    config: tokenizer_config.json, may be empty. Raises TokenizerError when the folder has none of the known files.
    """
    if (folder / "vocab.txt").is_file():
        return wordpiece(folder / "vocab.txt", config), folder / "vocab.txt"
    if (folder / "spiece.model").is_file():
        return sentencepiece(folder / "spiece.model", config), folder / "spiece.model"
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return bytelevel(
            folder / "vocab.json", folder / "merges.txt", config
        ), folder / "vocab.json"
    raise TokenizerError(
        f"{folder} has no tokenizer: looked for tokenizer.json, vocab.txt, spiece.model, vocab.json with merges.txt"
    )


def wordpiece(path: Path, config: Json) -> Json:
    """The tokenizer.json content for a BERT `vocab.txt`: one piece per line, `##` inside words."""
    vocab = {line: i for i, line in enumerate(_lines(path))}
    names = _names(config, vocab, path)
    lowercase = config.get("do_lower_case")
    if lowercase is None:
        lowercase = casing.is_lower_only(vocab)
    normaliser = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": lowercase,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(vocab[name], name) for name in names.values()],
        "normalizer": normaliser,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(names["cls"], names["sep"], vocab),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": names["unk"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }


def sentencepiece(path: Path, config: Json) -> Json:
    """The tokenizer.json content for an ALBERT `spiece.model`, whichever algorithm is inside."""
    model = spiece.read(path)
    vocab = {piece.text: i for i, piece in enumerate(model.pieces)}
    names = _names(config, vocab, path)
    special = [p for p in model.pieces if p.kind in (spiece.CONTROL, spiece.UNKNOWN)]
    # A symbol of one character is safe as a plain piece: training never merged it. A longer one must be found first.
    symbols = [
        p
        for p in model.pieces
        if p.kind == spiece.USER and len(p.text) > 1 and model.type == spiece.BPE
    ]
    added = [_added(vocab[p.text], p.text) for p in special]
    added += [
        _added(vocab[p.text], p.text, special=False)
        for p in symbols
        if p.text not in names.values()
    ]
    added += [_added(vocab[n], n) for n in names.values() if n not in {a["content"] for a in added}]
    keep = config.get("keep_accents")
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(added, key=lambda a: a["id"]),
        "normalizer": _albert_normaliser(model),
        "pre_tokenizer": _metaspace(model.dummy_prefix),
        "post_processor": template(names["cls"], names["sep"], vocab),
        "decoder": _metaspace(model.dummy_prefix),
        "model": _bpe(model, vocab) if model.type == spiece.BPE else _unigram(model),
    }
    lowercase = config.get("do_lower_case")
    return casing.set_casing(
        spec,
        lowercase=casing.is_lower_only(vocab) if lowercase is None else lowercase,
        keep_accents=keep,
    )


def bytelevel(vocab_path: Path, merges_path: Path, config: Json) -> Json:
    """The tokenizer.json content for RoBERTa's `vocab.json` and `merges.txt`."""
    try:
        vocab = json.loads(vocab_path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{vocab_path} is not valid JSON: {error}") from error
    merges = [
        line.split(" ") for line in _lines(merges_path) if line and not line.startswith("#version")
    ]
    names = _names(config, vocab, vocab_path)
    blank = {
        "type": "ByteLevel",
        "add_prefix_space": config.get("add_prefix_space", False),
        "trim_offsets": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(vocab[n], n, lstrip=n == names.get("mask")) for n in names.values()
        ],
        "normalizer": None,
        "pre_tokenizer": {**blank, "use_regex": True},
        "post_processor": roberta_template(names["cls"], names["sep"], vocab),
        "decoder": {**blank, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": merges,
            "unk_token": None,
            "fuse_unk": False,
        },
    }


def template(cls: str, sep: str, ids: dict[str, int]) -> Json:
    """BERT's post-processor: `[CLS] A [SEP]` of type 0, and for pairs `B [SEP]` of type 1 after it."""

    def token(name: str, type_id: int) -> Json:
        return {"SpecialToken": {"id": name, "type_id": type_id}}

    single = [token(cls, 0), {"Sequence": {"id": "A", "type_id": 0}}, token(sep, 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}, token(sep, 1)],
        "special_tokens": {
            name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in (cls, sep)
        },
    }


def roberta_template(cls: str, sep: str, ids: dict[str, int]) -> Json:
    """RoBERTa's post-processor: `<s> A </s>`, and `<s> A </s></s> B </s>` for pairs, all of type 0."""
    return {
        "type": "RobertaProcessing",
        "sep": [sep, ids[sep]],
        "cls": [cls, ids[cls]],
        "trim_offsets": True,
        "add_prefix_space": False,
    }


def _names(config: Json, vocab: dict[str, int], path: Path) -> dict[str, str]:
    """Role -> name of the special tokens of a vocabulary file; only the mask may be missing."""
    names: dict[str, str] = {}
    for role, known in KNOWN.items():
        declared = config.get(f"{role}_token")
        declared = declared.get("content") if isinstance(declared, dict) else declared
        name = next((n for n in (declared, *known) if n in vocab), None)
        if name is not None:
            names[role] = name
        elif role != "mask":
            raise TokenizerError(
                f"{path} has no {role} token: looked for {declared or ''} {' '.join(known)}".strip()
            )
    return names


def _added(id_: int, content: str, *, special: bool = True, lstrip: bool = False) -> Json:
    flags = {"single_word": False, "lstrip": lstrip, "rstrip": False, "normalized": not special}
    return {"id": id_, "content": content, "special": special, **flags}


def _metaspace(dummy_prefix: bool) -> Json:
    scheme = "always" if dummy_prefix else "never"
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}


def _albert_normaliser(model: spiece.Model) -> Json:
    """ALBERT's own replacements of quotes, then the model's compiled rules, then single blanks."""
    chain: list[Json] = [
        {"type": "Replace", "pattern": {"String": quotes}, "content": '"'}
        for quotes in ("``", "''")
    ]
    if model.charsmap:
        charsmap = base64.b64encode(model.charsmap).decode("ascii")
        chain.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if model.collapse_blanks:
        chain.append({"type": "Strip", "strip_left": True, "strip_right": True})
        chain.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    return {"type": "Sequence", "normalizers": chain}


def _unigram(model: spiece.Model) -> Json:
    best = max((p.score for p in model.pieces if p.kind == spiece.NORMAL), default=0.0)
    # SentencePiece lets a user symbol win against every segmentation of the same stretch.
    scores = [len(p.text) * best - 0.1 if p.kind == spiece.USER else p.score for p in model.pieces]
    vocab = [[p.text, score] for p, score in zip(model.pieces, scores, strict=True)]
    return {
        "type": "Unigram",
        "unk_id": model.unk_id,
        "vocab": vocab,
        "byte_fallback": model.byte_fallback,
    }


def _bpe(model: spiece.Model, vocab: dict[str, int]) -> Json:
    """SentencePiece merges the pair whose result scores highest; a merge list in that order does the same."""
    normal = {p.text for p in model.pieces if p.kind == spiece.NORMAL}
    ranked = sorted((p for p in model.pieces if p.kind == spiece.NORMAL), key=lambda p: -p.score)
    merges = [
        [p.text[:cut], p.text[cut:]]
        for p in ranked
        for cut in range(1, len(p.text))
        if p.text[:cut] in normal and p.text[cut:] in normal
    ]
    unknown = model.pieces[model.unk_id].text
    flags = {"unk_token": unknown, "fuse_unk": True, "byte_fallback": model.byte_fallback}
    return {"type": "BPE", "vocab": vocab, "merges": merges, **flags}


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(
            f"{path} is not UTF-8: byte {error.start}. Convert it or fetch it again"
        ) from error
    lines = text.split("\n")
    if not text.strip():
        raise TokenizerError(f"{path} is empty: fetch it again")
    return [line.removesuffix("\r") for line in (lines[:-1] if not lines[-1] else lines)]
