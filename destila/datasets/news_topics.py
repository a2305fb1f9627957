"""News topics: the first 200 characters of Spanish news found by six search terms.

source: BeaEsparcia/Spanish_News_Classification `dataset_noticias.csv`
licence: MIT (repository); excerpts from NewsAPI   paper: none
notes: CSV with quotes and line ends inside them. The content ends in `… [+2407 chars]`, which is
cut off. The classes are search terms, so the same content comes under several: contents are
compared after clean-up, those with two classes are dropped, others kept once. Split by hash of the
content: 80 / 10 / 10.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import finish, split_by_hash
from destila.formats.tables import table_rows
from destila.types import Dataset, Example

TASK = "classify"
LABELS = ("Cultura", "Deportes", "Economía", "España", "Internacional", "Sociedad")
_SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
_TAIL = re.compile(r"\s*…?\s*\[\+\d+ chars\]\s*$")
_COLUMNS = ("TÍTULO", "CONTENIDO", "CATEGORÍA")


class Options(_Options):
    """Where the file is."""

    root: str | None = root_option("news_topic_es")
    title: bool = opt(False, "put the headline before the content")


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: the file is missing, a row is faulty or a class is unknown.
    """
    folder = find_folder(options.root, "news_topic_es", "Spanish_News_Classification")
    notes: Counter[str] = Counter()
    by_content = _rows_by_content(need_file(folder, "dataset_noticias.csv"), notes)

    examples: list[Example] = []
    for content, rows in by_content.items():
        # A content that came under several search terms has no class.
        classes = {row["CATEGORÍA"].strip() for _, row in rows}
        if len(classes) > 1:
            notes["rows whose content has several classes, dropped"] += len(rows)
            continue

        # Copies of one class are kept once.
        notes["repeated rows, dropped"] += len(rows) - 1
        number, row = rows[0]
        title = " ".join(row["TÍTULO"].split())
        text = f"{title} {content}".strip() if options.title else content
        meta = {"title": title, "content": content}
        examples.append(Example(f"line-{number}", text, target=classes.pop(), meta=meta))

    # By content, so that the option `title` does not change the splits.
    splits = split_by_hash(examples, _SHARES, lambda e: e.meta["content"])
    return finish("news_topics", TASK, LABELS, splits, notes)


def _rows_by_content(
    path: Path, notes: Counter[str]
) -> dict[str, list[tuple[int, dict[str, str]]]]:
    """Read the rows of the file, those of one content together."""
    by_content: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, row in table_rows(path, needed=_COLUMNS):
        # The source cuts contents and says how much is missing, in a mark at the end.
        content = " ".join(_TAIL.sub("", row["CONTENIDO"]).split())
        notes["contents whose cut mark was taken off"] += bool(_TAIL.search(row["CONTENIDO"]))
        if not row["CATEGORÍA"].strip():
            notes["rows without a class, dropped"] += 1
        elif not content:
            notes["rows without content, dropped"] += 1
        else:
            by_content.setdefault(content, []).append((number, row))
    return by_content
