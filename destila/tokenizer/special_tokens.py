"""The five special tokens of a tokenizer and the frame it puts around one text or two.

Ids are found by name, never assumed: BETO pads with 1 and masks with 0, ALBETO pads with 0, RoBERTa starts with 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from destila.errors import TokenizerError

KNOWN = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>", "<cls>"),
    "sep": ("[SEP]", "</s>", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
}
_ROLES = {
    "pad": "padding",
    "unk": "unknown",
    "cls": "start (cls)",
    "sep": "end (sep)",
    "mask": "mask",
}


@dataclass(frozen=True, slots=True)
class Specials:
    """Names and ids of the special tokens; mask is None where the tokenizer has none."""

    pad: tuple[str, int]
    unk: tuple[str, int]
    cls: tuple[str, int]
    sep: tuple[str, int]
    mask: tuple[str, int] | None


def find(
    spec: dict[str, Any], config: dict[str, Any], ids: dict[str, int], source: str
) -> Specials:
    """The special tokens of a tokenizer.

    spec: tokenizer.json. config: tokenizer_config.json over special_tokens_map.json. ids: piece -> id.
    A role that the files do not name is looked up under the names in use. Raises TokenizerError for a missing one.
    """
    found = {role: _role(role, spec, config, ids, source) for role in KNOWN}
    for role in ("pad", "unk", "cls", "sep"):
        if found[role] is None:
            raise TokenizerError(
                f"{source} has no {_ROLES[role]} token: looked for '{role}_token' in tokenizer_config.json and for "
                f"{' '.join(KNOWN[role])} in the vocabulary. Name it there, or use another tokenizer"
            )
    return Specials(**found)  # type: ignore[arg-type]


def _role(
    role: str, spec: dict[str, Any], config: dict[str, Any], ids: dict[str, int], source: str
) -> tuple[str, int] | None:
    declared = config.get(f"{role}_token")
    name = declared.get("content") if isinstance(declared, dict) else declared
    if name is not None:
        if name not in ids:
            raise TokenizerError(
                f"{source} names '{name}' as its {_ROLES[role]} token, but no such token is in the vocabulary. "
                "Correct tokenizer_config.json"
            )
        return name, ids[name]
    own = spec["model"].get("unk_token") if role == "unk" else None
    return next(((n, ids[n]) for n in (own, *KNOWN[role]) if n is not None and n in ids), None)


@dataclass(frozen=True, slots=True)
class Frame:
    """Special ids before, between and after one or two texts, and the type id of every stretch."""

    before: np.ndarray
    between: np.ndarray  # empty for one text
    after: np.ndarray
    types: tuple[int, int, int, int, int]  # before, first text, between, second text, after

    def specials(self) -> int:
        """How many special tokens the frame adds."""
        return len(self.before) + len(self.between) + len(self.after)


def frames(backend: Any, specials: Specials, source: str) -> tuple[Frame, Frame]:
    """The frame of one text and of two, read off what the tokenizer's post-processor does to a probe.

    A tokenizer without a post-processor gets BERT's frame, or RoBERTa's where it starts with `<s>`.
    """
    one, two = backend.encode("a"), backend.encode("a", "a")
    if one.sequence_ids and all(part is not None for part in one.sequence_ids):
        return _default(specials)
    return _read(one, source), _read(two, source)


def _read(encoding: Any, source: str) -> Frame:
    ids, types = np.array(encoding.ids, np.int32), encoding.type_ids
    part = np.array([-1 if p is None else p for p in encoding.sequence_ids], np.int8)
    first, second = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    if not len(first):
        raise TokenizerError(
            f"{source} drops the letter 'a': its normaliser or template is damaged. Use another one"
        )
    last = second if len(second) else first
    between = ids[first[-1] + 1 : second[0]] if len(second) else ids[:0]
    before, after = ids[: first[0]], ids[last[-1] + 1 :]
    return Frame(
        before,
        between,
        after,
        (
            types[0] if len(before) else 0,
            types[first[0]],
            types[first[-1] + 1] if len(between) else 0,
            types[second[0]] if len(second) else 0,
            types[-1] if len(after) else 0,
        ),
    )


def _default(specials: Specials) -> tuple[Frame, Frame]:
    cls, sep = np.array([specials.cls[1]], np.int32), np.array([specials.sep[1]], np.int32)
    one = Frame(cls, cls[:0], sep, (0, 0, 0, 0, 0))
    if specials.cls[0] == "<s>":
        return one, Frame(cls, np.concatenate([sep, sep]), sep, (0, 0, 0, 0, 0))
    return one, Frame(cls, sep, sep, (0, 0, 0, 1, 1))
