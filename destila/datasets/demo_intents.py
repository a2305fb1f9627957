"""Demo intents: requests to a bank, a telephone company and a travel agency, 8 classes.

source: written by the grammar below; the same seed gives the same sentences
licence: Apache-2.0, as the code   paper: none
notes: confusable on purpose. Some sentences open with other matters than the request ("Ya pagué el
recibo.") or quote a request that somebody else makes, some wordings fit two classes and carry one
of them at random, and part of the sentences is typed in a hurry, so no model reaches 100 %. An
eighth of the wordings, names and towns occurs in test only, another in dev only. No two splits
share a sentence, whatever its case, accents or punctuation.
"""

from __future__ import annotations

import random
from functools import partial
from itertools import chain

from destila import config
from destila.config import opt
from destila.datasets._grammar import Grammar, Sentence, careless, distinct, draw
from destila.datasets._requests import DOUBTFUL, FILLERS, OPENINGS, QUOTES, REQUESTS
from destila.types import Dataset, Example

TASK = "classify"
LABELS: tuple[str, ...] | None = (
    "averia",
    "bloquear_tarjeta",
    "cancelar_reserva",
    "consultar_cuenta",
    "pagar_recibo",
    "reclamar_cobro",
    "reservar_viaje",
    "transferir_dinero",
)


class Options(config.Options):
    """How many sentences, and how messy."""

    seed: int = opt(0, "another seed writes other sentences")
    train: int = opt(2000, "sentences to train on", ge=8)
    dev: int = opt(300, "sentences to choose on", ge=8)
    test: int = opt(
        500, "sentences to test on, a part with wordings and names unseen in training", ge=8
    )
    unlabelled: int = opt(
        0, "further sentences without labels, for a teacher to label; 0 = no such split", ge=0
    )
    hurried: float = opt(
        0.25, "share of sentences typed without capitals and accents, and with slips", ge=0, le=1
    )
    opening: float = opt(0.2, "share of sentences that first mention another matter", ge=0, le=1)
    quoting: float = opt(
        1.0, "share of the others that quote a request somebody else makes", ge=0, le=1
    )
    doubtful: float = opt(0.05, "share of sentences whose wording fits two classes", ge=0, le=1)


def load(options: Options) -> Dataset:
    """Write train, dev and test, and `unlabelled` if it is asked for.

    Raises:
        DataError: the grammar cannot write that many different sentences.
    """
    labels = LABELS or ()
    seen: set[str] = set()
    splits: dict[str, list[Example]] = {}

    # Test comes first, so that its sentences do not depend on how many train.
    for split in ("test", "dev", "train", "unlabelled"):
        rng = random.Random(f"intents {options.seed} {split}")
        write = partial(_write, labels, options, rng, split)
        for i, (label, sentence) in enumerate(distinct(write, getattr(options, split), seen)):
            target = None if split == "unlabelled" else label
            example = Example(f"{split}-{i}", sentence.text, target=target)
            splits.setdefault(split, []).append(example)

    order = ("train", "dev", "test", "unlabelled")
    return Dataset(
        "demo_intents", TASK, labels, {name: splits[name] for name in order if name in splits}
    )


def _write(
    labels: tuple[str, ...], options: Options, rng: random.Random, split: str
) -> tuple[str, Sentence]:
    """Write one label and one sentence that asks for it."""
    # A doubtful wording carries one of its two classes at random.
    if rng.random() < options.doubtful:
        rule = draw(tuple(DOUBTFUL), rng)
        label = draw(DOUBTFUL[rule], rng)
    else:
        label = rule = draw(labels, rng)

    # The request alone, after another matter, or beside somebody else's request.
    shape = "directo"
    if rng.random() < options.opening:
        shape = "rodeo"
    elif rng.random() < options.quoting:
        shape = "cita"
    sentence = _GRAMMAR.write(f"{rule}_{shape}", rng, split=split)

    return label, careless(sentence, rng) if rng.random() < options.hurried else sentence


def _other_matters(rule: str) -> tuple[str, ...]:
    """Return what the other classes say when they are not the request."""
    own = DOUBTFUL.get(rule, (rule,))
    return tuple(chain.from_iterable(OPENINGS[label] for label in OPENINGS if label not in own))


def _other_requests(rule: str) -> tuple[str, ...]:
    """Return the requests of the other classes."""
    own = (rule, *DOUBTFUL.get(rule, ()))
    others = [label for label in LABELS or () if label not in own]
    return tuple(chain.from_iterable(REQUESTS[label] for label in others))


_GRAMMAR = Grammar(
    {
        **REQUESTS,
        **FILLERS,
        **{f"{rule}_antes": _other_matters(rule) for rule in REQUESTS},
        **{f"{rule}_otro": _other_requests(rule) for rule in REQUESTS},
        **{f"{rule}_cita": tuple(q.format(rule) for q in QUOTES) for rule in REQUESTS},
        **{f"{rule}_directo": (f"{{hola}}{{{rule}}}{{cierre}}",) for rule in REQUESTS},
        **{
            f"{rule}_rodeo": (f"{{hola}}{{{rule}_antes}}{{{rule}}}{{cierre}}",) for rule in REQUESTS
        },
    },
    held=frozenset(
        {
            *(LABELS or ()),
            "recibo",
            "reserva",
            "viaje",
            "comercio",
            "mujer",
            "hombre",
            "apellido",
            "ciudad",
        }
    ),
    unseen=0.15,
)
