"""A study of questions, small: its data and its recipe.

The recipe has a teacher, and students with equal and with other tokens.
"""

from __future__ import annotations

import json

import pytest

NAMES = ["Ana", "Luis", "María", "José", "Óscar"]
CITIES = ["Sevilla", "Córdoba", "Lima", "Bogotá", "Vigo", "León"]


def squad(*, articles: int = 36, empty: bool = False, impossible: bool = False) -> dict:
    """SQuAD JSON with two questions per paragraph, one paragraph per article; a third of them long.

    impossible: and a third question, which has no answer.
    """
    made = []
    for i in range(articles):
        name, city = NAMES[i % len(NAMES)], CITIES[i % len(CITIES)]
        filler = " El equipo ganó la copa en la ciudad de al lado." * (6 if i % 3 == 0 else 1)
        context = f"{name} vive en {city}{i}.{filler} Su casa, «La {name}», es del año {1900 + i}."
        pairs = [
            (f"¿Dónde vive {name}?", f"{city}{i}"),
            (f"¿De qué año es la casa {i}?", str(1900 + i)),
        ]
        qas = [
            {
                "id": f"{i}-{n}",
                "question": q,
                "answers": [{"text": a, "answer_start": context.index(a)}],
            }
            for n, (q, a) in enumerate(pairs)
        ]
        if impossible:
            qas.append(
                {
                    "id": f"{i}-2",
                    "question": f"¿Quién es {i}?",
                    "answers": [],
                    "is_impossible": True,
                }
            )
        made.append(
            {"title": f"T{i}", "paragraphs": [{"context": context, "qas": [] if empty else qas}]}
        )
    return {"version": "1.1", "data": made}


RECIPE = """
name = "asked"
max_length = 64
out = "{folder}/runs"
data = {{ use = "squad", train = "{folder}/asked.json" }}

[[teachers]]
name = "teacher"
shape = {{ kind = "bert", layers = 2, hidden = 32, heads = 2 }}
tokenizer = {{ kind = "bpe", vocab_size = 400 }}

[[students]]
name = "same"
shape = {{ kind = "bert", layers = 1, hidden = 16, heads = 2 }}
tokenizer = {{ kind = "bpe", vocab_size = 400 }}

{other}
[train]
epochs = 1
batch_size = 16
lr = 2e-3
precision = "fp32"

[distil]
terms = [{{ use = "kl", temperature = 1.0 }}, {{ use = "hard", weight = 0.5 }}]

[measure]
texts = 0
"""
OTHER = """
[[students]]
name = "other"
shape = { kind = "albert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "wordpiece", vocab_size = 420 }
"""


@pytest.fixture
def questions(tmp_path, monkeypatch):
    """Writes the data and the recipe, with the second student or without."""
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))

    def write(other: str = OTHER, **options) -> str:
        (tmp_path / "asked.json").write_text(
            json.dumps(squad(**options), ensure_ascii=False), encoding="utf-8"
        )
        path = tmp_path / "asked.toml"
        path.write_text(RECIPE.format(folder=tmp_path, other=other), encoding="utf-8")
        return str(path)

    return write
