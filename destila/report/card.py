"""The model card of a folder: Markdown with the YAML head that model hubs read.

It is drawn from the model's record and its files. What is not known is written as unknown: a
licence above all. Cards follow Mitchell et al. 2019, "Model Cards for Model Reporting": data,
scores with an interval, conditions, intended use and limits.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from destila import plugins
from destila.measuring.load import timing_doubt
from destila.model_folder import HEADS, read_folder
from destila.reading.escaping import markdown
from destila.records import Record
from destila.report.differences.intervals import interval
from destila.report.words import (
    SCORE_NAMES,
    conditions_of,
    in_megabytes,
    list_conditions,
    points,
    score_name,
    with_commas,
)
from destila.tasks import task_of
from destila.types import Task

UNKNOWN = "unknown"
CARD_FILE = "README.md"

_SAMPLE = {"text": "Vivo en Sevilla desde 1992."}
_METRIC = {
    "macro_f1": "f1",
    "entity_f1": "f1",
    "pos_accuracy": "accuracy",
    "mcc": "matthews_correlation",
}
_SOURCE = re.compile(r"source:\s*(.+?)\s*(?=\blicence:|\bpaper:|\bnotes:|\Z)", re.DOTALL)
_LICENCE = re.compile(r"\blicence:\s*(.+?)\s*(?=\bpaper:|\bnotes:|\bsource:|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CardInfo:
    """What a card tells about a model folder.

    files: names of the folder's files, which decide what can run it (model.safetensors,
    model.onnx). record: of this very model, None when it was not tested. inputs: of the ONNX graph.
    source: the folder of weights that an exported one was made from. licence: of the weights;
    data_licence: of the training data; both as the user or the data set states them. notes: lines
    on what was done to the model. verdict: whether it beats its twin and the baseline, a sentence.

    Example: `CardInfo("tiny-ner", "tag", frozenset({"model.onnx"}), ("O", "B-PER"), record, 128)`.
    """

    title: str
    task: str
    files: frozenset[str]
    labels: tuple[str, ...] = ()
    record: Record | None = None
    max_length: int = 0
    inputs: tuple[str, ...] = ("input_ids", "mask")
    source: str = ""
    licence: str = UNKNOWN
    data_source: str = UNKNOWN
    data_licence: str = UNKNOWN
    notes: tuple[str, ...] = ()
    verdict: str = ""


def describe_folder(
    folder: Path,
    title: str,
    record: Record | None = None,
    *,
    inputs: Sequence[str] = ("input_ids", "mask"),
    source: str = "",
    licence: str = UNKNOWN,
    notes: Sequence[str] = (),
    verdict: str = "",
) -> CardInfo:
    """Gather what a card tells about a model folder.

    The licence of the data is that of the shipped data set.

    Args:
        folder: of the model.
        title: of the card.
        record: of this very model; None = it was not tested.
        inputs: of the ONNX graph.
        source: the folder of weights that an exported one was made from.
        licence: of the weights, as the user states it.
        notes: lines on what was done to the model.
        verdict: whether it beats its twin and the baseline, a sentence; "" = nobody knows.

    Raises:
        ModelError: the folder is no model.
    """
    info = read_folder(folder)

    # Only a shipped data set states its licence; a user's own files state none.
    data_source, data_licence = _data_header(record.dataset if record else "")
    return CardInfo(
        title=title,
        task=record.task if record else info.extra.get("task") or info.task or UNKNOWN,
        files=frozenset(path.name for path in folder.iterdir()),
        labels=info.labels or (),
        record=record,
        max_length=int(info.extra.get("max_length", 0)),
        inputs=tuple(inputs),
        source=source,
        licence=licence,
        data_source=data_source,
        data_licence=data_licence,
        notes=tuple(notes),
        verdict=verdict,
    )


def _task(info: CardInfo) -> Task | None:
    """Find the model's task; None for one that destila does not ship."""
    return task_of(info.task) if info.task in plugins.names("tasks") else None


def model_card(info: CardInfo) -> str:
    """Write the card."""
    # What a reader asks first comes first: what it does, how to run it, how good it is.
    parts = [_yaml_head(info), f"# {markdown(info.title)}", _opening(info), _how_to_run(info)]

    # Sections that have nothing to say are empty, and left out.
    parts += [_scores(info), _cost(info), _data(info), _use(info), _licences(info)]
    parts.append(_conditions(info))
    return "\n\n".join(part for part in parts if part) + "\n"


def _yaml_head(info: CardInfo) -> str:
    """Write the head that hubs read."""
    record = info.record

    # Hubs sort models by these keys.
    lines = ["language: es", f"license: {_quoted(info.licence.lower())}", "library_name: destila"]
    if task := _task(info):
        lines.append(f"pipeline_tag: {HEADS[task.head].pipeline}")

    tags = ["destila", "spanish"]

    # Without a record nothing is known of data or scores, so neither is claimed.
    if record:
        tags.append(record.role)
    if _has_onnx(info):
        tags.append("onnx")
    lines += ["tags:", *(f"  - {_quoted(tag)}" for tag in tags)]

    if record:
        lines += ["datasets:", f"  - {_quoted(record.dataset)}"]
        lines += ["metrics:", f"  - {_quoted(_METRIC.get(record.main, record.main))}"]
    return "\n".join(["---", *lines, "---"])


