"""The model card of a folder: Markdown with the YAML head that model hubs read, from its record and its files.

What is not known is written as unknown: a licence above all. Cards follow Mitchell et al. 2019, "Model Cards for
Model Reporting": data, scores with an interval, conditions, intended use and limits.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from destila import plugins
from destila.model_folder import HEADS, read_folder
from destila.records import Record
from destila.report.bootstrap import interval
from destila.report.words import SCORES, count, megabytes, name, points, say
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

    files: names of the folder's files, which decide what can run it (model.safetensors, model.onnx). record: of this
    very model, None when it was not tested. inputs: of the ONNX graph. source: the folder of weights that an exported
    one was made from. licence: of the weights; data_licence: of the training data; both as the user or the data set
    states them. notes: lines on what was done to the model.
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


def describe(
    folder: Path,
    title: str,
    record: Record | None = None,
    *,
    inputs: Sequence[str] = ("input_ids", "mask"),
    source: str = "",
    licence: str = UNKNOWN,
    notes: Sequence[str] = (),
) -> CardInfo:
    """The CardInfo of a model folder; the data's licence is that of the shipped data set. Raises ModelError."""
    told = read_folder(folder)
    data_source, data_licence = _header(record.dataset if record else "")
    return CardInfo(
        title=title,
        task=record.task if record else told.extra.get("task") or told.task or UNKNOWN,
        files=frozenset(path.name for path in folder.iterdir()),
        labels=told.labels or (),
        record=record,
        max_length=int(told.extra.get("max_length", 0)),
        inputs=tuple(inputs),
        source=source,
        licence=licence,
        data_source=data_source,
        data_licence=data_licence,
        notes=tuple(notes),
    )


def _task(info: CardInfo) -> Task | None:
    """Find the model's task; None for one that destila does not ship."""
    return task_of(info.task) if info.task in plugins.names("tasks") else None


