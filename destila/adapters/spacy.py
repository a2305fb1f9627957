"""A finished model as a component of spaCy: `nlp.add_pipe("destila", config={"model": "es-ner"})`.

The tokens of the Doc are the model's words, at their places in the text: what the model says of a
word stands on that very token, and no offsets have to be aligned afterwards.

    entities          doc.ents
    parts of speech   token.pos_ (universal ones), else token.tag_
    classes, labels   doc.cats

`span._.destila_probability` is that of an entity, `doc._.destila_warning` says what was not read. A
saved pipeline keeps the name of its model, not the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from destila.errors import ModelError, require
from destila.inference.labeller import Labeller
from destila.tasks import metrics
from destila.tasks.tag import labelled_spans
from destila.types import Example, Prediction

require("spacy", "spacy")  # before the imports: its error names the extra

from spacy.language import Language  # noqa: E402
from spacy.tokens import Doc, Span  # noqa: E402
from spacy.util import filter_spans, minibatch  # noqa: E402

_UNIVERSAL = frozenset(
    (
        "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
        "PUNCT", "SCONJ", "SYM", "VERB", "X",
    )
)  # fmt: skip
"""Parts of speech of Universal Dependencies, which `token.pos_` knows."""

_PROBABILITY, _WARNING = "destila_probability", "destila_warning"


class DocReader:
    """A component that reads Docs with a finished model.

    Args:
        model: folder, installed package or hub name.
        threads: of an exported model; None: as many as this process may keep busy.
        min_probability: entities and parts of speech of a lower one are left out; None: none is.
        overwrite: replace entities of earlier components; False: they stay, and the model's that
            overlap with them are left out.

    Raises:
        ModelError: there is no such model, or it answers questions.
    """

    def __init__(
        self,
        model: str,
        *,
        threads: int | None = None,
        min_probability: float | None = None,
        overwrite: bool = False,
    ) -> None:
        self.model, self.threads = model, threads
        self.min_probability, self.overwrite = min_probability, overwrite
        self._opened: tuple[int, Labeller] | None = None
        if self.labeller.predictor.task.asks_questions:
            raise ModelError(f"{model} answers questions, and a Doc asks none: use destila.load")

    @property
    def labeller(self) -> Labeller:
        """The model, opened once in each process: threads of a runtime do not survive a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), Labeller(self.model, threads=self.threads)
        return self._opened[1]

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of the model's classes."""
        return self.labeller.labels

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to open the model itself."""
        return {**self.__dict__, "_opened": None}

    def __call__(self, doc: Doc) -> Doc:
        """Read a Doc."""
        self._read([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Read a stream of Docs, many at once; each has the answer that it has alone."""
        for docs in minibatch(stream, batch_size):
            self._read(docs)
            yield from docs

    def _read(self, docs: Sequence[Doc]) -> None:
        """Ask the model about some Docs and write its answers on them."""
        task = self.labeller.predictor.task
        tokens = [[token.i for token in doc if not token.is_space] for doc in docs]
        asked = [i for i, words in enumerate(tokens) if words]
        if not asked:
            return

        # Blank tokens are no words; the places of the others are those of the text.
        examples = []
        for i in asked:
            places = [(docs[i][t].idx, docs[i][t].idx + len(docs[i][t])) for t in tokens[i]]
            words = tuple(places) if task.needs_words else ()
            examples.append(Example(str(i), docs[i].text, words=words))

        predictor = self.labeller.predictor
        encoded = predictor.encode(examples)
        predictions = predictor.decode(examples, encoded)
        for row, (i, example, prediction) in enumerate(
            zip(asked, examples, predictions, strict=True)
        ):
            docs[i]._.set(_WARNING, encoded.cut.get(row))
            if task.needs_words:
                self._write_words(docs[i], tokens[i], prediction)
            else:
                result: Any = task.to_result(example, prediction, self.labels)
                docs[i].cats = {**docs[i].cats, **result.probabilities}

    def _write_words(self, doc: Doc, tokens: Sequence[int], prediction: Prediction) -> None:
        """Write the entities, or the part of speech of each word.

        Args:
            doc: what was read.
            tokens: the numbers of those that are words.
            prediction: of the words.
        """
        # counted in words, an entity is [first, last)
        numbers = [(word, word + 1) for word in range(len(tokens))]
        runs = labelled_spans(numbers, prediction, self.labels)
        least = self.min_probability or 0.0
        kept = [run for run in runs if run[2] >= least]

        if metrics.is_bio(self.labels):
            self._write_entities(doc, tokens, kept)
            return
        universal = set(self.labels) <= _UNIVERSAL
        for (word, _), label, _ in kept:
            token = doc[tokens[word]]
            if universal:
                token.pos_ = label
            else:
                token.tag_ = label

    def _write_entities(
        self, doc: Doc, tokens: Sequence[int], runs: Sequence[tuple[tuple[int, int], str, float]]
    ) -> None:
        """Write entities, each (words [first, last), label, probability), beside earlier ones."""
        spans = []
        for (first, last), label, probability in runs:
            span = Span(doc, tokens[first], tokens[last - 1] + 1, label=label)
            span._.set(_PROBABILITY, round(probability, 6))
            spans.append(span)

        # the earlier ones stay whole, whatever is longer
        earlier = [] if self.overwrite else list(doc.ents)
        taken = {i for span in earlier for i in range(span.start, span.end)}
        free = [span for span in spans if taken.isdisjoint(range(span.start, span.end))]
        doc.ents = filter_spans([*earlier, *free])


@Language.factory(  # type: ignore[untyped-decorator]
    "destila",
    assigns=["doc.ents", "token.ent_type", "token.ent_iob", "token.pos", "token.tag", "doc.cats"],
    default_config={"threads": None, "min_probability": None, "overwrite": False},
)
def make_component(
    nlp: Language,  # noqa: ARG001
    name: str,  # noqa: ARG001
    model: str,
    threads: int | None,
    min_probability: float | None,
    overwrite: bool,
) -> DocReader:
    """Make the component `destila` of a pipeline; see `DocReader`."""
    for kind, extension in ((Span, _PROBABILITY), (Doc, _WARNING)):
        if not kind.has_extension(extension):
            kind.set_extension(extension, default=None)
    return DocReader(model, threads=threads, min_probability=min_probability, overwrite=overwrite)
