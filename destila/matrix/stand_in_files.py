"""The published files of a data set with a few invented rows each: enough for a dry run.

They go the way of the real files: through the reader of the data set, with the recipe's options.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from destila.formats.conllu import UPOS

TRAIN_ROWS, OTHER_ROWS = 4, 2
"""Rows of a training file, and of dev and test files."""

_TEXTS = (
    "El presidente visitó Sevilla en marzo. Habló de la ley del agua.",
    "La empresa abrirá una fábrica en Lima. Costará mucho dinero.",
    "Subió la bolsa de Madrid por la tarde. Nadie lo esperaba.",
    "María García trabaja en el Banco de España. Vive cerca del río.",
    "El equipo ganó por dos goles en Bogotá. Su entrenador lo celebró.",
)
_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")

Write = Callable[[Path], None]


def stand_in_data(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the files of a data set into a folder, and return its [data] table for them.

    A data set that no published table has is left as it is.

    Args:
        data: `use` and its options.
        folder: for the files.
    """
    use = str(data["use"])
    if use not in _FILES:
        return dict(data)
    _FILES[use](folder / use)

    # XQuAD and MLQA are folders of their own, as tests of TAR.
    others = {}
    if use == "squad_es":
        others = {"xquad": str(folder / "xquad_es"), "mlqa": str(folder / "mlqa_es")}
        _write_squad(folder / "xquad_es" / "xquad.es.json", OTHER_ROWS, "x")
        _mlqa(folder / "mlqa_es")
    return {**data, "root": str(folder / use), **others}


def stand_in_lines() -> list[str]:
    """Return the text of all rows, for tokenizers to learn from."""
    return [*_TEXTS, "¿Dónde ocurrió la noticia número 0 1 2 3 4 5 6 7 8 9?"]


def _rows(path: Path, count: int, row: Callable[[int, str], str], head: str = "") -> None:
    """Write a file of lines, one for each invented text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row(i, f"{_TEXTS[i % len(_TEXTS)]} {i}") for i in range(count)]
    path.write_text(head + "".join(lines), encoding="utf-8")


def _mldoc(folder: Path) -> None:
    """Write MLDoc: a topic, a tab and the text."""
    topics = ("CCAT", "ECAT", "GCAT", "MCAT")
    for name in ("train.10000", "dev", "test"):
        _rows(folder / f"spanish.{name}", _count(name), lambda i, t: f"{topics[i % 4]}\t{t}\n")


def _paws_x(folder: Path) -> None:
    """Write PAWS-X: a number, two sentences and 0 or 1."""
    for name in ("translated_train", "dev_2k", "test_2k"):
        _rows(
            folder / f"{name}.tsv",
            _count(name),
            lambda i, t: f"{i}\t{t}\t{t} Otra vez.\t{i % 2}\n",
            "id\tsentence1\tsentence2\tlabel\n",
        )


def _xnli(folder: Path) -> None:
    """Write XNLI: premise, hypothesis and relation; the training file has names of its own."""
    names = ("entailment", "neutral", "contradiction")
    _rows(
        folder / "multinli.train.es.tsv",
        TRAIN_ROWS,
        lambda i, t: f"{t}\t{t}\t{(*names[:2], 'contradictory')[i % 3]}\n",
        "premise\thypo\tlabel\n",
    )
    for name in ("xnli.dev.tsv", "xnli.test.tsv"):
        _rows(
            folder / name,
            OTHER_ROWS,
            lambda i, t: f"es\t{names[i % 3]}\t{t}\t{t}\n",
            "language\tgold_label\tsentence1\tsentence2\n",
        )


def _ancora(folder: Path) -> None:
    """Write UD AnCora: words with tags, one of them a contraction of two."""
    for name in ("train", "dev", "test"):
        _rows(folder / f"es_ancora-ud-{name}.conllu", _count(name), _conllu)


def _conllu(number: int, text: str) -> str:
    """Return a sentence of CoNLL-U that begins with the contraction `del`."""
    words = text.split()
    lines = ["1-2\tdel\t" + "\t".join("_" * 8)]
    for i, word in enumerate(["de", "el", *words]):
        tag = UPOS[(number + i) % len(UPOS)]
        tag = "NOUN" if tag == "_" else tag
        lines.append(f"{i + 1}\t{word}\t{word}\t{tag}\t" + "\t".join("_" * 6))
    return f"# sent_id = s{number}\n# text = del {text}\n" + "\n".join(lines) + "\n\n"


def _conll2002(folder: Path) -> None:
    """Write CoNLL-2002: word, part of speech and entity."""
    for name in ("train", "testa", "testb"):
        _rows(
            folder / f"esp.{name}",
            _count(name),
            lambda i, t: (
                "".join(f"{w} NC {_TAGS[(i + j) % 9]}\n" for j, w in enumerate(t.split())) + "\n"
            ),
        )


def _mlqa(folder: Path) -> None:
    """Write MLQA, with both dev files."""
    _write_squad(folder / "es_squad-translate-train-train-v1.1.json", TRAIN_ROWS, "n")
    _write_squad(folder / "es_squad-translate-train-dev-v1.1.json", OTHER_ROWS, "e")
    _write_squad(folder / "dev-context-es-question-es.json", OTHER_ROWS, "d")
    _write_squad(folder / "test-context-es-question-es.json", OTHER_ROWS, "t")


def _sqac(folder: Path) -> None:
    """Write SQAC."""
    for name in ("train", "dev", "test"):
        _write_squad(folder / f"{name}.json", _count(name), name)


def _squad_es(folder: Path) -> None:
    """Write SQuAD-es."""
    for name in ("train", "dev"):
        _write_squad(folder / f"{name}-v1.1-es.json", _count(name), name)


def _write_squad(path: Path, count: int, prefix: str) -> None:
    """Write questions in the form of SQuAD, an article each."""
    articles = []
    for i in range(count):
        context = f"{_TEXTS[i % len(_TEXTS)]} {prefix} {i}"
        answer = context.split()[2]
        qa = {
            "id": f"{prefix}{i}",
            "question": "¿Dónde ocurrió la noticia?",
            "answers": [{"text": answer, "answer_start": context.index(answer)}],
        }
        articles.append(
            {"title": f"{prefix}{i}", "paragraphs": [{"context": context, "qas": [qa]}]}
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")


def _count(name: str) -> int:
    """Return how many rows a file has: more where it trains."""
    return TRAIN_ROWS if "train" in name else OTHER_ROWS


_FILES: dict[str, Write] = {
    "mldoc": _mldoc,
    "paws_x": _paws_x,
    "xnli_es": _xnli,
    "ancora_pos": _ancora,
    "conll2002": _conll2002,
    "mlqa_es": _mlqa,
    "sqac": _sqac,
    "squad_es": _squad_es,
}
"""What writes the files of each published data set."""
