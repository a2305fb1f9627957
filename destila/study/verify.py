"""Everything of a study read again: models, exports, records and the caches of its teachers.

A run looks at names and sizes alone, which finds what was deleted or cut. This finds the bit that
a disk has turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from destila import config, hub, records
from destila.errors import ConfigError, DestilaError
from destila.inference.exported import FACTS
from destila.inference.predictor import RuntimePredictor
from destila.models.presets import PRESETS
from destila.models.weights import read_weights
from destila.progress import Progress, silent
from destila.study.planning.recipe import Recipe
from destila.study.runs.wholeness import TRAINED, run_damage
from destila.teachers.cache_list import cache_damage, caches_of
from destila.tokenizer.tokenizer import load_tokenizer
from destila.training.state import is_readable

_RUNS = ("teachers", "students")


def verify_study(folder: Path, progress: Progress = silent) -> list[dict[str, Any]]:
    """Return a row for everything that was read: `what`, `where` and `damage` ("" for whole).

    Args:
        folder: of the study.
        progress: called with the place that is read.

    Raises:
        ConfigError: there is no study.
    """
    if not (folder / "recipe.toml").is_file():
        raise ConfigError(f"no study at {folder} (it has no recipe.toml): give a folder of runs/")

    rows = []
    for what, where, damage in _everything(folder, progress):
        rows.append({"what": what, "where": str(where), "damage": damage})
    return rows


def _everything(folder: Path, progress: Progress) -> Iterator[tuple[str, Path, str]]:
    """Yield what a study has, where it lies, and what is wrong with it."""
    # The recipe first, which also says where records are kept.
    path = folder / "recipe.toml"
    progress(str(path), 0, 0)
    try:
        recipe = config.load_config(Recipe, path)
    except DestilaError as error:
        yield "recipe", path, str(error)
        return
    yield "recipe", path, ""
    yield from _records(recipe, folder)

    # Models, finished or on their way, and the tokenizers that were trained for them.
    teachers = set()
    places = [folder, *folder.glob("folds/*")]
    runs = [run for place in places for kind in _RUNS for run in place.glob(f"{kind}/*")]
    for run in sorted(runs):
        progress(str(run), 0, 0)
        yield from _run(run)
        if run.parent.name == "teachers" and (run / "best" / "config.json").is_file():
            teachers.add(run / "best")
    for place in sorted(folder.glob("tokenizers/[!.]*")):
        yield "tokenizer", place, _error_of(load_tokenizer, place)
    for place in sorted(folder.glob("exported/*")):
        if (place / FACTS).is_file():
            progress(str(place), 0, 0)
            yield "export", place, _error_of(RuntimePredictor, place)

    # What teachers said, of those that were trained here or are named.
    for place in caches_of([*teachers, *_named_teachers(recipe)]):
        progress(str(place), 0, 0)
        yield "teacher cache", place, cache_damage(place)


def _records(recipe: Recipe, folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield the files of records, in the study and where its recipe keeps them."""
    places = [folder / records.RECORD_FILE]
    if recipe.results:
        places.append(Path(recipe.results) / f"{recipe.name}.jsonl")
    for place in places:
        if place.exists():
            yield "records", place, _error_of(records.read_records, place)


def _run(run: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield the model of a training, every byte compared, and the state of one that is not done."""
    if (run / TRAINED).exists():
        damage = _error_of(_raise_damage, run) or _error_of(read_weights, run / "best")
        yield "model", run / "best", damage
    state = run / "state.safetensors"
    if state.exists():
        damage = "" if is_readable(state) else "cut or damaged: delete it to begin this run again"
        yield "state", state, damage


def _raise_damage(run: Path) -> None:
    """Raise ConfigError with what is wrong with the model of a training."""
    if damage := run_damage(run, read=True):
        raise ConfigError(f"{damage}: destila run makes it again")


def _named_teachers(recipe: Recipe) -> Iterator[Path]:
    """Yield the folders of teachers that the recipe names, of those that lie here."""
    for spec in recipe.teachers:
        # A name of the hub is not looked up: nothing is downloaded to be verified.
        name = spec.model or ""
        if not name or name in PRESETS or ("/" in name and not Path(name).is_dir()):
            continue
        try:
            yield hub.resolve(name)
        except DestilaError:  # somewhere else by now
            continue


def _error_of(read: Any, place: Path) -> str:
    """Return the error of reading a place; "" where it can be read."""
    try:
        read(place)
    except (DestilaError, OSError) as error:
        return str(error)
    return ""
