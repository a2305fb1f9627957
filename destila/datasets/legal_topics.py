"""Legal topics: Argentine laws and decrees in ten topics derived from their official headings.

source: legalize-dev/legalize-ar, derived: `train.jsonl.gz`, `dev.jsonl.gz`, `test.jsonl.gz`
licence: CC BY 4.0 (InfoLEG / Ministerio de Justicia)   paper: none
notes: the official heading (`subject`) decides the label and is never loaded; it can still be
mentioned in the text. Texts are the first 3,000 characters at most. A stand-in for MLDoc, not
comparable with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from destila.config import Options as _Options
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import finish
from destila.formats.tables import table_rows
from destila.types import Dataset, Example

TASK = "classify"
LABELS = (
    "defensa_seguridad",
    "educacion_cultura",
    "energia",
    "finanzas_publicas",
    "impuestos",
    "inmuebles",
    "justicia",
    "relaciones_exteriores",
    "salud",
    "trabajo_prevision",
)


class Options(_Options):
    """Where the files are."""

    root: str | None = root_option("ar_norms_topic")


def load(options: Options) -> Dataset:
    """Load the three splits.

    Raises:
        DataError: a file is missing or a line is faulty.
    """
    folder = find_folder(options.root, "ar_norms_topic", "the derived set of legalize-ar")
    notes: Counter[str] = Counter()
    splits = {
        split: list(_examples(need_file(folder, f"{split}.jsonl"), notes))
        for split in ("train", "dev", "test")
    }
    return finish("legal_topics", TASK, LABELS, splits, notes)


def _examples(path: Path, notes: Counter[str]) -> Iterator[Example]:
    """Yield the documents of a file."""
    for _, row in table_rows(path, needed=("id", "label", "text")):
        if not row["text"].strip():
            notes["documents without text, dropped"] += 1
            continue
        meta: dict[str, str] = {key: row[key] for key in ("rank", "date") if key in row}
        yield Example(row["id"], row["text"], target=row["label"], meta=meta)
