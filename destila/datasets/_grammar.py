"""A small context-free grammar that writes labelled Spanish sentences, the same ones for the same seed.

Why: the demo and the tests need labelled Spanish that ships with the code, needs no download and cannot
leak from one split into another. A rule is a list of alternatives; an alternative is text with slots:

    {ciudad}        one alternative of the rule `ciudad`; the same draw each time it is written
    {ciudad2}       another draw of the same rule, different from the others
    {LOC:ciudad}    the same, marked as an entity LOC
    {recibo.1}      form 1 of what `{recibo}` drew; forms are written "la factura|la", "el recibo|lo"

The writer contracts `de el` and `a el`, turns `y` into `e` before an i, `o` into `u` before an o, and puts
capitals where sentences start. `careless` makes a sentence look typed in a hurry.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from destila.errors import DataError
from destila.types import CharSpan

_SLOT = re.compile(
    r"\{(?:(?P<kind>[A-Z]+):)?(?P<rule>[^\W\d]+)(?P<number>\d*)(?:\.(?P<form>\d))?\}"
)
_START = re.compile(r"(?:^|[.!?…] |«)[¿¡«(]*(\w)")
_LINKS = (  # (what follows, what precedes, its replacement)
    (re.compile(r"el "), re.compile(r"\b([Dd]e|[Aa]) $"), r"\1l "),
    (re.compile(r"[IÍií]|[Hh][ií](?!e)"), re.compile(r"\by $"), "e "),
    (re.compile(r"[OÓoó]|[Hh][oó]"), re.compile(r"\bo $"), "u "),
)
_TRIES = 400
_KEPT = {"dev": 3, "test": 7}  # positions modulo 8 of the alternatives that only that split uses
_SLIPS = (
    ("h", ""),
    ("b", "v"),
    ("v", "b"),
    ("ll", "y"),
    ("que", "ke"),
    ("ce", "se"),
    ("z", "s"),
    ("j", "g"),
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Text in pieces, each with the entity it belongs to (None outside)."""

    pieces: tuple[tuple[str, str | None], ...]

    @property
    def text(self) -> str:
        """The whole sentence."""
        return "".join(text for text, _ in self.pieces)

    @property
    def entities(self) -> tuple[tuple[CharSpan, str], ...]:
        """Span of code points and kind of every entity, in order."""
        ends = list(accumulate(len(text) for text, _ in self.pieces))
        return tuple(
            ((end - len(text), end), kind)
            for end, (text, kind) in zip(ends, self.pieces, strict=True)
            if kind
        )


@dataclass(frozen=True)
class Grammar:
    """Rules, and those of which an eighth of the alternatives is kept for dev and another for test (`held`).

    unseen: share of dev's and test's draws of a held rule that come from their own alternatives.
    """

    rules: Mapping[str, Sequence[str]]
    held: frozenset[str] = frozenset()
    unseen: float = 0.25

    def write(self, rule: str, rng: random.Random, *, split: str = "train") -> Sentence:
        """A sentence that starts from a rule.

        split: "dev" and "test" draw now and then from alternatives that no other split uses, so that a score says
        something about wordings and names never seen in training.
        """
        pieces: list[tuple[str, str | None]] = []
        self._expand(self._draw(rule, rng, split).partition("|")[0], None, rng, split, pieces)
        return _capitalised(pieces)

    def _expand(
        self,
        text: str,
        kind: str | None,
        rng: random.Random,
        split: str,
        pieces: list[tuple[str, str | None]],
    ) -> None:
        drawn: dict[str, str] = {}
        at = 0
        for slot in _SLOT.finditer(text):
            _join(pieces, text[at : slot.start()], kind)
            at = slot.end()
            rule, name = slot["rule"], slot["rule"] + slot["number"]
            if name not in drawn:
                used = {value for key, value in drawn.items() if key.rstrip("0123456789") == rule}
                drawn[name] = self._draw(rule, rng, split, used)
            form = drawn[name].split("|")[int(slot["form"] or 0)]
            self._expand(form, kind or slot["kind"], rng, split, pieces)
        _join(pieces, text[at:], kind)

    def _draw(self, rule: str, rng: random.Random, split: str, used: set[str] | None = None) -> str:
        every = self.rules[rule]
        if rule in self.held:
            own = split in _KEPT and rng.random() < self.unseen
            every = [
                a
                for i, a in enumerate(every)
                if (i % 8 == _KEPT[split] if own else i % 8 not in _KEPT.values())
            ]
        left = [a for a in every if a not in used] if used else every
        return choose(left or every, rng)


