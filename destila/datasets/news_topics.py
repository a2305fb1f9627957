"""News topics: the first 200 characters of Spanish news found by six search terms.

source: BeaEsparcia/Spanish_News_Classification `dataset_noticias.csv`   licence: MIT (repository); excerpts from NewsAPI
paper: none
notes: CSV with quotes and line ends inside them. The content ends in `… [+2407 chars]`, which is cut off. The
classes are search terms, so the same content comes under several: contents are compared after clean-up, those
with two classes are dropped, others kept once. Split by hash of the content: 80 / 10 / 10.
"""

from __future__ import annotations

import re
from collections import Counter

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import by_hash, finish
from destila.formats.tables import csv_rows
from destila.types import Dataset, Example

TASK = "classify"
LABELS = ("Cultura", "Deportes", "Economía", "España", "Internacional", "Sociedad")
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
_TAIL = re.compile(r"\s*…?\s*\[\+\d+ chars\]\s*$")
_COLUMNS = ("TÍTULO", "CONTENIDO", "CATEGORÍA")


class Options(_Options):
    """Where the file is."""

    root: str | None = root_option("news_topic_es")
    title: bool = opt(False, "put the headline before the content")


def load(options: Options) -> Dataset:
    """The three splits; raises DataError for a missing file, a faulty row or an unknown class."""
    path = need_file(
        find_folder(options.root, "news_topic_es", "Spanish_News_Classification"),
        "dataset_noticias.csv",
    )
    notes: Counter[str] = Counter()
    found: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, row in csv_rows(path, needed=_COLUMNS):
        content = " ".join(_TAIL.sub("", row["CONTENIDO"]).split())
        notes["contents whose cut mark was taken off"] += bool(_TAIL.search(row["CONTENIDO"]))
        if not row["CATEGORÍA"].strip():
            notes["rows without a class, dropped"] += 1
        elif not content:
            notes["rows without content, dropped"] += 1
        else:
            found.setdefault(content, []).append((number, row))
    examples: list[Example] = []
    for content, same in found.items():
        classes = {row["CATEGORÍA"].strip() for _, row in same}
        if len(classes) > 1:
            notes["rows whose content has several classes, dropped"] += len(same)
            continue
        notes["repeated rows, dropped"] += len(same) - 1
        number, row = same[0]
        title = " ".join(row["TÍTULO"].split())
        text = f"{title} {content}".strip() if options.title else content
        meta = {"title": title, "content": content}
        examples.append(Example(f"line-{number}", text, target=classes.pop(), meta=meta))
    return finish(
        "news_topics", TASK, LABELS, by_hash(examples, SHARES, lambda e: e.meta["content"]), notes
    )
