"""Two steps of every cell, with invented rows and random weights in the published shapes.

It proves without the hub, without data and without a GPU that each recipe loads, that its data set
is read, that its models meet and train, and that the scores of the published table come out. Where
the memory here is too small for a model, its step is only outlined: "needs N GB".
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from destila import config, cpu, datasets
from destila.children import begin_worker, safe_path
from destila.errors import ConfigError, DestilaError
from destila.hub import CACHE
from destila.matrix.gpus import CellPlan, plan_cell
from destila.matrix.matrix import Cell
from destila.matrix.stand_ins import StandIns, shape_of, teacher_in_turn
from destila.measuring.gpu_sheets import Gpu, gpu_named
from destila.models.presets import count_parameters
from destila.progress import Progress, silent
from destila.search.space import grid, overrides, read_space
from destila.study.checks import check_study
from destila.study.planning.data import load_study
from destila.study.planning.plans import Method, list_teachers, plan_students
from destila.study.planning.recipe import Recipe
from destila.study.runs.logbook import Evaluator
from destila.study.runs.supervision import supervise
from destila.study.runs.training import load_student, train_teachers
from destila.tasks import task_of
from destila.terminal import in_duration
from destila.training.feed import TrainData
from destila.training.kept_memory import keep_heap
from destila.training.loop import Evaluation, fit
from destila.training.options import TrainOptions

log = logging.getLogger(__name__)

_STEP_BYTES, _TEACHER_BYTES = 18, 9
"""Bytes of memory per weight: of a training in fp32 with AdamW and room for a batch; of a teacher
that is made, written and read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryCell:
    """What a dry run found out about a cell.

    Args:
        name: of the cell.
        result: "OK", "needs N GB" or the error.
        ok: whether it is no error.
        seconds: that it took.
        plan: what it costs on a GPU; None where its recipe is wrong.
    """

    name: str
    result: str
    ok: bool
    seconds: float = 0.0
    plan: CellPlan | None = None


