"""Demo entities: persons, places, organisations and dates in news and messages, as BIO tags.

source: written by the grammar below; the same seed gives the same sentences
licence: Apache-2.0, as the code   paper: none
notes: ambiguous on purpose. Towns play football (ORG) and are surnames (PER), titles of books hold
names that are no entity, `mañana` is a day or a part of one, four digits are a year or a head
count, and part of the sentences is typed without capitals. An eighth of the names and wordings
occurs in test only, another in dev only. No two splits share a sentence, whatever its case,
accents or punctuation.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

from destila import config
from destila.config import opt
from destila.datasets import _lexicon
from destila.datasets._grammar import Grammar, Sentence, careless, distinct
from destila.tokenizer.split_words import split_words
from destila.types import CharSpan, Dataset, Example

TASK = "tag"
LABELS: tuple[str, ...] | None = (
    "O",
    "B-FECHA",
    "I-FECHA",
    "B-LOC",
    "I-LOC",
    "B-ORG",
    "I-ORG",
    "B-PER",
    "I-PER",
)


class Options(config.Options):
    """How many sentences, and how messy."""

    seed: int = opt(0, "another seed writes other sentences")
    train: int = opt(2000, "sentences to train on", ge=8)
    dev: int = opt(
        300, "sentences to choose on, a part with wordings and names unseen in training", ge=8
    )
    test: int = opt(
        500, "sentences to test on, a part with wordings and names unseen in training and dev", ge=8
    )
    unlabelled: int = opt(
        0, "further sentences without labels, for a teacher to label; 0 = no such split", ge=0
    )
    hurried: float = opt(
        0.1, "share of sentences typed without capitals and accents, and with slips", ge=0, le=1
    )


def load(options: Options) -> Dataset:
    """Write train, dev and test, and `unlabelled` if it is asked for.

    Raises:
        DataError: the grammar cannot write that many different sentences.
    """
    seen: set[str] = set()
    splits: dict[str, list[Example]] = {}

    # Test comes first, so that its sentences do not depend on how many train.
    for split in ("test", "dev", "train", "unlabelled"):
        rng = random.Random(f"tags {options.seed} {split}")
        written = distinct(partial(_write, options, rng, split), getattr(options, split), seen)
        splits[split] = [_example(f"{split}-{i}", s) for i, (_, s) in enumerate(written)]
    splits["unlabelled"] = [replace(example, target=None) for example in splits["unlabelled"]]

    order = ("train", "dev", "test", "unlabelled")
    return Dataset(
        "demo_tags", TASK, LABELS or (), {name: splits[name] for name in order if splits[name]}
    )


def _write(options: Options, rng: random.Random, split: str) -> tuple[str, Sentence]:
    """Write one sentence, without a label of its own."""
    sentence = _GRAMMAR.write("frase", rng, split=split)
    return "", careless(sentence, rng) if rng.random() < options.hurried else sentence


def _example(name: str, sentence: Sentence) -> Example:
    """Make an example of a sentence, with a tag for every word."""
    words = split_words(sentence.text)
    tags = _bio_tags(words, sentence.entities)
    return Example(name, sentence.text, words=words, target=tuple(tags))


def _bio_tags(words: tuple[CharSpan, ...], entities: tuple[tuple[CharSpan, str], ...]) -> list[str]:
    """Tag words: B- on the first one that begins inside an entity, I- on the rest."""
    tags = ["O"] * len(words)
    for (start, end), kind in entities:
        inside = [i for i, (first, _) in enumerate(words) if start <= first < end]
        for place, i in enumerate(inside):
            tags[i] = f"{'I' if place else 'B'}-{kind}"
    return tags


_SENTENCES: dict[str, tuple[str, ...]] = {
    "frase": (
        *("{hecho}.",) * 3,
        *(
            "{hecho}; {coda}.",
            "{coda}: {hecho}.",
            "{pregunta}",
            "{mensaje}",
            "{marco}, {hecho}.",
            "{suelta}",
        ),
    ),
    "hecho": (
        "{PER:persona} nació en {LOC:ciudad} el {FECHA:fecha}",
        "{org} abrirá una oficina en {LOC:ciudad} en {FECHA:mesaño}",
        "{org} y {org2} firmaron un acuerdo en {LOC:ciudad}",
        "{PER:persona}, de {LOC:ciudad}, trabaja en {org} desde {FECHA:año}",
        "el {ORG:ciudad} ganó al {ORG:ciudad2} por dos a uno",
        "el {ORG:ciudad} visita al {ORG:ciudad2} el {FECHA:día}",
        "el señor {PER:apellido} salió de {LOC:ciudad} por la mañana",
        "la doctora {PER:apellido} atiende en {org} desde {FECHA:mesaño}",
        "según {org}, el paro bajó en {FECHA:mesaño}",
        "{LOC:país} y {LOC:país2} reanudan el diálogo",
        "nevará en la {LOC:naturaleza} hasta el {FECHA:día}",
        "el equipo viajó de {LOC:ciudad} a {LOC:ciudad2} con {número} aficionados",
        "{org} despidió a {número} empleados en {FECHA:año}",
        "{org} reparte {número} becas en {LOC:país}",
        "los vecinos de {LOC:ciudad} protestaron ante {org}",
        "{PER:nombre}, {PER:nombre2} y {PER:nombre3} quedaron en {org}",
        "{PER:persona} presentó en {org} su novela «{título}»",
        "{org} estrena «{título}», de {PER:persona}",
        "el vino de {LOC:ciudad} gusta mucho en {LOC:país}",
        "el {FECHA:fecha} murió en {LOC:ciudad} la pintora {PER:señora}",
        "el presidente de {LOC:país} se reunió con {PER:persona} en {LOC:ciudad}",
        "un incendio cortó la carretera de {LOC:ciudad} a {LOC:ciudad2}",
        "{PER:persona} vive en la {LOC:calle} desde {FECHA:año}",
        "{org} vendió a {org2} su fábrica de {LOC:ciudad}",
        "la {ORG:femenina} concedió el premio a {PER:persona}",
        "{PER:apellido} pidió a {PER:apellido2} que dejara {org}",
        "el barco salió de {LOC:ciudad} rumbo a {LOC:país} con {número} pasajeros",
        "{org} cumple cien años en {FECHA:mes}",
        "don {PER:hombre} y doña {PER:mujer} se casaron en {LOC:ciudad}",
        "el juez {PER:apellido} citó a {org} para el {FECHA:fecha}",
        "el {ORG:ciudad} fichó a {PER:señor} hasta {FECHA:año}",
        "las obras de la {LOC:calle} acabarán en {FECHA:mesaño}",
    ),
    "pregunta": (
        "¿llega {PER:persona} a {LOC:ciudad} el {FECHA:fecha}?",
        "¿sabe {PER:nombre} que la {ORG:femenina} cierra el {FECHA:día}?",
        "¿por qué se fue {PER:persona} de {org}?",
        "¿a qué hora juega el {ORG:ciudad} en {LOC:ciudad2}?",
        "¿cuántos días hay entre el {FECHA:fecha} y el {FECHA:fecha2}?",
        "¿queda lejos {LOC:ciudad} de la {LOC:naturaleza}?",
        "¿me das el teléfono de {PER:señora}, la de {org}?",
        "¿quién manda en {org}, {PER:apellido} o {PER:apellido2}?",
    ),
    "mensaje": (
        "{FECHA:cuando} por la mañana, reunión con {PER:nombre}.",
        "¡{PER:nombre}, ven a {LOC:ciudad} en {FECHA:mes}!",
        "dile a {PER:nombre} que el paquete de {ORG:empresa} llega {FECHA:futuro}.",
        "vivo en {LOC:ciudad}, pero nací en {LOC:ciudad2}.",
        "reserva una mesa a nombre de {PER:persona} para el {FECHA:fecha}.",
        "de parte de {PER:persona}: nos vemos {FECHA:futuro} en la {LOC:calle}.",
        "quedé con {PER:nombre} en {LOC:ciudad} el {FECHA:día} por la mañana.",
        "apunta: {FECHA:fecha}, {LOC:ciudad}, cena con {PER:nombre} y {PER:nombre2}.",
    ),
    "suelta": (
        "{ORG:ciudad}, 2; {ORG:ciudad2}, 1.",
        "{LOC:ciudad}, {FECHA:fecha}. {hecho}.",
        "la victoria fue merecida; el rosario de críticas, interminable.",
        "{PER:persona} ({LOC:ciudad}, {FECHA:año}).",
        "salidas: {LOC:ciudad}, {LOC:ciudad2} y {LOC:ciudad3}.",
        "en abril, aguas mil: llovió en {LOC:ciudad} como en un día de cuenca vacía.",
        "una paloma blanca se posó en la torre y {coda}.",
        "fuentes de {org}: «{hecho}».",
    ),
    "coda": (
        "nadie lo esperaba",
        "no hubo más detalles",
        "{PER:persona} lo niega",
        "en {LOC:ciudad} no lo confirman",
        "la noticia sorprendió a {org}",
        "el rey de la fiesta fue {PER:nombre}",
        "así lo contó {PER:persona} a {ORG:empresa}",
        "{org} guarda silencio",
    ),
    "marco": (
        "según {PER:persona}",
        "según se supo {FECHA:cuando}",
        "según informan desde {LOC:ciudad}",
        "como dijo {PER:apellido}",
    ),
}

_NAMES: dict[str, tuple[str, ...]] = {
    "org": ("{ORG:empresa}", "{ORG:empresa}", "el {ORG:masculina}", "la {ORG:femenina}"),
    "empresa": (
        *_lexicon.COMPANIES,
        "Talleres {apellido}",
        "Hermanos {apellido}",
        "{apellido} e Hijos",
    ),
    "masculina": (
        *(
            "Ayuntamiento de {ciudad}",
            "Banco de {ciudad}",
            "Hospital de {ciudad}",
            "Grupo {apellido}",
        ),
        *(
            "Instituto {mujer} {apellido}",
            "Museo de {ciudad}",
            "Teatro {apellido}",
            "Ministerio de Hacienda",
        ),
        *(
            "Puerto de {ciudad}",
            "Colegio {hombre} {apellido}",
            "Ministerio de Sanidad",
            "Club Náutico de {ciudad}",
        ),
        *("Gobierno de {país}", "Ateneo de {ciudad}", "Tribunal Supremo", "Sindicato del Metal"),
    ),
    "femenina": (
        *(
            "Universidad de {ciudad}",
            "Fundación {mujer} {apellido}",
            "Cámara de Comercio de {ciudad}",
        ),
        *(
            "Asociación de Vecinos de {ciudad}",
            "Editorial {apellido}",
            "Orquesta de {ciudad}",
            "Clínica {apellido}",
        ),
        *("Federación de Ajedrez", "Academia {apellido}", "Caja de {ciudad}", "Embajada de {país}"),
        *(
            "Librería {apellido}",
            "Biblioteca de {ciudad}",
            "Policía de {ciudad}",
            "Cofradía de Pescadores",
        ),
    ),
    "persona": (*("{nombre} {apellido}",) * 4, "{nombre} {apellido} {apellido2}", "{nombre}"),
    "nombre": ("{mujer}", "{hombre}"),
    "señora": ("{mujer} {apellido}",),
    "señor": ("{hombre} {apellido}",),
    "mujer": _lexicon.WOMEN,
    "hombre": _lexicon.MEN,
    "apellido": _lexicon.SURNAMES,
    "ciudad": _lexicon.CITIES,
    "país": _lexicon.COUNTRIES,
    "naturaleza": _lexicon.MOUNTAINS,
    "calle": (
        "calle {nombre} {apellido}",
        "avenida de {ciudad}",
        "plaza de {país}",
        "calle {apellido}",
    ),
    "título": (
        *(
            "Los inviernos de {ciudad}",
            "El año de {nombre}",
            "Viaje a {ciudad}",
            "Carta a {nombre}",
        ),
        *(
            "La casa de los {apellido}",
            "Nadie vuelve a {ciudad}",
            "Las tardes de {mes}",
            "Adiós, {nombre}",
        ),
    ),
    "número": tuple(str(n) for n in (*range(1961, 2024, 3), 40, 120, 300, 850, 1200, 3500)),
    "año": tuple(str(n) for n in range(1960, 2027)),
    "mes": _lexicon.MONTHS,
    "mesaño": ("{mes}", "{mes} de {año}", "{año}"),
    "fecha": (
        "{número_día} de {mes}",
        "{número_día} de {mes} de {año}",
        "{día}",
        "{día} {número_día} de {mes}",
    ),
    "número_día": tuple(str(n) for n in range(1, 29)),
    "día": _lexicon.WEEKDAYS,
    "futuro": ("mañana", "hoy", "pasado mañana", "esta tarde"),
    "cuando": ("mañana", "hoy", "ayer", "anteayer", "pasado mañana", "anoche"),
}

_GRAMMAR = Grammar(
    _SENTENCES | _NAMES,
    held=frozenset(
        {
            "hecho",
            "pregunta",
            "mensaje",
            "mujer",
            "hombre",
            "apellido",
            "ciudad",
            "empresa",
            "masculina",
            "femenina",
        }
    ),
    unseen=0.1,
)