def choose(items: Sequence[str], rng: random.Random) -> str:
    """One item. Only `Random.random` is used: Python promises its sequence for a seed, for ever."""
    return items[int(rng.random() * len(items))]


def _join(pieces: list[tuple[str, str | None]], text: str, kind: str | None) -> None:
    if not text:
        return
    if pieces:
        before, before_kind = pieces[-1]
        for follows, precedes, replacement in _LINKS:
            if follows.match(text) and precedes.search(before):
                pieces[-1] = (precedes.sub(replacement, before), before_kind)
                text = text[3:] if replacement.endswith("l ") else text
    if pieces and pieces[-1][1] == kind:
        text = pieces.pop()[0] + text
    pieces.append((text, kind))


def _capitalised(pieces: Sequence[tuple[str, str | None]]) -> Sentence:
    text = "".join(piece for piece, _ in pieces)
    text = _START.sub(lambda m: m[0][:-1] + m[1].upper(), text)
    ends = list(accumulate(len(piece) for piece, _ in pieces))
    return Sentence(
        tuple((text[e - len(p) : e], kind) for e, (p, kind) in zip(ends, pieces, strict=True))
    )


def careless(sentence: Sentence, rng: random.Random, *, slips: float = 0.1) -> Sentence:
    """The sentence as typed in a hurry: no capitals, no opening marks, no accents (ñ stays), slips in some words.

    slips: the share of words of four letters or more that get one misspelling.
    """
    pieces = [(_hurried(piece, rng, slips), kind) for piece, kind in sentence.pieces]
    return Sentence(tuple(piece for piece in pieces if piece[0]))


def _hurried(text: str, rng: random.Random, slips: float) -> str:
    text = re.sub("[¿¡]", "", text).lower()
    text = "".join(
        c
        if c == "ñ"
        else "".join(x for x in unicodedata.normalize("NFD", c) if not unicodedata.combining(x))
        for c in text
    )
    return re.sub(r"\w{4,}", lambda m: _slip(m[0], rng) if rng.random() < slips else m[0], text)


def _slip(word: str, rng: random.Random) -> str:
    """The word with a common Spanish misspelling when one fits, else with two letters swapped."""
    fitting = [(wrong, right) for right, wrong in _SLIPS if right in word]
    if fitting and rng.random() < 0.6:
        wrong, right = fitting[int(rng.random() * len(fitting))]
        return word.replace(right, wrong, 1)
    at = 1 + int(rng.random() * (len(word) - 2))
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def key(text: str) -> str:
    """What makes two sentences the same: letters and digits, without case or accents."""
    plain = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in plain if c.isalnum())


def distinct(
    write: Callable[[], tuple[str, Sentence]], count: int, seen: set[str]
) -> Iterator[tuple[str, Sentence]]:
    """`count` labelled sentences whose key is not in `seen`, which grows; raises DataError when none is left."""
    for _ in range(count):
        for _ in range(_TRIES):
            label, sentence = write()
            name = key(sentence.text)
            if name not in seen:
                seen.add(name)
                yield label, sentence
                break
        else:
            raise DataError(
                f"the demo grammar has no new sentence after {len(seen)}: ask for fewer (train, dev, test)"
            )