def card(info: CardInfo) -> str:
    """The card's text."""
    parts = [_head(info), f"# {info.title}", _opening(info), _run(info), _scores(info), _cost(info)]
    parts += [_data(info), _use(info), _licences(info), _conditions(info)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(info: CardInfo) -> str:
    record = info.record
    lines = ["language: es", f"license: {_quoted(info.licence.lower())}", "library_name: destila"]
    if task := _task(info):
        lines.append(f"pipeline_tag: {HEADS[task.head].pipeline}")
    tags = [
        "destila",
        "spanish",
        *([record.role] if record else []),
        *(["onnx"] if _onnx(info) else []),
    ]
    lines += ["tags:", *(f"  - {_quoted(tag)}" for tag in tags)]
    if record:
        lines += ["datasets:", f"  - {_quoted(record.dataset)}"]
        lines += ["metrics:", f"  - {_quoted(_METRIC.get(record.main, record.main))}"]
    return "\n".join(["---", *lines, "---"])


def _opening(info: CardInfo) -> str:
    task = _task(info)
    does = task.summary.format(labels=len(info.labels)) if task else ""
    lines = [
        f"A small Spanish encoder that {does}." if task else "This model is a Spanish encoder."
    ]
    if info.record:
        teacher = info.record.details.get("teacher")
        how = {
            "distilled": f"Distilled from {teacher or 'a larger teacher'} on {info.record.dataset}.",
            "finetuned": f"Fine-tuned on the gold labels of {info.record.dataset}.",
            "teacher": f"Fine-tuned on the gold labels of {info.record.dataset}, to teach smaller models.",
            "exported": f"Exported from a model trained on {info.record.dataset}.",
        }
        lines.append(how.get(info.record.role, ""))
    labels = f"Labels: {', '.join(info.labels)}." if info.labels else ""
    notes = "\n".join(f"- {note}" for note in info.notes)
    return "\n\n".join(
        part for part in (" ".join(line for line in lines if line), labels, notes) if part
    )


def _run(info: CardInfo) -> str:
    ways = []
    if any(file.endswith((".safetensors", ".onnx", ".xml")) for file in info.files):
        ways.append(("destila", "python", _with_destila(info)))
    weights = "FOLDER" if "model.safetensors" in info.files else "WEIGHTS" if info.source else ""
    task = _task(info)
    if weights and task:
        ways.append(("transformers", "python", _with_transformers(task, weights)))
    if _onnx(info):
        ways.append(("onnxruntime", "python", _with_onnxruntime(info)))
    blocks = [f"With {way}:\n\n```{language}\n{code}\n```" for way, language, code in ways]
    where = "`FOLDER` is where this file lies."
    if weights == "WEIGHTS":
        where += f" `WEIGHTS` is the model it was exported from, `{info.source}`: transformers reads weights."
    return "\n\n".join(["## How to run", where, *blocks]) if blocks else ""


def _with_destila(info: CardInfo) -> str:
    task = _task(info)
    row = task.sample_row if task else _SAMPLE
    shown: object = row["text"] if len(row) == 1 else dict(row)
    text = json.dumps(shown, ensure_ascii=False)
    either = task is not None and task.has_pairs and len(row) == 1
    pairs = '  # a pair: {"text": ..., "pair": ...}' if either else ""
    return f'import destila\nmodel = destila.load("FOLDER")\nprint(list(model.predict([{text}]))){pairs}'


def _with_transformers(task: Task, weights: str) -> str:
    if task.asks_questions:  # transformers 5 has no pipeline for it
        return (
            "from transformers import AutoModelForQuestionAnswering as Model, AutoTokenizer as Tokenizer\n"
            f'e = Tokenizer.from_pretrained("{weights}")("¿Dónde vive Ana?", "Ana vive en Sevilla.", return_tensors="pt")\n'
            f'print(Model.from_pretrained("{weights}")(**e))  # logits of start and end'
        )
    kind = HEADS[task.head].pipeline
    call = 'model("Vivo en Sevilla desde 1992.")'
    return f'from transformers import pipeline\nmodel = pipeline("{kind}", model="{weights}")\nprint({call})'


def _with_onnxruntime(info: CardInfo) -> str:
    task = _task(info)
    row = task.sample_row if task else _SAMPLE
    text = ", ".join(json.dumps(value, ensure_ascii=False) for value in row.values())
    fields = {"input_ids": "[e.ids]", "mask": "[e.attention_mask]", "type_ids": "[e.type_ids]"}
    feeds = ", ".join(
        f'"{key}": numpy.array({fields[key]})' for key in info.inputs if key in fields
    )
    return (
        "import numpy, onnxruntime, tokenizers\n"
        f'e = tokenizers.Tokenizer.from_file("FOLDER/tokenizer.json").encode({text})\n'
        f'print(onnxruntime.InferenceSession("FOLDER/model.onnx").run(None, {{{feeds}}})[0])  # logits'
    )


def _scores(info: CardInfo) -> str:
    record = info.record
    if record is None:
        return "## Scores\n\nNot tested: no record of this model."
    lines = ["| score ×100 | value | 95 % interval |", "| --- | ---: | ---: |"]
    for key in [
        record.main,
        *(key for key in SCORES if key in record.scores and key != record.main),
    ]:
        between = "–"
        if key == record.main and record.items:
            low, high = interval([record.items], key)
            between = f"[{points(low)}, {points(high)}]"
        lines.append(f"| {name(key)} | {points(record.scores[key])} | {between} |")
    tested = f"{len(record.items):,} examples of " if record.items else ""
    told = f"On {tested}the {record.split} split of {record.dataset}, seed {record.seed}. Interval: bootstrap over examples."
    return "\n\n".join(["## Scores", "\n".join(lines), told])


def _cost(info: CardInfo) -> str:
    record = info.record
    if record is None:
        return ""
    lines = [
        f"- parameters: {count(record.params)}",
        f"- size on disk: {megabytes(record.size_bytes)} MB",
    ]
    lines += [
        f"- latency, {x.protocol}: median {x.median_ms:.2f} ms, 95th percentile {x.p95_ms:.2f} ms"
        f" ({x.conditions.threads} threads, batch {x.conditions.batch}, {x.conditions.backend})"
        for x in record.latency
    ]
    if not record.latency:
        lines.append("- latency: not measured")
    if "total_512" in record.macs:
        lines.append(
            f"- multiply-accumulates at 512 tokens: {record.macs['total_512'] / 1e9:.2f} G"
        )
    return "\n".join(["## Size and speed", "", *lines])


def _data(info: CardInfo) -> str:
    if info.record is None:
        return f"## Data\n\nUnknown: no record names the data. Source: {info.data_source}."
    return f"## Data\n\nTrained, chosen and tested on {info.record.dataset}. Source: {info.data_source}."


def _use(info: CardInfo) -> str:
    limit = (
        f"Longer texts than {info.max_length} tokens are read in windows."
        if info.max_length
        else ""
    )
    if info.max_length and (task := _task(info)) and task.truncates:
        limit = f"Texts are cut after {info.max_length} tokens."
    return (
        "## Intended use and limits\n\n"
        "For Spanish text like that of the data above; on other kinds of text, regions or times the scores above do not "
        f"hold and should be measured first. {limit} Not for decisions about people without a person who checks them: "
        "the model repeats what is wrong or uneven in its data, and its probabilities are no certainty."
    ).replace("  ", " ")


def _licences(info: CardInfo) -> str:
    lines = [f"- weights: {info.licence}", f"- training data: {info.data_licence}"]
    lines.append(
        "- weights the training started from, and the teacher: unknown here; see their own cards"
    )
    return "\n".join(
        [
            "## Licences",
            "",
            *lines,
            "",
            "Unknown means that nobody stated it, not that all is allowed.",
        ]
    )


def _conditions(info: CardInfo) -> str:
    if info.record is None:
        return ""
    told = {say(info.record.conditions): ["scores"]}
    for latency in info.record.latency:
        told.setdefault(say(latency.conditions), []).append(latency.protocol)
    lines = [f"- {', '.join(what)}: {text}" for text, what in told.items()]
    return "\n".join(["## Conditions", "", *lines, f"- code {info.record.code}"])


def _header(dataset: str) -> tuple[str, str]:
    """Source and licence that a shipped data set states in its header; unknown for any other."""
    if dataset not in plugins.names("datasets"):
        return UNKNOWN, UNKNOWN
    text = inspect.getdoc(plugins.find("datasets", dataset)) or ""
    found = [pattern.search(text) for pattern in (_SOURCE, _LICENCE)]
    source, licence = (" ".join(match[1].split()) if match else UNKNOWN for match in found)
    return source, UNKNOWN if licence in ("", "yours") else licence


def _onnx(info: CardInfo) -> bool:
    return "model.onnx" in info.files


def _quoted(text: str) -> str:
    """A YAML scalar: plain when it is a plain word, else in quotes (JSON strings are YAML)."""
    return (
        text
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", text)
        else json.dumps(text, ensure_ascii=False)
    )
