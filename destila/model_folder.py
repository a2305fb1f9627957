"""What a model folder says about itself, without its weights: config.json, labels, task. No torch.

Folders written by destila and by transformers are read alike; destila.json, where there is one,
adds what a config.json has no place for (text options, provenance).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from destila.errors import ModelError
from destila.reading.escaping import short_value
from destila.reading.shapes import DESTILA_FILE, MODEL_CONFIG_FILE, read_shape
from destila.reading.values import is_whole_number

SPAN_LABELS = ("start", "end")
"""What two logits of a question answering head say of a token; transformers names neither."""

_REMEDY = "copy the folder or make it again"
"""What helps when a file of a model folder is damaged."""


@dataclass(frozen=True, slots=True)
class HeadKind:
    """A kind of task head.

    Args:
        architecture: how the transformers class of such a model ends.
        pipeline: its tag on the hub.
        per_token: every token has logits; False: the text has them.
        labels: what its logits always say; None: config.json names them.
        classifier: the name of its last layer in transformers.
        problem: what config.json calls the problem, which tells heads of one architecture apart.
    """

    architecture: str
    pipeline: str
    per_token: bool
    labels: tuple[str, ...] | None = None
    classifier: str = "classifier"
    problem: str = ""


HEADS = {
    "multilabel": HeadKind(
        "ForSequenceClassification",
        "text-classification",
        per_token=False,
        problem="multi_label_classification",
    ),
    "classify": HeadKind(
        "ForSequenceClassification",
        "text-classification",
        per_token=False,
        problem="single_label_classification",
    ),
    "tag": HeadKind("ForTokenClassification", "token-classification", per_token=True),
    "span": HeadKind(
        "ForQuestionAnswering",
        "question-answering",
        per_token=True,
        labels=SPAN_LABELS,
        classifier="qa_outputs",
    ),
}
"""Every kind of head, by the name under which `models.heads` builds it; a task names its own.

Of heads of one architecture the last is what a config.json without a problem has.
"""


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """A model folder's self-description.

    Args:
        path: of the folder.
        config: config.json.
        labels: in the order of the logits, perhaps only `LABEL_0`...; None: config.json has none.
        task: the kind of its head, of HEADS, such as "tag"; None: the folder has no such head.
        architecture: as config.json names it, such as "BertForTokenClassification", or "".
        extra: destila.json; {} in folders of others.
    """

    path: Path
    config: Mapping[str, Any]
    labels: tuple[str, ...] | None
    task: str | None
    architecture: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def head(self) -> tuple[str, tuple[str, ...]]:
        """Return the kind of head and its labels.

        Raises:
            ModelError: the folder has no head, or one whose labels have no names.
        """
        if self.task is None or self.labels is None:
            raise ModelError(
                f"{self.path} has no task head with label names: give a folder that destila "
                "trained, such as runs/<study>/students/<name>/best"
            )
        return self.task, self.labels


def read_folder(path: Path | str) -> FolderInfo:
    """Return what a model folder says about itself.

    Raises:
        ModelError: config.json is missing or makes no sense.
    """
    path = Path(path)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} is not a model folder: it has no config.json")

    config = read_shape(path / "config.json", MODEL_CONFIG_FILE, ModelError, remedy=_REMEDY)
    extra: dict[str, Any] = {}
    if (path / "destila.json").is_file():
        extra = read_shape(path / "destila.json", DESTILA_FILE, ModelError, remedy=_REMEDY)

    # The transformers class tells the head: BertForTokenClassification ends like that of "tag".
    architecture = str((config.get("architectures") or [""])[0])
    # Of two heads of that architecture the one whose problem config.json names.
    fitting = [k for k, head in HEADS.items() if architecture.endswith(head.architecture)]
    named = [k for k in fitting if HEADS[k].problem == config.get("problem_type")]
    task = next(iter(named or fitting[-1:]), None)
    labels = (HEADS[task].labels if task else None) or _labels(config, path)
    return FolderInfo(path, config, labels, task, architecture, extra)


def _labels(config: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    """Return the labels in the order of their ids, or None where none are named."""
    names = config.get("id2label")
    if not names:  # transformers leaves `LABEL_i` of two labels out
        return None

    # Labels in the order of the logits: ids are 0, 1, 2, ...
    numbered = {int(i): str(label) for i, label in names.items() if is_whole_number(i)}
    if sorted(numbered) != list(range(len(names))):
        raise ModelError(
            f"{path}/config.json: id2label must number its labels 0 to {len(names) - 1}, "
            f"got {short_value(list(names))}"
        )

    # Two ids of one label would be two classes that nobody can tell apart.
    labels = tuple(numbered[i] for i in range(len(names)))
    if len(set(labels)) != len(labels):
        raise ModelError(f"{path}/config.json: id2label names a label twice: {', '.join(labels)}")
    return labels