def _opening(info: CardInfo) -> str:
    """Tell what the model does, where it comes from, and its labels."""
    lines = ["This model is a Spanish encoder."]
    if task := _task(info):
        does = task.summary.format(labels=len(info.labels))
        lines = [f"A small Spanish encoder that {does}."]

    # A model without a record may come from anywhere.
    if info.record:
        data = markdown(info.record.dataset)
        teacher = markdown(str(info.record.details.get("teacher") or "a larger teacher"))
        origin = {
            "distilled": f"Distilled from {teacher} on {data}.",
            "finetuned": f"Fine-tuned on the gold labels of {data}.",
            "teacher": f"Fine-tuned on the gold labels of {data}, to teach smaller models.",
            "exported": f"Exported from a model trained on {data}.",
        }
        lines += [origin.get(info.record.role, ""), info.verdict]

    # One paragraph each: what it is, its labels, what was done to it.
    parts = [" ".join(line for line in lines if line)]
    if info.labels:
        parts.append(f"Labels: {', '.join(map(markdown, info.labels))}.")
    parts.append("\n".join(f"- {note}" for note in info.notes))
    return "\n\n".join(part for part in parts if part)


def _how_to_run(info: CardInfo) -> str:
    """Show code for everything that can run the folder's files."""
    # An exported folder has no weights of its own: transformers reads those it came from.
    weights = "FOLDER" if "model.safetensors" in info.files else ""
    if not weights and info.source:
        weights = "WEIGHTS"

    # Only what the files allow is shown, so that no code on a card fails.
    ways = []
    if any(file.endswith((".safetensors", ".onnx", ".xml")) for file in info.files):
        ways.append(("destila", _with_destila(info)))
    if weights and (task := _task(info)):
        ways.append(("transformers", _with_transformers(task, weights)))
    if _has_onnx(info):
        ways.append(("onnxruntime", _with_onnxruntime(info)))
    if not ways:
        return ""

    where = "`FOLDER` is where this file lies."
    if weights == "WEIGHTS":
        where += f" `WEIGHTS` is the model it was exported from, `{info.source}`: "
        where += "transformers reads weights."
    blocks = [f"With {library}:\n\n```python\n{code}\n```" for library, code in ways]
    return "\n\n".join(["## How to run", where, *blocks])


def _with_destila(info: CardInfo) -> str:
    """Show how destila runs it."""
    # The task's own sample row, so that the code shows the right number of texts.
    task = _task(info)
    row = task.sample_row if task else _SAMPLE
    alone = len(row) == 1
    text = json.dumps(row["text"] if alone else dict(row), ensure_ascii=False)

    # A task of single texts or pairs shows the single text and mentions the pair.
    either = task is not None and task.has_pairs and alone
    pairs = '  # a pair: {"text": ..., "pair": ...}' if either else ""
    return f'import destila\nmodel = destila.load("FOLDER")\nprint(model.predict({text})){pairs}'


def _with_transformers(task: Task, weights: str) -> str:
    """Show how transformers runs its weights."""
    if task.asks_questions:  # transformers 5 has no pipeline for it
        return (
            "from transformers import AutoModelForQuestionAnswering as Model, "
            "AutoTokenizer as Tokenizer\n"
            f'e = Tokenizer.from_pretrained("{weights}")'
            '("¿Dónde vive Ana?", "Ana vive en Sevilla.", return_tensors="pt")\n'
            f'print(Model.from_pretrained("{weights}")(**e))  # logits of start and end'
        )

    # All other heads have a pipeline of their own.
    kind = HEADS[task.head].pipeline
    return (
        f'from transformers import pipeline\nmodel = pipeline("{kind}", model="{weights}")\n'
        'print(model("Vivo en Sevilla desde 1992."))'
    )


def _with_onnxruntime(info: CardInfo) -> str:
    """Show how onnxruntime alone runs its graph."""
    task = _task(info)
    row = task.sample_row if task else _SAMPLE
    text = ", ".join(json.dumps(value, ensure_ascii=False) for value in row.values())

    # Graphs differ in their inputs: type_ids are for pairs alone.
    fields = {"input_ids": "[e.ids]", "mask": "[e.attention_mask]", "type_ids": "[e.type_ids]"}
    inputs = [key for key in info.inputs if key in fields]
    feeds = ", ".join(f'"{key}": numpy.array({fields[key]})' for key in inputs)
    return (
        "import numpy, onnxruntime, tokenizers\n"
        f'e = tokenizers.Tokenizer.from_file("FOLDER/tokenizer.json").encode({text})\n'
        'print(onnxruntime.InferenceSession("FOLDER/model.onnx")'
        f".run(None, {{{feeds}}})[0])  # logits"
    )


