"""UD Spanish AnCora: universal part-of-speech tags of newspaper sentences.

source: Universal Dependencies, UD_Spanish-AnCora, `es_ancora-ud-{train,dev,test}.conllu`
licence: GPL 3.0 up to release 2.9, CC BY 4.0 later   paper: Taulé, Martí and Recasens, 2008
notes: `mwt = "underscore"` reproduces the data behind the published scores (UD 2.7; 18 classes,
`_` for multiword tokens, whose parts follow); `"words"` gives true syntactic words. Older
published figures (BETO: 98.44, 98.97) are accuracies on UD 1.4 AnCora and GSD together, and one
copy of the data has 14,287 instead of 14,305 training sentences: three incomparable numbers.
Without a train file, only dev and test are loaded (`cess_pos` trains on the ancestor of this
treebank).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from destila.config import Options as _Options
from destila.config import opt
from destila.datasets._files import find_file, find_folder, need_file, root_option
from destila.datasets._split import finish
from destila.files import open_text
from destila.formats.conllu import UPOS, ConlluSentence, MultiwordRule, read_conllu
from destila.types import Dataset, Example

TASK = "tag"
LABELS = UPOS
FOLDER = "ud_spanish_ancora"


class Options(_Options):
    """Where the files are and how multiword tokens are read."""

    root: str | None = root_option(FOLDER)
    mwt: MultiwordRule = opt(
        "words", "multiword tokens: true syntactic words, or '_' lines as in the published numbers"
    )


def load(options: Options) -> Dataset:
    """Load train (where its file exists), dev and test.

    Raises:
        DataError: a file is missing or a line is faulty.
    """
    folder = find_folder(options.root, FOLDER, "UD_Spanish-AnCora")
    notes: Counter[str] = Counter()
    splits = {}
    for split in ("train", "dev", "test"):
        name = f"es_ancora-ud-{split}.conllu"
        path = find_file(folder, name) if split == "train" else need_file(folder, name)

        # Train may be missing: dev and test are enough to test a tagger.
        if path is None:
            notes["splits without a file (train)"] += 1
            continue
        sentences = read_conllu(open_text(path), str(path), mwt=options.mwt)
        splits[split] = conllu_examples(sentences, notes)
    return finish("ancora_pos", TASK, LABELS, splits, notes)


def conllu_examples(sentences: Iterable[ConlluSentence], notes: Counter[str]) -> list[Example]:
    """Make examples of CoNLL-U sentences; count multiword tokens and skipped empty nodes."""
    # Both are counted, as they explain why words differ in number from tokens.
    examples = []
    for sentence in sentences:
        notes["multiword tokens"] += sentence.multiword
        notes["empty nodes skipped"] += sentence.empty_nodes
        examples.append(
            Example(sentence.id, sentence.text, words=sentence.words, target=sentence.tags)
        )
    return examples
