"""The five special tokens of a tokenizer and the template by which it puts them around texts.

Ids are looked up by name, never assumed: BETO pads with 1 and masks with 0, ALBETO pads with 0,
RoBERTa starts with 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from destila.errors import TokenizerError
from destila.tokenizer.spec import Json

SpecialToken = tuple[str, int]
"""Name and id."""

KNOWN_NAMES = {
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
class SpecialTokens:
    """Names and ids of the special tokens; mask is None where the tokenizer has none."""

    pad: SpecialToken
    unk: SpecialToken
    cls: SpecialToken
    sep: SpecialToken
    mask: SpecialToken | None

    def by_role(self) -> dict[str, SpecialToken | None]:
        """Return the tokens by the name of their role."""
        return {role: getattr(self, role) for role in KNOWN_NAMES}


def find_special_tokens(
    spec: Json, config: Json, ids: dict[str, int], source: str
) -> SpecialTokens:
    """Look up the special tokens of a tokenizer.

    A role that the files do not name is looked up under the names in use.

    Args:
        spec: content of tokenizer.json.
        config: content of tokenizer_config.json over special_tokens_map.json.
        ids: piece -> id.
        source: what messages call the tokenizer.

    Raises:
        TokenizerError: a token other than the mask is missing.
    """
    tokens = {role: _token_of(role, spec, config, ids, source) for role in KNOWN_NAMES}
    for role, token in tokens.items():
        if token is None and role != "mask":
            raise TokenizerError(
                f"{source} has no {_ROLES[role]} token: looked for '{role}_token' in "
                f"tokenizer_config.json and for {' '.join(KNOWN_NAMES[role])} in the vocabulary. "
                "Name it there, or use another tokenizer"
            )
    return SpecialTokens(**tokens)  # type: ignore[arg-type]


def _token_of(
    role: str, spec: Json, config: Json, ids: dict[str, int], source: str
) -> SpecialToken | None:
    """Look up the token of one role: as declared, else under a name in use."""
    name = declared_name(config, role)
    if name is not None and name not in ids:
        raise TokenizerError(
            f"{source} names '{name}' as its {_ROLES[role]} token, but no such token is in the "
            "vocabulary. Correct tokenizer_config.json"
        )

    # The model itself may name its unknown token.
    of_model = spec["model"].get("unk_token") if role == "unk" else None
    candidates = [name] if name is not None else [of_model, *KNOWN_NAMES[role]]
    return next(((n, ids[n]) for n in candidates if n is not None and n in ids), None)


def declared_name(config: Json, role: str) -> str | None:
    """Return the name that a tokenizer_config.json gives to a role, None without one."""
    declared = config.get(f"{role}_token")
    return declared.get("content") if isinstance(declared, dict) else declared


@dataclass(frozen=True, slots=True)
class Template:
    """Special ids before, between and after one or two texts, and the type id of every stretch.

    types: of what stands before, the first text, between, the second text, after.

    BERT's template of a pair: before [CLS], between [SEP], after [SEP], types (0, 0, 0, 1, 1).
    """

    before: np.ndarray
    between: np.ndarray  # empty for one text
    after: np.ndarray
    types: tuple[int, int, int, int, int]

    def plain(self) -> dict[str, list[int]]:
        """Return the template as JSON."""
        parts = {"before": self.before, "between": self.between, "after": self.after}
        return {
            **{name: ids.tolist() for name, ids in parts.items()},
            "types": [int(number) for number in self.types],
        }

    def special_count(self) -> int:
        """Count the special tokens that the template adds."""
        return len(self.before) + len(self.between) + len(self.after)


def read_templates(backend: Any, specials: SpecialTokens, source: str) -> tuple[Template, Template]:
    """Read the templates of one text and of two off what the tokenizer does to a probe.

    A tokenizer without a post-processor gets BERT's, or RoBERTa's where it starts with `<s>`.

    Args:
        backend: the library's tokenizer.
        specials: its special tokens.
        source: what messages call it.
    """
    one, two = backend.encode("a"), backend.encode("a", "a")
    if one.sequence_ids and all(part is not None for part in one.sequence_ids):
        return _default_templates(specials)
    return _template_of(one, source), _template_of(two, source)


def _template_of(encoding: Any, source: str) -> Template:
    """Read a template off an encoded probe of one text or two."""
    ids, types = np.array(encoding.ids, np.int32), encoding.type_ids  # [L]
    part = np.array([-1 if p is None else p for p in encoding.sequence_ids], np.int8)  # [L]
    first, second = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    if not len(first):
        raise TokenizerError(
            f"{source} drops the letter 'a': its normaliser or template is damaged. Use another one"
        )

    # Cut the probe where its texts begin and end.
    before = ids[: first[0]]
    between = ids[first[-1] + 1 : second[0]] if len(second) else ids[:0]
    after = ids[(second if len(second) else first)[-1] + 1 :]

    # The type of a stretch is that of its first token; a stretch without one has 0.
    return Template(
        before=before,
        between=between,
        after=after,
        types=(
            types[0] if len(before) else 0,
            types[first[0]],
            types[first[-1] + 1] if len(between) else 0,
            types[second[0]] if len(second) else 0,
            types[-1] if len(after) else 0,
        ),
    )


def _default_templates(specials: SpecialTokens) -> tuple[Template, Template]:
    """Return RoBERTa's templates where the start token is `<s>`, else BERT's."""
    cls, sep = np.array([specials.cls[1]], np.int32), np.array([specials.sep[1]], np.int32)
    single = Template(before=cls, between=cls[:0], after=sep, types=(0, 0, 0, 0, 0))

    if specials.cls[0] == "<s>":
        two = np.concatenate([sep, sep])
        return single, Template(before=cls, between=two, after=sep, types=(0, 0, 0, 0, 0))
    return single, Template(before=cls, between=sep, after=sep, types=(0, 0, 0, 1, 1))
