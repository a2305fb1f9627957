"""Fixtures for everything that touches text: four small tokenizers, one per published family; no torch here."""

from __future__ import annotations

import json
import math
import os

import pytest
from hypothesis import settings

from destila.tokenizer.tokenizer import Tokenizer, parse_tokenizer
from destila.tokenizer.train import BETO, learn

pytest_plugins = [
    "tests.fixtures.studies",
    "tests.fixtures.corpora",
    "tests.fixtures.ray_clusters",
    "tests.fixtures.toys",
]

# The same examples on every machine: a run is green or red for a reason. HYPOTHESIS=search looks
# for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS", "fixed"))

LINES = [
    "El niño comió en España el año pasado, cuando hacía frío.",
    "La niña hacia el río camina; el ano y el año no son lo mismo.",
    "¡Hola! ¿Qué tal estás, José? Muy bien, gracias.",
    "La canción más bonita (de todas) cuesta 3,5 € o 4 £.",
    "El presidente de la República visitó Sevilla, Córdoba y Málaga.",
    "María García trabaja en el Banco de España desde 1998.",
    "Los precios subieron un 12,4 % en marzo - según el ministerio.",
    "Quiero reservar un vuelo de Madrid a Bogotá para mañana.",
    "Pon música de guitarra y baja el volumen, por favor.",
    "¿Cuándo llega el tren de las 12:30 a la estación de Atocha?",
    "La pingüina nadó hasta la cigüeña — dijo el guía.",
    "El equipo ganó 6-2 y su entrenador celebró la victoria.",
    "«Nunca segundas partes fueron buenas», escribió Cervantes.",
    "El gobierno aprobó la ley que regula el trabajo a distancia.",
    "Llovió toda la noche sobre los tejados viejos del pueblo.",
    "El médico recetó antibióticos y reposo a la paciente.",
    "Compramos pan, leche, huevos y queso en la tienda.",
    "La empresa mexicana abrirá una fábrica en Monterrey.",
    "Me gustó la película, aunque el final era predecible.",
    "Perú y Chile firmaron un acuerdo comercial en Lima.",
    "UN TITULAR EN MAYÚSCULAS: AÑO NUEVO, VIDA NUEVA.",
    "Luis Ángel Ñáñez juega en el Zaragoza; Óscar, en el Vigo.",
]


@pytest.fixture(scope="session")
def lines() -> list[str]:
    """Spanish lines the fixture tokenizers were trained on."""
    return list(LINES)


@pytest.fixture(scope="session")
def wordpiece() -> Tokenizer:
    """BETO-like: lower case, accents kept, pad id 1, mask id 0."""
    return learn(LINES * 3, kind="wordpiece", vocab_size=400, layout=BETO, max_length=64)


@pytest.fixture(scope="session")
def unigram() -> Tokenizer:
    """SentencePiece-like Unigram: cased, `▁` before words."""
    learned = learn(LINES * 3, kind="unigram", vocab_size=300, lowercase=False, max_length=64)
    spec = json.loads(learned._json)
    # Trained scores differ a little from run to run; counted ones do not, and tests must not.
    text = " " + " ".join(LINES)
    counts = [(piece, text.count(piece.replace("▁", " "))) for piece, _ in spec["model"]["vocab"]]
    spec["model"]["vocab"] = [
        [piece, math.log((count + 0.1) / len(text))] for piece, count in counts[9:]
    ]
    spec["model"]["vocab"] = [[p, 0.0] for p, _ in counts[:9]] + sorted(spec["model"]["vocab"])
    return parse_tokenizer(spec, {"model_max_length": 64}, source="the Unigram fixture")


@pytest.fixture(scope="session")
def bpe() -> Tokenizer:
    """ALBETO-like: lower-case BPE, `▁` before words, ids 0-4 special, 5-8 `- – £ €`."""
    return learn(LINES * 3, kind="bpe", vocab_size=400, max_length=64)


@pytest.fixture(scope="session")
def bytelevel() -> Tokenizer:
    """RoBERTa-like: cased byte-level BPE, no blank before the first word, pair frame with two separators."""
    return learn(LINES * 3, kind="bytelevel", vocab_size=500, lowercase=False, max_length=64)


@pytest.fixture(params=["wordpiece", "unigram", "bpe", "bytelevel"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Each of the four kinds in turn."""
    return request.getfixturevalue(request.param)
