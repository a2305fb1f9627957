"""A trained model -> a folder that runs without torch: built, proven, and refused otherwise.

The folder is complete or not there. It holds `model.onnx` (or OpenVINO files), the tokenizer, config.json, destila.json,
`export.json` with everything that was proven, and a model card. With a recipe the dev score is computed again, and the
exported model is tested and recorded beside the other models of the study.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from destila import cpu, hub
from destila.config import Options, opt
from destila.errors import ConfigError, ModelError
from destila.exporting import choose_runtime, proof
from destila.exporting.build import CandidateBuilder, CandidateName, ExportCandidate, WindowScore
from destila.exporting.graph import OPSET
from destila.exporting.proof import Window
from destila.files import write_json
from destila.inference.exported import FACTS, GRAPH
from destila.inference.session import open_session
from destila.measuring import machine
from destila.measuring.profile import spread
from destila.measuring.protocols import texts_of
from destila.model_folder import read_folder
from destila.models import hf, store
from destila.models.hf import Loaded
from destila.progress import Progress, silent
from destila.report.card import CARD_FILE, card, describe
from destila.study import exported
from destila.study.exported import Exporting
from destila.tasks.readers import reader
from destila.types import Example, Record

DEFAULT: CandidateName = "int8-dynamic"
_PROOFS, _CALIBRATIONS = 64, 128
"""Texts on which answers are compared, and from which fixed scales are taken."""


class Config(Options):
    """Arguments of the verb."""

    model: str = opt(
        ..., "model folder that destila trained, such as runs/<study>/students/<name>/best"
    )
    out: str | None = opt(
        None, "folder to write; none = exported/<name> in the model's study, else <model>-exported"
    )
    kinds: tuple[CandidateName, ...] = opt(
        (), "what to build, the default first; none = int8-dynamic, with --runtime auto all"
    )
    runtime: Literal["default", "auto"] = opt(
        "default", "auto: time them here on --texts or dev and store the winner"
    )
    seconds: float = opt(10.0, "that --runtime auto takes", gt=0)
    recipe: str | None = opt(
        None,
        "recipe: its dev split is scored, its test split recorded, its training text calibrates",
    )
    set: tuple[str, ...] = opt((), "key=value overrides of the recipe")
    texts: str | None = opt(
        None, "file of texts, as `predict` reads it: for fixed scales and for --runtime auto"
    )
    max_drop: float = opt(0.005, "most that the main dev score may drop", ge=0)
    auto_keep: bool = opt(False, "keep the products in fp32 that the score needs, and no others")
    sensitivity: bool = opt(False, "also list what each product alone costs on dev")
    keep: bool = opt(False, "keep the files of all candidates")
    allow_unstable: bool = opt(
        False, "allow a default whose answers depend on threads or neighbours"
    )


def run(arguments: Config, progress: Progress = silent) -> dict[str, Any]:
    """What export.json holds, with `folder`, and `record` where a recipe was given.

    Raises ModelError when a proof fails, ConfigError when options disagree; nothing is then left behind.
    """
    source = hub.resolve(arguments.model)
    out = _place(arguments, source)
    if (arguments.auto_keep or arguments.sensitivity) and arguments.recipe is None:
        raise ConfigError("--auto-keep and --sensitivity look at the dev score: give --recipe")
    study = Exporting(arguments.recipe, arguments.set) if arguments.recipe else None
    loaded = _load(source, study)
    texts, training = _texts(arguments, loaded, study, source)
    builder = _builder(arguments, loaded, study, texts, training)
    sample = study.score_of(loaded, exported.SAMPLE) if study else None
    with store.new_folder(out, what="export") as folder:
        store.describe(loaded.model, loaded.tokenizer, folder, read_folder(source).extra)
        built, refused = _build(arguments, builder, sample, folder, progress)
        facts: dict[str, Any] = {
            "default": built[0].name,
            "opset": OPSET,
            "of": str(source),
            "refused": refused,
        }
        facts |= {
            "torch_score": builder.reference,
            "max_drop": arguments.max_drop if study else None,
        }
        if arguments.sensitivity and sample:
            facts["sensitivity"] = exported.effects(builder, built[0].name, sample, progress)
        ran = built[0].name
        if arguments.runtime == "auto":
            progress("timing the candidates", 0, 0)
            allowed = [c for c in built if c.stable or arguments.allow_unstable]
            facts["runtime"] = choose_runtime.choose_runtime(
                folder, allowed, texts or builder.windows, arguments.seconds
            )
            ran = facts["runtime"]["name"]
        kept = {c.name: c for c in _kept(arguments, folder, built, ran)}
        facts["candidates"] = [candidate.plain() for candidate in kept.values()]
        write_json(folder / FACTS, facts)
        record = study.record(folder, source, kept[ran], loaded) if study else None
        _write_card(folder, out, source, kept[ran], record)
    if study and record:
        study.append(record)
    return {"folder": str(out), **facts, "record": record.run if record else None}


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """One short row per candidate, for a terminal."""
    keys = (
        "name",
        "file",
        "bytes",
        "int8_products",
        "products",
        "parity",
        "score",
        "drop",
        "stable",
    )
    return [{key: candidate[key] for key in keys} for candidate in result["candidates"]]


def _place(arguments: Config, source: Path) -> Path:
    """The folder to write: never the model's own, nor one that holds something else."""
    run = source.parent if source.name == "best" else source
    inside = run.parent.name in ("students", "teachers")
    usual = (
        run.parent.parent / "exported" / run.name
        if inside
        else source.with_name(f"{source.name}-exported")
    )
    out = Path(arguments.out) if arguments.out else usual
    if out.is_dir() and any(out.iterdir()) and not (out / FACTS).is_file():
        raise ConfigError(
            f"--out {out} holds something that is no export: choose an empty or a new folder"
        )
    return out