def dry_run(
    cells: Sequence[Cell],
    progress: Progress = silent,
    *,
    gpu: str = "h100",
    memory_gb: float | None = None,
    workers: int = 1,
) -> list[DryCell]:
    """Return what happens in two steps of each cell; an error of one leaves the others.

    Args:
        cells: of a matrix.
        progress: called after every cell, or of several workers after every column.
        gpu: name of the GPU whose hours are told.
        memory_gb: that may be taken here; None: what is free.
        workers: processes, each of which takes one column after another.

    Raises:
        ConfigError: the GPU is not known, or a worker was ended from outside.
    """
    room = int(1e9 * memory_gb) if memory_gb is not None else cpu.free_memory()
    columns: dict[str, list[Cell]] = {}
    for cell in cells:
        columns.setdefault(cell.dataset, []).append(cell)
    workers = min(workers, len(columns))
    dry = DryRun(gpu=gpu_named(gpu), room=room // max(1, workers))
    with tempfile.TemporaryDirectory(prefix="destila-dry-") as name:
        if workers > 1:
            results = _by_workers(dry, list(columns.values()), Path(name), workers, progress)
        else:
            results = dry.cells(cells, Path(name), progress)
    done = {result.name: result for result in results}
    return [done[cell.name] for cell in cells]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """How cells are tried.

    Args:
        gpu: whose hours are told.
        room: bytes of memory that may be taken here.
    """

    gpu: Gpu
    room: int

    def cells(
        self, cells: Sequence[Cell], folder: Path, progress: Progress = silent
    ) -> list[DryCell]:
        """Try cells one after the other, with stand-ins in a folder."""
        results, turns = [], Counter[str]()
        with _cache_in(folder):
            stand_ins = StandIns(folder=folder)
            for i, cell in enumerate(cells, 1):
                started = time.monotonic()
                try:
                    done = _dry_cell(cell, stand_ins, self.gpu, self.room, turns[cell.dataset])
                except DestilaError as error:
                    done = DryCell(name=cell.name, result=f"error: {error}", ok=False)
                results.append(replace(done, seconds=time.monotonic() - started))
                turns[cell.dataset] += 1
                log.info("%s: %s", cell.name, done.result)
                progress("cells", i, len(cells))
        return results


def _by_workers(
    dry: DryRun,
    columns: Sequence[Sequence[Cell]],
    folder: Path,
    workers: int,
    progress: Progress,
) -> list[DryCell]:
    """Try columns in several processes; a process keeps its stand-ins from column to column."""
    total, results = sum(map(len, columns)), list[DryCell]()
    threads = max(1, cpu.threads() // workers)
    with (
        safe_path(),
        ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=begin_worker
        ) as pool,
    ):
        try:
            parts = [pool.submit(_try_column, dry, part, folder, threads) for part in columns]
            for part in as_completed(parts):
                results += part.result()
                progress("cells", len(results), total)
        except BrokenProcessPool as error:
            raise ConfigError(
                "a worker of the dry run was ended from outside, perhaps for want of memory: give "
                "fewer --workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    return results


def _try_column(dry: DryRun, cells: Sequence[Cell], folder: Path, threads: int) -> list[DryCell]:
    """Try the cells of a column in a worker."""
    torch.set_num_threads(threads)
    keep_heap()  # a third of the time of large models went into pages given back and asked for
    return dry.cells(cells, folder / str(os.getpid()))


def _dry_cell(cell: Cell, stand_ins: StandIns, gpu: Gpu, room: int, turn: int) -> DryCell:
    """Plan a cell, and train two steps of it where they fit.

    Args:
        cell: of a matrix.
        stand_ins: for its models and files.
        gpu: whose hours are told.
        room: bytes of memory that may be taken here.
        turn: how many cells of its data set went before.
    """
    dataset = datasets.load(stand_ins.data(cell))
    labels = dataset.labels
    head = task_of(dataset.task, cell.recipe.model_dump()).head
    plan = plan_cell(cell, _trials(cell), head, labels, gpu)

    # One of its teachers takes part: the largest first, in the next cell of its column another.
    teacher = teacher_in_turn(cell.recipe, turn)
    needs = _STEP_BYTES * plan.parameters
    if teacher is not None:
        needs = max(needs, _TEACHER_BYTES * count_parameters(shape_of(teacher)))
    if needs > room:
        return DryCell(name=cell.name, result=f"needs {needs / 1e9:.1f} GB", ok=True, plan=plan)

    recipe = stand_ins.recipe(cell, teacher.label if teacher else None, labels, head)
    scores = _two_steps(recipe).scores
    if lacking := [score for score in cell.column.scores if score not in scores]:
        raise ConfigError(
            f"{cell.dataset} has no score '{lacking[0]}': it has {', '.join(sorted(scores))}"
        )
    return DryCell(name=cell.name, result="OK", ok=True, plan=plan)


def _trials(cell: Cell) -> list[TrainOptions]:
    """Return the options of every training of a cell: one, or those of its grid.

    Raises:
        ConfigError: a key or a value of the search is wrong.
    """
    recipe = cell.recipe
    if recipe.search is None:
        return [_options(recipe)]
    where = f"{cell.matrix.name}, cell {cell.name}"
    tables = recipe.model_dump()
    trials = [
        config.build_config(Recipe, tables, overrides(values), where=where)
        for values in grid(read_space(recipe.search, where))
    ]
    return [_options(trial) for trial in trials]


def _options(recipe: Recipe) -> TrainOptions:
    """Return how the student of a recipe is trained."""
    student = recipe.students[0]
    return recipe.distil_options(student) if recipe.teachers else recipe.options(student.train)


def _two_steps(recipe: Recipe) -> Evaluation:
    """Train the student of a recipe of two steps, and return its scores on dev."""
    study = load_study(recipe)
    check_study(study)
    methods: tuple[Method, ...] = ("distil",) if recipe.teachers else ("fine-tune",)
    teachers = list_teachers(study, methods)
    (plan,) = plan_students(study, teachers, methods)
    train_teachers(study, teachers, [plan])

    # As a training does it, without a folder: no weights are written.
    student = load_student(plan)
    examples = plan.examples(silent)
    encoded = study.encodings.training(examples, student.tokenizer)
    supervision = supervise(plan, student, examples, encoded.features, silent)
    loss = supervision.loss
    data = TrainData(
        encoded.features,
        student.tokenizer.pad_id,
        supervision.logits,
        supervision.states,
        recipe.max_length if loss.padded else 0,
    )
    evaluate = Evaluator(plan, student.model, student.tokenizer, answers=loss.answers)
    steps = fit(student.model, study.task, loss, data, evaluate, plan.options, seed=plan.seed)
    *_, last = steps
    assert last.evaluation is not None, "a training ends with an evaluation"
    return last.evaluation


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Keep what stand-ins say out of the user's cache of teachers."""
    before = os.environ.get(CACHE)
    os.environ[CACHE] = str(folder / "cache")
    try:
        yield
    finally:
        del os.environ[CACHE]
        if before is not None:
            os.environ[CACHE] = before


def dry_result(name: str, results: Sequence[DryCell], gpu: str) -> dict[str, Any]:
    """Return what a command shows of a dry run: a row for each cell, sums, and the errors.

    Args:
        name: of the matrix.
        results: of its cells.
        gpu: whose hours were planned.
    """
    plans = [each.plan for each in results if each.plan is not None]
    errors = [f"{each.name}: {each.result}" for each in results if not each.ok]
    small = sum(each.result.startswith("needs") for each in results)
    lines = [
        f"{len(results)} cells: {len(results) - small - len(errors)} OK, {small} need more memory "
        f"than is free here, {len(errors)} wrong; "
        f"{in_duration(sum(each.seconds for each in results))}",
        f"planned for {gpu}: {sum(plan.trainings for plan in plans):,} trainings of "
        f"{sum(plan.steps for plan in plans):,} steps at most, about "
        f"{sum(plan.hours for plan in plans):,.0f} hours by arithmetic, "
        f"{max((plan.memory_bytes for plan in plans), default=0) / 1e9:.1f} GB at the most",
    ]
    rows = [_dry_row(each) for each in results]
    return {"study": f"{name}, dry run", "rows": rows, "lines": lines} | (
        {"failed": errors} if errors else {}
    )


def _dry_row(cell: DryCell) -> dict[str, Any]:
    """Return the row of a cell."""
    plan = cell.plan
    row: dict[str, Any] = {"cell": cell.name, "result": cell.result}
    if plan is not None:
        row |= {
            "trainings": plan.trainings,
            "steps": plan.steps,
            "parameters": plan.parameters,
            "gpu_gb": round(plan.memory_bytes / 1e9, 1),
            "gpu_hours": round(plan.hours, 1),
        }
    return row