def _scores(info: CardInfo) -> str:
    """Write the scores, the main one with its interval."""
    record = info.record
    if record is None:
        return "## Scores\n\nNot tested: no record of this model."

    # The main score first, as the one the model was chosen by.
    others = [key for key in SCORE_NAMES if key in record.scores and key != record.main]
    lines = ["| score ×100 | value | 95 % interval |", "| --- | ---: | ---: |"]
    for key in [record.main, *others]:
        # Only the main score has counts per example, which an interval is drawn from.
        between = "–"
        if key == record.main and record.items:
            low, high = interval([record.items], key)
            between = f"[{points(low)}, {points(high)}]"
        lines.append(f"| {score_name(key)} | {points(record.scores[key])} | {between} |")

    tested = f"{len(record.items):,} examples of " if record.items else ""
    where = f"the {record.split} split of {record.dataset}"
    if folds := record.details.get("folds"):
        where = (
            f"{record.dataset} by {len(folds)}-fold cross-validation: each was answered by a model "
            "trained in the same way without it"
        )
    note = f"On {tested}{where}, seed {record.seed}. Interval: over examples."
    return "\n\n".join(["## Scores", "\n".join(lines), note])


def _cost(info: CardInfo) -> str:
    """Write size, times and multiply-accumulates."""
    record = info.record
    if record is None:
        return ""
    lines = [
        f"- parameters: {with_commas(record.params)}",
        f"- size on disk: {in_megabytes(record.size_bytes)} MB",
    ]

    # A time means nothing without threads, batch and backend.
    for latency in record.latency:
        c = latency.conditions
        lines.append(
            f"- latency, {latency.protocol}: median {latency.median_ms:.2f} ms, "
            f"95th percentile {latency.p95_ms:.2f} ms "
            f"({c.threads} threads, batch {c.batch}, {c.backend})"
        )
    if not record.latency:
        lines.append("- latency: not measured")
    if doubt := timing_doubt(record):
        lines.append(f"- these times are doubtful: {doubt}")

    # A baseline has no layers to count.
    if "total_512" in record.macs:
        gmacs = record.macs["total_512"] / 1e9
        lines.append(f"- multiply-accumulates at 512 tokens: {gmacs:.2f} G")
    return "\n".join(["## Size and speed", "", *lines])


def _data(info: CardInfo) -> str:
    """Name the data and its source."""
    if info.record is None:
        return f"## Data\n\nUnknown: no record names the data. Source: {info.data_source}."
    data = markdown(info.record.dataset)
    return f"## Data\n\nTrained, chosen and tested on {data}. Source: {info.data_source}."


def _use(info: CardInfo) -> str:
    """Tell what the model is for and where its scores do not hold."""
    # What happens to long texts is the limit that users meet first.
    limit = ""
    if info.max_length:
        limit = f"Longer texts than {info.max_length} tokens are read in windows. "
        if (task := _task(info)) and task.truncates:
            limit = f"Texts are cut after {info.max_length} tokens. "
    return (
        "## Intended use and limits\n\n"
        "For Spanish text like that of the data above; on other kinds of text, regions or times "
        f"the scores above do not hold and should be measured first. {limit}Not for decisions "
        "about people without a person who checks them: the model repeats what is wrong or uneven "
        "in its data, and its probabilities are no certainty."
    )


def _licences(info: CardInfo) -> str:
    """Write the licences that somebody stated."""
    lines = [
        f"- weights: {info.licence}",
        f"- training data: {info.data_licence}",
        "- weights the training started from, and the teacher: unknown here; see their own cards",
        "",
        "Unknown means that nobody stated it, not that all is allowed.",
    ]
    return "\n".join(["## Licences", "", *lines])


def _conditions(info: CardInfo) -> str:
    """Write under what conditions the numbers were measured."""
    if info.record is None:
        return ""

    lines = [f"- {line}" for line in list_conditions(conditions_of(info.record))]
    return "\n".join(["## Conditions", "", *lines, f"- code {info.record.code}"])


def _data_header(dataset: str) -> tuple[str, str]:
    """Return source and licence that a shipped data set states; unknown for any other."""
    if dataset not in plugins.names("datasets"):
        return UNKNOWN, UNKNOWN

    # Data sets state source and licence in the head of their module, in one form.
    text = inspect.getdoc(plugins.find("datasets", dataset)) or ""
    matches = [pattern.search(text) for pattern in (_SOURCE, _LICENCE)]
    source, licence = (" ".join(m[1].split()) if m else UNKNOWN for m in matches)
    return source, UNKNOWN if licence in ("", "yours") else licence


def _has_onnx(info: CardInfo) -> bool:
    """Tell whether the folder holds an ONNX graph."""
    return "model.onnx" in info.files


def _quoted(text: str) -> str:
    """Write a YAML scalar: plain when it is a plain word, else in quotes (JSON is YAML)."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", text)
    return text if plain else json.dumps(text, ensure_ascii=False)
