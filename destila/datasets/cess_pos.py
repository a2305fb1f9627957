"""CESS-ESP with universal parts of speech: training data for UD AnCora without its own.

source: CESS-ESP as distributed with NLTK's data (`cess_esp.zip`: bracketed trees in Latin-1)
licence: free for research with citation   paper: Martí and Taulé, 2007
notes: tags and tokens are changed to UD AnCora's (see `datasets._eagles`). A third of AnCora dev
and test comes from these texts: `overlap_with_ud_ancora.tsv` (tbf file, sentence number from 0, UD
split, UD sentence) lists what is dropped from training, and any sentence that still equals a dev
or test sentence is dropped too. Elided subjects (`*0*`) are no tokens. A file whose last bracket
is never closed still gives its last sentence. train = CESS-ESP; dev and test = UD AnCora with true
words. With `ancora = ""`, all three are CESS-ESP by hash.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets import ancora_pos
from destila.datasets._eagles import Leaf, Word, lexicon, ud_words
from destila.datasets._files import find_folder, need_file, root_option
from destila.datasets._split import fill_splits, finish
from destila.errors import DataError
from destila.files import open_text
from destila.formats.archives import open_zip
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
    """Load train from CESS-ESP, dev and test from UD AnCora.

    Raises:
        DataError: a file is missing or damaged.
    """
    # The tags of single words tell those of the parts of multiword tokens.
    folder = find_folder(options.root, "cess_esp", "NLTK's data (cess_esp)")
    trees = _read_trees(need_file(folder, "cess_esp.zip"))
    known = lexicon(chain.from_iterable(trees.values()))

    splits: dict[str, list[Example]] = {"train": []}

    # Dev and test are AnCora's, unless CESS-ESP itself is divided.
    if options.ancora != "":
        ancora = ancora_pos.load(ancora_pos.Options(root=options.ancora))
        splits |= {name: list(ancora.splits[name]) for name in ("dev", "test")}

    # What is also in dev or test does not train.
    listed: set[tuple[str, int]] = set()
    held: set[str] = set()
    if options.overlap == "drop":
        listed = _read_overlap(folder)
        held = {e.text for e in chain.from_iterable(splits.values())}

    # What overlaps is recognised by the list or by its text.
    notes: Counter[str] = Counter()
    for name, sentences in trees.items():
        for number, sentence in enumerate(sentences):
            example = _example(f"{Path(name).stem}-{number}", ud_words(sentence, known), notes)
            if (name, number) in listed:
                notes["sentences listed as overlap with AnCora, dropped"] += 1
            elif example.text in held:
                notes["sentences equal to an AnCora dev or test sentence, dropped"] += 1
            else:
                splits["train"].append(example)
    return finish("cess_pos", TASK, LABELS, fill_splits(splits, str(folder), notes), notes)


def _example(name: str, words: Sequence[Word], notes: Counter[str]) -> Example:
    """Make an example of surfaces and the tags of the words that each stands for."""
    # One surface with several tags is what UD calls a multiword token.
    shared = sum(len(tags) > 1 for _, tags in words)
    notes["tokens read as several words with one surface"] += shared
    text, spans = join_words((surface, len(tags)) for surface, tags in words)
    target = tuple(chain.from_iterable(tags for _, tags in words))
    return Example(name, text, words=spans, target=target)


def _read_trees(path: Path) -> dict[str, list[list[Leaf]]]:
    """Read the sentences of every tree file in the archive."""
    with open_zip(path, remedy="get cess_esp.zip again") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".tbf")]
        texts = {name: archive.read(name).decode("latin-1") for name in names}
    if not texts:
        raise DataError(f"{path} holds no .tbf files: get cess_esp.zip again")
    return {name: list(_sentences(text)) for name, text in texts.items()}


def _sentences(text: str) -> Iterator[list[Leaf]]:
    """Yield the leaves of every top-level bracket."""
    depth = 0
    leaves: list[Leaf] = []
    for match in _LEAF.finditer(text):
        if match[1]:
            leaves.append(Leaf(match[1], match[2], match[3]))
            continue

        # A top-level bracket closes, or the one before it never did.
        depth += 1 if match[0] == "(" else -1
        if depth <= 0:
            if leaves:
                yield leaves
            leaves, depth = [], 0
    if leaves:
        yield leaves


def _read_overlap(folder: Path) -> set[tuple[str, int]]:
    """Read file and number of the sentences that AnCora's dev and test hold too."""
    # The list is part of the data: without it train would hold test sentences.
    path = need_file(folder, "overlap_with_ud_ancora.tsv")
    rows = tsv_rows(open_text(path), str(path), ["tbf_file"], ["sentence_index"])
    return {(row["tbf_file"], int(row["sentence_index"])) for _, row in rows}
