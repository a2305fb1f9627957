"""A finished tagger as a recogniser of presidio-analyzer, which finds personal data in texts.

    registry = RecognizerRegistry(supported_languages=["es"])
    registry.add_recognizer(DestilaRecognizer("es-ner"))
    analyzer = AnalyzerEngine(registry, blank_engine(), supported_languages=["es"])
    analyzer.analyze("Begoña vive en Sevilla.", language="es")

The model splits the text itself, so presidio's own NLP engine need not know any Spanish:
`blank_engine` is one that downloads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from destila.errors import ModelError, require
from destila.inference.labeller import Labeller
from destila.results import SpansResult
from destila.tasks import metrics

require("presidio_analyzer", "presidio")  # before the imports: its error names the extra

from presidio_analyzer import (  # noqa: E402
    AnalysisExplanation,
    EntityRecognizer,
    RecognizerResult,
)
from presidio_analyzer.nlp_engine import NlpArtifacts, SpacyNlpEngine  # noqa: E402

ENTITY_NAMES = {
    "PER": "PERSON",
    "PERS": "PERSON",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "ORG": "ORGANIZATION",
}
"""Usual labels of entities, and what presidio calls them; others keep their names."""


class DestilaRecognizer(EntityRecognizer):  # type: ignore[misc]
    """A recogniser of the entities that a finished tagger knows.

    Args:
        model: folder, installed package or hub name.
        entities: the model's label -> presidio's entity, of the labels that are wanted; None: all,
            by `ENTITY_NAMES`.
        min_probability: entities of a lower one are left out.
        language: that presidio asks for.
        name: of the recogniser in presidio's explanations.
        threads: of an exported model; None: as many as this process may keep busy.

    Raises:
        ModelError: there is no such model, it finds no entities, or it has no such label.
    """

    def __init__(
        self,
        model: str,
        *,
        entities: Mapping[str, str] | None = None,
        min_probability: float = 0.0,
        language: str = "es",
        name: str = "DestilaRecognizer",
        threads: int | None = None,
    ) -> None:
        self.model, self.min_probability = model, min_probability
        self.labeller = Labeller(model, threads=threads)
        if not metrics.is_bio(self.labeller.labels):
            raise ModelError(f"{model} finds no entities: presidio needs a tagger with BIO labels")

        kinds = list(dict.fromkeys(x[2:] for x in self.labeller.labels if len(x) > 2))
        for label in entities or ():
            if label not in kinds:
                raise ModelError(f"{model} has no label '{label}': it has {', '.join(kinds)}")
        self.names = dict(entities or {kind: ENTITY_NAMES.get(kind, kind) for kind in kinds})
        supported = list(dict.fromkeys(self.names.values()))
        super().__init__(supported_entities=supported, supported_language=language, name=name)

    def load(self) -> None:
        """Do nothing: the model is open already."""

    def analyze(
        self,
        text: str,
        entities: Sequence[str],
        nlp_artifacts: NlpArtifacts | None = None,  # noqa: ARG002
    ) -> list[Any]:
        """Return the wanted entities of a text as presidio's results.

        Args:
            text: to be read; offsets are code points of it.
            entities: presidio's names of those that are wanted; none: all.
            nlp_artifacts: not looked at.
        """
        answer = next(self.labeller.answers([text]))
        spans = answer.spans if isinstance(answer, SpansResult) else ()
        results = []
        for span in spans:
            kind = self.names.get(span.label or "")
            wanted = kind is not None and (not entities or kind in entities)
            if wanted and span.probability >= self.min_probability:
                why = AnalysisExplanation(
                    recognizer=self.name,
                    original_score=span.probability,
                    textual_explanation=f"{self.model} says {span.label}",
                )
                results.append(RecognizerResult(kind, span.start, span.end, span.probability, why))
        return results


def blank_engine(language: str = "es") -> Any:
    """Return an NLP engine of presidio that splits words alone, without any download.

    Args:
        language: two letters that spaCy knows.
    """
    spacy = require("spacy", "presidio")
    engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": f"blank_{language}"}])
    engine.nlp = {language: spacy.blank(language)}
    return engine
