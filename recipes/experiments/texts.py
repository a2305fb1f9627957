"""Raw text of the data sets, a sentence a line, for teachers to label: never text that is scored.

    python recipes/experiments/texts.py texts     # a minute; texts/*.txt

news    CESS-ESP without its overlap with AnCora, COALAS (train, dev), fake news (train,
        development), news topics, questions on COVID-19 (train)
wiki    SQuAD-es without XQuAD's paragraphs, InferES, PAWS-X dev
other   XNLI dev, topics of Argentine laws (train, five sentences a document)
corpus  a sample of `corpus_es`: 60 lines of every novel, every 25th press conference, every 30th
law
vocabulary  for the pieces of a small vocabulary: all news, every sixth sentence of corpus and wiki,
every fourth of the news once more in CAPITALS

An empty line ends a document. Sentences that are in any dev or test part of a data set are left
out.
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from destila import datasets
from destila.files import open_text
from destila.formats.columns import blocks
from destila.tokenizer.split_sentences import split_sentences
from destila.types import Dataset

DATA_SETS = (
    "cess_pos",
    "conll2002",
    "news_topics",
    "covid_qa",
    "squad_es",
    "inferes",
    "paws_x",
    "xnli_es",
    "legal_topics",
)
ROOT = Path(os.environ["DESTILA_DATA"])

Pairs = list[tuple[str, str | None]]
"""Texts of examples, each with the second text of a pair."""


def main(out: Path) -> None:
    """Write the four files into a folder."""
    sets = {name: datasets.load({"use": name}) for name in DATA_SETS}
    scored = set[str]()
    for dataset in sets.values():
        scored |= scored_sentences(dataset)
    train = {name: [(e.text, e.pair) for e in d.splits["train"]] for name, d in sets.items()}

    # Sources of a file, each a run of documents; what two sources share is written once.
    news = [
        first_texts(train["cess_pos"]),
        coalas(),
        fake_news(),
        first_texts(train["news_topics"]),
        both_texts(train["covid_qa"]),
    ]
    wiki = [both_texts(train[name]) for name in ("squad_es", "inferes", "paws_x")]
    laws = [" ".join(split_sentences(text)[:5]) for text, _ in train["legal_topics"]]
    other = [both_texts(train["xnli_es"]), list(dict.fromkeys(laws))]
    sample = [
        middles("books", every=1, lines=60),
        middles("speech_mx", every=25, lines=400),
        middles("law", every=30, lines=60),
    ]

    out.mkdir(parents=True, exist_ok=True)
    files = {"news": news, "wiki": wiki, "other": other, "corpus": sample}
    for name, sources in files.items():
        path = out / f"{name}.txt"
        sys.stdout.write(f"{path}: {write_documents(path, sources, scored)} sentences\n")
    write_vocabulary_text(out)


def write_vocabulary_text(out: Path) -> None:
    """Write the text that decides which pieces a small vocabulary keeps."""
    lines = {
        name: [line for line in open_text(out / f"{name}.txt") if line.strip()]
        for name in ("news", "corpus", "wiki")
    }
    capitals = [line.upper() for line in lines["news"][::4]]
    chosen = [*lines["news"], *lines["corpus"][::6], *lines["wiki"][::6], *capitals]
    text = "\n".join(line.rstrip("\n") for line in chosen)
    (out / "vocabulary.txt").write_text(f"{text}\n", encoding="utf-8")


def scored_sentences(dataset: Dataset) -> set[str]:
    """Return the sentences of a data set's dev and test parts."""
    examples = [*dataset.splits.get("dev", ()), *dataset.splits.get("test", ())]
    texts = [*(e.text for e in examples), *(e.pair or "" for e in examples)]
    sentences = set[str]()
    for text in texts:
        sentences.update(split_sentences(text))
    return sentences


def first_texts(pairs: Pairs) -> list[str]:
    """Return the first texts, each once."""
    return list(dict.fromkeys(text for text, _ in pairs))


def both_texts(pairs: Pairs) -> list[str]:
    """Return the texts of pairs, first and second in turn, each once."""
    texts: list[str] = []
    for pair in pairs:
        texts += [text for text in pair if text]
    return list(dict.fromkeys(texts))


def write_documents(path: Path, sources: Iterable[Iterable[str]], scored: set[str]) -> int:
    """Write the sentences of documents that are neither scored nor written yet.

    Returns:
        How many sentences were written.
    """
    seen = set(scored)
    with path.open("w", encoding="utf-8") as file:
        for source in sources:
            for document in source:
                # a line of a document may hold several sentences
                sentences: list[str] = []
                for line in document.split("\n"):
                    sentences += split_sentences(" ".join(line.split()))

                fresh = [s for s in dict.fromkeys(sentences) if s not in seen and len(s) > 15]
                seen.update(fresh)
                if fresh:
                    file.write("\n".join(fresh) + "\n\n")
    return len(seen) - len(scored)


def middles(name: str, *, every: int, lines: int) -> Iterator[str]:
    """Yield lines from the middle of every so many documents, at most `lines` of each."""
    number, document = 0, list[str]()
    for line in open_text(ROOT / "corpus_es" / f"{name}.txt.zst"):
        if line.strip():
            document.append(line)
        elif document:
            if number % every == 0:
                start = max(0, len(document) // 2 - lines // 2)
                yield "\n".join(document[start : start + lines])
            number, document = number + 1, []


def coalas() -> Iterator[str]:
    """Yield the sentences of COALAS, whose file holds a word a line."""
    for name in ("training", "dev"):
        for block in blocks(open_text(ROOT / "coalas" / f"{name}.conll")):
            yield spaced(" ".join(line.split("\t")[0] for _, line in block))


def spaced(text: str) -> str:
    """Return a text without the blanks between words and the marks that hold on to them."""
    text = re.sub(r"([¿¡(\[«])\s+", r"\1", text)
    return re.sub(r"\s+([,.;:!?)\]»%])", r"\1", text)


def fake_news() -> Iterator[str]:
    """Yield headlines and texts of two Excel files, read as the XML that they are."""
    for name in ("train", "development"):
        with zipfile.ZipFile(ROOT / "fake_news_es" / f"{name}.xlsx") as archive:
            shared = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
        for item in shared:
            text = "".join(part.text or "" for part in item.iter() if part.tag.endswith("}t"))
            if len(text.split()) > 5 and "http" not in text[:8]:
                yield text.replace("*NUMBER*", "7")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
