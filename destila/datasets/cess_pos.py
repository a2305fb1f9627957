"""CESS-ESP with universal parts of speech: what can train a tagger for UD AnCora without its training file.

source: CESS-ESP as distributed with NLTK's data (`cess_esp.zip`: bracketed trees in Latin-1)
licence: free for research with citation   paper: Martí and Taulé, 2007
notes: tags and tokens are changed to UD AnCora's (see `datasets._eagles`). A third of AnCora dev and test comes from
these texts: `overlap_with_ud_ancora.tsv` (tbf file, sentence number from 0, UD split, UD sentence) lists what is
dropped from training, and any sentence that still equals a dev or test sentence is dropped too. Elided
subjects (`*0*`) are no tokens. A file whose last bracket is never closed still gives its last sentence.
train = CESS-ESP; dev and test = UD AnCora with true words. With `ancora = ""`, all three are CESS-ESP by hash.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets import ancora_pos
from destila.datasets._eagles import Leaf, lexicon, words
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import fill, finish
from destila.errors import DataError
from destila.files import open_text
from destila.formats.columns import join_words, tsv_rows
from destila.formats.conllu import UPOS
from destila.types import Dataset, Example

TASK = "tag"
LABELS = UPOS
_LEAF = re.compile(r"\(([^\s()]+)[ \t]+([^\s()]+)[ \t]+([^\s()]+)\)|[()]")


class Options(_Options):
    """Where the files are and what is dropped."""

    root: str | None = root_option("cess_esp")
    overlap: Literal["drop", "keep"] = opt(
        "drop", "training sentences that are in AnCora's dev or test"
    )
    ancora: str | None = opt(
        None, "folder of UD AnCora for dev and test; none = as in ancora_pos, '' = split CESS-ESP"
    )


def load(options: Options) -> Dataset:
    """Train from CESS-ESP, dev and test from UD AnCora; raises DataError for a missing or damaged file."""
    folder = find_folder(options.root, "cess_esp", "NLTK's data (cess_esp)")
    trees = _trees(need_file(folder, "cess_esp.zip"))
    known = lexicon(sentence for sentences in trees.values() for sentence in sentences)
    listed = _listed(folder) if options.overlap == "drop" else set()
    notes: Counter[str] = Counter()
    splits: dict[str, list[Example]] = {"train": []}
    if options.ancora != "":
        ancora = ancora_pos.load(ancora_pos.Options(root=options.ancora))
        splits |= {name: list(ancora.splits[name]) for name in ("dev", "test")}
    held = (
        {e.text for examples in splits.values() for e in examples}
        if options.overlap == "drop"
        else set()
    )
    for name, sentences in trees.items():
        for number, sentence in enumerate(sentences):
            example = _example(f"{Path(name).stem}-{number}", words(sentence, known), notes)
            if (name, number) in listed:
                notes["sentences listed as overlap with AnCora, dropped"] += 1
            elif example.text in held:
                notes["sentences equal to an AnCora dev or test sentence, dropped"] += 1
            else:
                splits["train"].append(example)
    return finish("cess_pos", TASK, LABELS, fill(splits, str(folder)), notes)


def _example(
    name: str, found: Sequence[tuple[str, tuple[str, ...]]], notes: Counter[str]
) -> Example:
    notes["tokens read as several words with one surface"] += sum(
        len(tags) > 1 for _, tags in found
    )
    text, spans = join_words((surface, len(tags)) for surface, tags in found)
    return Example(name, text, words=spans, target=tuple(tag for _, tags in found for tag in tags))


def _trees(path: Path) -> dict[str, list[list[Leaf]]]:
    """Sentences of every tree file in the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {
                n: archive.read(n).decode("latin-1")
                for n in sorted(archive.namelist())
                if n.endswith(".tbf")
            }
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is not a whole zip archive: get cess_esp.zip again") from error
    if not texts:
        raise DataError(f"{path} holds no .tbf files: get cess_esp.zip again")
    return {name: list(_sentences(text)) for name, text in texts.items()}


def _sentences(text: str) -> Iterator[list[Leaf]]:
    """The leaves of every top-level bracket."""
    depth = 0
    leaves: list[Leaf] = []
    for match in _LEAF.finditer(text):
        if match[1]:
            leaves.append(Leaf(match[1], match[2], match[3]))
            continue
        depth += 1 if match[0] == "(" else -1
        if depth <= 0:
            if leaves:
                yield leaves
            leaves, depth = [], 0
    if leaves:
        yield leaves


def _listed(folder: Path) -> set[tuple[str, int]]:
    path = need_file(folder, "overlap_with_ud_ancora.tsv")
    rows = tsv_rows(open_text(path), str(path), ["tbf_file"], ["sentence_index"])
    return {(row["tbf_file"], int(row["sentence_index"])) for _, row in rows}
