"""The `[distil]` table of a recipe: what a student learns, from which teachers and which text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from destila.config import Options, opt
from destila.training.options import PrecisionName


class EnsembleOptions(Options):
    """How several teachers teach as one."""

    mean: Literal["probabilities", "logits"] = opt("probabilities", "what is averaged")
    weights: Literal["equal", "dev"] | tuple[float, ...] = opt(
        "equal", "equal, dev (in proportion to main dev scores), or one number per teacher"
    )


class AugmentOptions(Options):
    """New texts made from the labelled ones, which the teacher labels like unlabelled ones."""

    kind: Literal["fill", "swap", "cross", "case"] = opt(
        ...,
        "fill: words masked and filled by `model`; "
        "swap: entities for others of the same type (tagging); "
        "cross: the texts of pairs in other pairs; "
        "case: the student reads them in CAPITALS or in lower case, the teacher as they are",
    )
    copies: int = opt(1, "new texts per labelled one, at most", ge=1)
    share: float = opt(
        0.15,
        "share of its words that are masked, or of its entities that are swapped, at least one; "
        "or of the new pairs whose texts belong together, "
        "or of the labelled texts in another case",
        gt=0,
        le=1,
    )
    model: str | None = opt(
        None, "masked language model that fills: folder or name, as a student's `model`"
    )
    top: int = opt(20, "the likeliest words of which one is drawn", ge=1)
    seed: int = opt(0, "decides every choice", ge=0, lt=1 << 32)
    recase: float = opt(
        0.0,
        "share of the new texts that the student reads in CAPITALS or in lower case, "
        "and the teacher as they were",
        ge=0,
        le=1,
        later=True,
    )

    @model_validator(mode="after")
    def _fillable(self) -> AugmentOptions:
        """Raise ValueError when a model is missing, or is given and has no use."""
        # Only `fill` has masks to fill, so only it has a use for a model.
        if (self.kind == "fill") != (self.model is not None):
            raise ValueError(
                "kind = 'fill' needs `model`, a masked language model; the others take none"
            )
        return self


class StageSpec(Options):
    """One stage of a distillation that is done in several."""

    name: str = opt(..., "short name, part of its folder's name", pattern=r"^[A-Za-z0-9_-]+$")
    terms: tuple[dict[str, Any], ...] | None = opt(None, "its loss terms; none = distil.terms")
    train: dict[str, Any] = opt({}, "changes to how the student trains, e.g. {epochs = 2}")
    data: Literal["all", "labelled", "unlabelled"] = opt("all", "which texts")


class DistilOptions(Options):
    """What the student learns from the teacher, and from which text."""

    terms: tuple[dict[str, Any], ...] = opt(
        ({"use": "kl", "temperature": 1.0},), "loss terms: use, weight and the term's own options"
    )
    train: dict[str, Any] = opt({}, "changes to [train] while distilling, e.g. {epochs = 10}")
    stages: tuple[StageSpec, ...] = opt(
        (), "one after the other, each from the weights of the one before; () = one"
    )
    dtype: Literal["float16", "float32"] = opt("float16", "precision of the cached teacher logits")
    states: Literal["live", "cache"] = opt(
        "cache",
        "inner states (hidden, attention, relation, cosine): "
        "the teacher beside the student, or hidden ones from disk",
    )
    cache_limit_mb: float = opt(
        2000.0, "largest cache of hidden states; above it the teacher is live", ge=0
    )
    teachers: tuple[str, ...] | None = opt(
        None, "names of the teachers that may teach; none = all", min_length=1
    )
    ensemble: EnsembleOptions | None = opt(
        None, "all of them teach, as a mean; none = the best of them on dev"
    )
    unlabelled: str | None = opt(
        None,
        "file of texts that the teacher labels, one a line, or a table like the labelled one; "
        "also a path under DESTILA_DATA",
    )
    unlabelled_limit: int = opt(10_000, "most texts of it that are used", ge=1)
    unlabelled_text: str | None = opt(
        None, "its column of texts, where it is not called as the labelled one", later=True
    )
    unlabelled_pair: str | None = opt(None, "the same of the second texts", later=True)
    augment: AugmentOptions | None = opt(None, "also texts made from the labelled ones; none = no")
    repeat_labelled: int = opt(
        1,
        "how often an epoch reads each labelled text, beside once each of the others",
        ge=1,
        later=True,
    )
    precision: PrecisionName = opt(
        "auto",
        "of the teacher's products: auto = bf16 on a GPU (fp16 where it has none), fp32 on a CPU",
        later=True,
    )
    label_in: Literal["precision", "int8"] = opt(
        "precision",
        "how a teacher on a CPU labels: in `precision`, or in int8, about three times as fast, "
        "where its main dev score drops by 0.2 points at most (else in `precision`)",
        later=True,
    )

    @property
    def labelled_in(self) -> str:
        """How a teacher labels, in one word: in int8, or in a precision."""
        return "int8" if self.label_in == "int8" else self.precision
