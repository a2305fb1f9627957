"""Exact match and F1 of answers as the published evaluation scripts count them.

Official SQuAD v1.1 (Rajpurkar et al. 2016) and v2 (2018): lower case, ASCII punctuation deleted,
the English articles a, an, the deleted, blanks collapsed; exact match compares the strings and F1
the bags of words, best over the references. The Spanish papers score with it too, though it leaves
Spanish articles and ¿ ¡ « » alone. MLQA (Lewis et al. 2020) deletes the articles of the language
and all Unicode punctuation. Both are guess, because figures of one are no figures of the other.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

Normalise = Callable[[str], str]

_ENGLISH = re.compile(r"\b(a|an|the)\b")
_SPANISH = re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b")
_ASCII = frozenset(string.punctuation)


def official(text: str) -> str:
    """Normalise an answer as SQuAD's scripts compare it."""
    bare = "".join(c for c in text.lower() if c not in _ASCII)
    return " ".join(_ENGLISH.sub(" ", bare).split())


def spanish(text: str) -> str:
    """Normalise an answer as MLQA's script compares Spanish ones."""
    bare = "".join(c for c in text.lower() if not _is_punctuation(c))
    return " ".join(_SPANISH.sub(" ", bare).split())


def question(
    answer: str, references: Sequence[str], normalise: Normalise, *, v2: bool
) -> tuple[float, float]:
    """Compute exact match and F1 of one answer, each the best over its references.

    Args:
        answer: "" says that there is none.
        references: empty where there is none.
        normalise: `official` or `spanish`.
        v2: count as the v2 script does, which ignores references of which normalisation leaves
            nothing, and gives two empty answers an F1 of 1 (v1.1: 0).
    """
    guess = normalise(answer)
    golds = [normalise(reference) for reference in references]
    if v2:
        golds = [gold for gold in golds if gold] or [""]

    # the best match and the best F1 may be those of two references
    exact = max((float(guess == gold) for gold in golds), default=0.0)
    f1 = max((_f1(guess.split(), gold.split(), v2=v2) for gold in golds), default=0.0)
    return exact, f1


def scores(answers: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Compute the mean exact_match and f1 (official), exact_match_es and f1_es (Spanish).

    Where some questions have no reference, all are counted as in v2, and has_answer_em,
    has_answer_f1 (over questions with a reference) and no_answer_accuracy (over the others) are
    added, officially normalised.
    """
    # both ways of normalising
    v2 = any(not r for r in references)
    table = per_question(answers, references, official)
    result = dict(zip(("exact_match", "f1"), table.mean(0).tolist(), strict=True))
    means = per_question(answers, references, spanish).mean(0)
    result |= dict(zip(("exact_match_es", "f1_es"), means.tolist(), strict=True))

    # a model that never answers, or always does, shows here
    if v2:
        answered = np.array([bool(r) for r in references])
        if answered.any():
            result["has_answer_em"], result["has_answer_f1"] = table[answered].mean(0).tolist()
        result["no_answer_accuracy"] = float(table[~answered, 0].mean())
    return result


def per_question(
    answers: Sequence[str], references: Sequence[Sequence[str]], normalise: Normalise
) -> np.ndarray:
    """Compute exact match and F1 [N, 2] of every question.

    By the rules of v2 where some questions have no reference.
    """
    v2 = any(not r for r in references)
    pairs = zip(answers, references, strict=True)
    table = [question(answer, golds, normalise, v2=v2) for answer, golds in pairs]
    return np.array(table).reshape(-1, 2)


def _f1(guess: list[str], gold: list[str], *, v2: bool) -> float:
    """Compute the F1 of two bags of words."""
    if v2 and (not guess or not gold):
        return float(guess == gold)

    same = (Counter(guess) & Counter(gold)).total()
    return 2 * same / (len(guess) + len(gold)) if same else 0.0


@cache
def _is_punctuation(character: str) -> bool:
    """Tell whether a character is punctuation, of Unicode or of ASCII (which has $ and + too)."""
    return unicodedata.category(character).startswith("P") or character in _ASCII
