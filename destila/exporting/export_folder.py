"""What an export puts into its folder: which candidates are built, which of their files stay.

The folder is complete or not there. It holds `model.onnx` (or OpenVINO files), the tokenizer,
config.json, destila.json, `export.json` with everything that was proven, and a model card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from destila.errors import ConfigError, ModelError
from destila.exporting.build import CandidateBuilder, ExportCandidate
from destila.exporting.choose_runtime import choose_runtime
from destila.exporting.graph import OPSET
from destila.exporting.kinds import CandidateName, KindName
from destila.exporting.web.npm_runtime import web_runtime
from destila.exporting.web.web_files import write_web
from destila.files import write_json
from destila.inference.exported import FACTS, GRAPH
from destila.model_folder import read_folder
from destila.models import hf
from destila.progress import Progress, silent
from destila.tasks import check_shipped

DEFAULT: CandidateName = "int8-dynamic"
"""What is built where nothing is asked for."""

WEB_DEFAULT: CandidateName = "int8-weights"
"""What is built for a browser: the one small form whose answers are Python's on any processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What to build, and what to accept.

    Args:
        kinds: names of candidates, the default first; none: int8-dynamic, and where they are timed
            all that can be built here. "web" adds the files for a browser; alone it is built of
            int8-weights.
        seconds: how long the candidates are timed, to run the fastest one here; None: not at all.
        auto_keep: keep the products in fp32 that the dev score needs.
        sensitivity: list what each product alone costs on dev.
        keep_all: keep the files of all candidates.
        allow_unstable: accept a default whose answers depend on threads or neighbours.
        web_runtime: folder of the JavaScript libraries' tarballs; None: npm fetches them.
    """

    kinds: Sequence[KindName] = ()
    seconds: float | None = None
    auto_keep: bool = False
    sensitivity: bool = False
    keep_all: bool = False
    allow_unstable: bool = False
    web_runtime: str | None = None

    @property
    def web(self) -> bool:
        """Whether the folder is to run in a browser too."""
        return "web" in self.kinds

    def names(self, builder: CandidateBuilder) -> list[CandidateName]:
        """Return the candidates to build, the default first."""
        candidates = [name for name in self.kinds if name != "web"]
        if candidates:
            return candidates
        possible = [] if self.seconds is None else builder.possible()
        default = WEB_DEFAULT if self.web else DEFAULT
        return [default, *(name for name in possible if name != default)]


def export_place(source: Path, out: str | None) -> Path:
    """Return the folder to write: never the model's own, nor one that holds something else.

    Args:
        source: the model's folder.
        out: what the user asked for; None: `exported/<run>` in the model's study, else a folder
            beside the model.

    Raises:
        ConfigError: the folder holds something that is no export.
    """
    # runs/STUDY/students/RUN/best -> runs/STUDY/exported/RUN
    run = source.parent if source.name == "best" else source
    if out is not None:
        folder = Path(out)
    elif run.parent.name in ("students", "teachers"):
        folder = run.parent.parent / "exported" / run.name
    else:
        folder = source.with_name(f"{source.name}-exported")

    if folder.is_dir() and any(folder.iterdir()) and not (folder / FACTS).is_file():
        raise ConfigError(
            f"--out {folder} holds something that is no export: choose an empty or a new folder"
        )
    return folder


def load_model(source: Path, **known: Any) -> hf.Loaded:
    """Return a model with a head, in evaluation mode.

    Args:
        source: its folder.
        known: `task` and `labels`, where the order of labels is given from outside.

    Raises:
        ModelError: the folder has no head for a task, or the task is in a file of the user's.
    """
    # what cannot be exported is refused before anything is loaded
    info = read_folder(source)
    info.head()
    check_shipped(info)

    loaded = hf.load(source, head_required=True, **known)
    loaded.model.eval()
    return loaded


def write_candidates(
    folder: Path,
    builder: CandidateBuilder,
    plan: ExportPlan,
    *,
    source: Path,
    progress: Progress = silent,
) -> tuple[dict[str, Any], ExportCandidate]:
    """Build, prove and write the files of an export and export.json.

    Args:
        folder: where they go.
        builder: of the model.
        plan: what to build.
        source: the model's folder, for the record.
        progress: told what is being done.

    Returns:
        What export.json says, and the candidate that the folder runs.

    Raises:
        ModelError: the default cannot be proven.
    """
    # What cannot be fetched is said before anything is built.
    runtime = web_runtime(plan.web_runtime) if plan.web else {}

    # Each candidate is proven as it is built; a refusal ends everything here.
    built, refused = _build(folder, builder, plan, progress)
    dev = builder.dev
    facts: dict[str, Any] = {
        "default": built[0].name,
        "opset": OPSET,
        "of": str(source),
        "refused": refused,
        "torch_score": dev.reference if dev else None,
        "max_drop": dev.max_drop if dev else None,
    }
    if plan.sensitivity:
        progress("what each product costs", 0, 0)
        facts["sensitivity"] = [effect.plain() for effect in builder.effects(built[0].name)]

    # On this machine another candidate than the default may be the fastest.
    winner = built[0].name
    if plan.seconds is not None:
        progress("timing the candidates", 0, 0)
        allowed = [c for c in built if c.stable or plan.allow_unstable]
        facts["runtime"] = choose_runtime(folder, allowed, builder.texts, plan.seconds)
        winner = facts["runtime"]["name"]

    kept = _keep_files(folder, built, winner, keep_all=plan.keep_all)
    facts["candidates"] = [candidate.plain() for candidate in kept]
    write_json(folder / FACTS, facts)
    if plan.web:
        progress("files for the browser", 0, 0)
        write_web(folder, runtime)
    return facts, next(candidate for candidate in kept if candidate.name == winner)


def _build(
    folder: Path, builder: CandidateBuilder, plan: ExportPlan, progress: Progress
) -> tuple[list[ExportCandidate], list[dict[str, str]]]:
    """Return the proven candidates, the default first, and why others are missing.

    fp32 is always built and proven: the int8 graphs are made from it.
    """
    names = plan.names(builder)
    exact = builder.build("fp32", folder)
    built: list[ExportCandidate] = []
    refused: list[dict[str, str]] = []

    for i, name in enumerate(names):
        progress(f"building {name}", i, len(names))
        try:
            built.append(_build_one(folder, builder, plan, name) if name != "fp32" else exact)
        except ModelError as error:
            if not built:  # the default; the others are a bonus
                raise
            refused.append({"name": name, "why": str(error)})

        if not (built[0].stable or plan.allow_unstable):
            raise ModelError(
                f"{name} does not give a text the same bits on any thread and in any company: "
                "choose other --kinds, or accept it with --allow-unstable"
            )

    return built if exact in built else [*built, exact], refused


def _build_one(
    folder: Path, builder: CandidateBuilder, plan: ExportPlan, name: CandidateName
) -> ExportCandidate:
    keep = builder.products_to_keep(name) if plan.auto_keep else frozenset[str]()
    return builder.build(name, folder, keep)


def _keep_files(
    folder: Path, built: Sequence[ExportCandidate], winner: str, *, keep_all: bool
) -> list[ExportCandidate]:
    """Remove the files that nothing runs, and return the candidates that stay, the default first.

    The default stays, and the fastest one; an ONNX default becomes `model.onnx`.
    """
    # What nobody runs would only take room.
    default = built[0]
    kept = [c for c in built if keep_all or c is default or c.name == winner]
    for candidate in built:
        if candidate in kept:
            continue
        for file in folder.glob(f"model.{candidate.name}.*"):
            file.unlink()

    # Other tools look for this name.
    if default.backend == "onnxruntime":
        (folder / default.file).rename(folder / GRAPH)
        kept[0] = replace(default, file=GRAPH)
    return kept
