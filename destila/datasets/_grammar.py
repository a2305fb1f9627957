"""A small context-free grammar that writes labelled Spanish sentences, the same for a seed.

Why: the demo and the tests need labelled Spanish that ships with the code, needs no download and
cannot leak from one split into another. A rule is a list of alternatives; an alternative is text
with slots:

    {ciudad}        one alternative of the rule `ciudad`; the same draw each time it is written
    {ciudad2}       another draw of the same rule, different from the others
    {LOC:ciudad}    the same, marked as an entity LOC
    {recibo.1}      form 1 of what `{recibo}` drew; forms are written "la factura|la"

The writer contracts `de el` and `a el`, turns `y` into `e` before an i, `o` into `u` before an o,
and puts capitals where sentences start. `careless` makes a sentence look typed in a hurry.
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

Part = tuple[str, str | None]
"""A part of a sentence, and the kind of the entity that it belongs to (None outside)."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Text in parts, each with the entity it belongs to (None outside)."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The whole sentence."""
        return "".join(text for text, _ in self.parts)

    @property
    def entities(self) -> tuple[tuple[CharSpan, str], ...]:
        """Span of code points and kind of every entity, in order."""
        # Spans follow from the lengths, so that no part needs to know its place.
        ends = accumulate(len(text) for text, _ in self.parts)
        return tuple(
            ((end - len(text), end), kind)
            for end, (text, kind) in zip(ends, self.parts, strict=True)
            if kind
        )


@dataclass(frozen=True)
class Grammar:
    """Rules, and those of which dev and test have an eighth of the alternatives each (`held`).

    unseen: share of dev's and test's draws of a held rule that come from their own alternatives.
    """

    rules: Mapping[str, Sequence[str]]
    held: frozenset[str] = frozenset()
    unseen: float = 0.25

    def write(self, rule: str, rng: random.Random, *, split: str = "train") -> Sentence:
        """Write a sentence that starts from a rule.

        Args:
            rule: its name.
            rng: draws the alternatives.
            split: "dev" and "test" draw now and then from alternatives that no other split uses, so
                that a score says something about wordings and names never seen in training.
        """
        # Forms of an alternative, for agreement, are divided by bars; the first is the plain one.
        parts: list[Part] = []
        first_form = self._draw(rule, rng, split).partition("|")[0]
        self._expand(first_form, None, rng, split, parts)
        return _capitalise(parts)

    def _expand(
        self, text: str, kind: str | None, rng: random.Random, split: str, parts: list[Part]
    ) -> None:
        """Add a text to the parts, its slots filled; kind: of the entity that it stands in."""
        # Draws of this text, so that what is written twice agrees.
        drawn: dict[str, str] = {}
        end = 0
        for slot in _SLOT.finditer(text):
            _append(parts, text[end : slot.start()], kind)
            end = slot.end()

            # A slot that is written again has the draw it had; another number differs from it.
            rule, name = slot["rule"], slot["rule"] + slot["number"]
            if name not in drawn:
                used = {value for key, value in drawn.items() if key.rstrip("0123456789") == rule}
                drawn[name] = self._draw(rule, rng, split, used)
            form = drawn[name].split("|")[int(slot["form"] or 0)]
            self._expand(form, kind or slot["kind"], rng, split, parts)
        _append(parts, text[end:], kind)

    def _draw(self, rule: str, rng: random.Random, split: str, used: set[str] | None = None) -> str:
        """Draw an alternative of a rule that is not used yet, if one is left."""
        # Of a held rule, only what this split may use.
        alternatives = self.rules[rule]
        if rule in self.held:
            places = self._places(rng, split)
            alternatives = [a for i, a in enumerate(alternatives) if i % 8 in places]
        left = [a for a in alternatives if a not in used] if used else alternatives
        return draw(left or alternatives, rng)

    def _places(self, rng: random.Random, split: str) -> set[int]:
        """Return the positions modulo 8 of the alternatives of a held rule that are drawn from."""
        # The split's own alternatives now and then, those of everybody else otherwise.
        if split in _KEPT and rng.random() < self.unseen:
            return {_KEPT[split]}
        return set(range(8)) - set(_KEPT.values())


def draw(items: Sequence[str], rng: random.Random) -> str:
    """Draw one item by `Random.random` only: Python promises its sequence for a seed, for ever."""
    return items[int(rng.random() * len(items))]


def _append(parts: list[Part], text: str, kind: str | None) -> None:
    """Add a text to the parts, contracted with what stands before it."""
    if not text:
        return

    # `de el` becomes `del`, `y` before an i becomes `e`.
    if parts:
        before, before_kind = parts[-1]
        for follows, precedes, replacement in _LINKS:
            if follows.match(text) and precedes.search(before):
                parts[-1] = (precedes.sub(replacement, before), before_kind)
                text = text[3:] if replacement.endswith("l ") else text

    # Texts of one kind are one part.
    if parts and parts[-1][1] == kind:
        text = parts.pop()[0] + text
    parts.append((text, kind))


def _capitalise(parts: Sequence[Part]) -> Sentence:
    """Put capitals where sentences start."""
    # A sentence may start inside an entity, or across two parts.
    text = "".join(part for part, _ in parts)
    text = _START.sub(lambda match: match[0][:-1] + match[1].upper(), text)

    # Cut the text again where it was joined.
    ends = accumulate(len(part) for part, _ in parts)
    rows = zip(ends, parts, strict=True)
    return Sentence(tuple((text[end - len(part) : end], kind) for end, (part, kind) in rows))


def careless(sentence: Sentence, rng: random.Random, *, slips: float = 0.1) -> Sentence:
    """Write a sentence as typed in a hurry.

    No capitals, no opening marks, no accents (ñ stays), slips in some words.

    Args:
        sentence: as it should be.
        rng: chooses words and slips.
        slips: the share of words of four letters or more that get one misspelling.
    """
    # Spans still hold: slips change the parts, and the text is made of them.
    parts = [(_hurry(part, rng, slips), kind) for part, kind in sentence.parts]
    return Sentence(tuple(part for part in parts if part[0]))


def _hurry(text: str, rng: random.Random, slips: float) -> str:
    """Write a text in a hurry."""
    text = re.sub("[¿¡]", "", text).lower()

    # ñ is a letter of its own; other marks are what people leave out.
    text = "".join(c if c == "ñ" else _without_accents(c) for c in text)
    return re.sub(r"\w{4,}", lambda m: _slip(m[0], rng) if rng.random() < slips else m[0], text)


def _without_accents(character: str) -> str:
    """Return a character without its accents."""
    decomposed = unicodedata.normalize("NFD", character)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _slip(word: str, rng: random.Random) -> str:
    """Put a common Spanish misspelling into a word, or without one swap two letters."""
    # Misspellings by sound are the commonest, letters in the wrong order come next.
    fitting = [(wrong, right) for right, wrong in _SLIPS if right in word]
    if fitting and rng.random() < 0.6:
        wrong, right = fitting[int(rng.random() * len(fitting))]
        return word.replace(right, wrong, 1)

    # The first letter stays.
    place = 1 + int(rng.random() * (len(word) - 2))
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def sentence_key(text: str) -> str:
    """Return what makes two sentences the same: letters and digits, without case or accents."""
    # Sentences that differ in accents alone would leak from test into train.
    plain = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in plain if c.isalnum())


def distinct(
    write: Callable[[], tuple[str, Sentence]], count: int, seen: set[str]
) -> Iterator[tuple[str, Sentence]]:
    """Yield `count` labelled sentences that are new.

    Args:
        write: writes a label and a sentence.
        count: how many.
        seen: keys of the sentences there are, which grows.

    Raises:
        DataError: none is left.
    """
    # A sentence that is there already is written again, a limited number of times.
    for _ in range(count):
        for _ in range(_TRIES):
            label, sentence = write()
            key = sentence_key(sentence.text)
            if key not in seen:
                seen.add(key)
                yield label, sentence
                break
        else:
            raise DataError(
                f"the demo grammar has no new sentence after {len(seen)}: ask for fewer (train, "
                "dev, test)"
            )