def _load(source: Path, study: Exporting | None) -> Loaded:
    info = read_folder(source)
    info.head()  # refuses a folder without one before anything is loaded
    if study is None:
        loaded = hf.load(source, head_required=True)
    else:
        study.check(info)
        loaded = hf.load(source, task=study.task, labels=study.labels, head_required=True)
    loaded.model.eval()
    return loaded


def _texts(
    arguments: Config, loaded: Loaded, study: Exporting | None, source: Path
) -> tuple[list[Window], list[Window]]:
    """Windows of what the model will read (the user's texts, else dev) and of what calibrates (else training text)."""
    info = read_folder(source)
    longest = int(info.extra.get("max_length", loaded.max_length))
    reads = reader(loaded.model.task, info.extra.get(loaded.model.task))

    def windows(examples: Sequence[Example], most: int) -> list[Window]:
        plain = [Example(e.id, e.text, e.pair, e.words) for e in spread(examples, most)]
        found = (
            reads.encode(plain, loaded.tokenizer, loaded.model.labels, max_length=longest).features
            if plain
            else ()
        )
        return [(f.input_ids, f.type_ids) for f in spread(found, most)]

    own = texts_of(arguments.texts, loaded.model.task) if arguments.texts else []
    return windows(own or (study.dev if study else []), _PROOFS), windows(
        own or (study.training if study else []), _CALIBRATIONS
    )


def _builder(
    arguments: Config,
    loaded: Loaded,
    study: Exporting | None,
    texts: list[Window],
    training: list[Window],
) -> CandidateBuilder:
    return CandidateBuilder(
        loaded.model,
        [*proof.random_windows(loaded.model), *texts],
        training,
        score=study.score_of(loaded) if study else None,
        reference=study.torch_score(loaded) if study else None,
        max_drop=arguments.max_drop,
    )


def _build(
    arguments: Config,
    builder: CandidateBuilder,
    sample: WindowScore | None,
    folder: Path,
    progress: Progress,
) -> tuple[list[ExportCandidate], list[dict[str, str]]]:
    """The proven candidates, the default first, and why others are missing; raises ModelError for the default."""
    possible = builder.possible() if arguments.runtime == "auto" else []
    names = arguments.kinds or (DEFAULT, *(name for name in possible if name != DEFAULT))
    exact = builder.build("fp32", folder)  # always proven: the int8 graphs are made from it
    built: list[ExportCandidate] = []
    refused: list[dict[str, str]] = []
    for i, name in enumerate(names):
        progress(f"building {name}", i, len(names))
        try:
            built.append(
                exact if name == "fp32" else _built(arguments, builder, sample, folder, name)
            )
        except ModelError as error:
            if not built:
                raise
            refused.append({"name": name, "why": str(error)})
        if not (built[0].stable or arguments.allow_unstable):
            raise ModelError(
                f"{name} does not give a text the same bits on any thread and in any company: choose other --kinds, "
                "or accept it with --allow-unstable"
            )
    return built if exact in built else [*built, exact], refused


def _built(
    arguments: Config,
    builder: CandidateBuilder,
    sample: WindowScore | None,
    folder: Path,
    name: CandidateName,
) -> ExportCandidate:
    keep = (
        exported.needed(builder, name, sample)
        if arguments.auto_keep and sample
        else frozenset[str]()
    )
    return builder.build(name, folder, keep)


def _kept(
    arguments: Config, folder: Path, built: Sequence[ExportCandidate], winner: str | None
) -> list[ExportCandidate]:
    """The candidates whose files stay, the default first; an ONNX default becomes `model.onnx`."""
    kept = [c for i, c in enumerate(built) if i == 0 or arguments.keep or c.name == winner]
    for candidate in built:
        if candidate not in kept:
            for file in folder.glob(f"model.{candidate.name}.*"):
                file.unlink()
    default = kept[0]
    if default.backend == "onnxruntime":
        (folder / default.file).rename(folder / GRAPH)
        kept[0] = replace(default, file=GRAPH)
    return kept


def _write_card(
    folder: Path, out: Path, source: Path, default: ExportCandidate, record: Record | None
) -> None:
    notes = [
        f"{default.name}: {default.int8_products} of {default.products} matrix products in int8, {default.bytes:,} bytes.",
        f"Checked when exported, with destila {machine.code_version()} on {cpu.available()} threads.",
    ]
    if default.drop is not None:
        notes.append(
            f"Main dev score {default.score:.4f}, {default.drop:.4f} less than the model it was made from has."
        )
    inputs = open_session(folder / default.file, kind=default.kind).inputs
    title = re.sub(r"-exported$", "", out.name)
    told = describe(folder, title, record, inputs=inputs, source=str(source), notes=notes)
    (folder / CARD_FILE).write_text(card(told), encoding="utf-8")
