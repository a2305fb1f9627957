"""Nothing outside `tasks/` asks a task for its name, so that adding a task touches that room alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest

import destila
from destila import plugins
from destila.commands import export
from destila.errors import ModelError
from tests.fixtures.studies import records_of, run_recipe

NAMES = frozenset(plugins.names("tasks"))
EXCEPT = {
    "destila.model_folder": "HEADS describes the kinds of heads, which bear the names of the tasks",
    "destila.models.heads": "one module of torch for every kind of head",
}


def _literals(node: ast.AST) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def _questions(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what tells tasks apart by name: comparisons, cases of a match, and tables with several of the names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.match_case):
            asked = node if isinstance(node, ast.Compare) else node.pattern
            if _literals(asked) & NAMES:
                yield node
        if isinstance(node, ast.Dict):
            keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            if len(keys & NAMES) > 1:
                yield node


def test_the_names_of_tasks_are_known() -> None:
    assert {"classify", "tag", "span"} <= NAMES


def test_nothing_outside_the_room_asks_a_task_for_its_name(modules: list[Any]) -> None:
    """A task says what it is by its properties; a comparison would have to be found again for every new task.

    A data set's `TASK = "tag"` names the task that it needs and is no question; neither are head
    kinds that a call passes on.
    """
    others = [m for m in modules if m.room != "tasks" and m.name not in EXCEPT]
    wrong = [
        f"{m.path}:{getattr(node, 'lineno', 0)}" for m in others for node in _questions(m.tree)
    ]
    assert len(others) > 100
    assert not wrong


def test_nothing_outside_the_room_asks_a_task_for_its_class(modules: list[Any]) -> None:
    classes = {"ClassifyTask", "TagTask", "SpanTask"}
    wrong = [
        f"{m.path}:{line} imports {name}"
        for m in modules
        if m.room != "tasks"
        for line, name in m.imports()
        if name.split(".")[-1] in classes
    ]
    assert not wrong


def test_the_exceptions_are_needed(modules: list[Any]) -> None:
    named = {m.name for m in modules if any(_questions(m.tree)) and m.room != "tasks"}
    assert set(EXCEPT) <= named


TASK = """
'Sentences with every word right: a task of a user, in a file of their own.'
from destila.tasks.tag import TagTask

class Sentences(TagTask):
    name = "sentences"
    unit_rule = "first sub-token, whole sentences"
    baselines = ()

    def main_score(self, labels):
        return "accuracy"

    def score(self, examples, predictions, labels):
        right = [e.target == p.labels for e, p in zip(examples, predictions)]
        return {"accuracy": sum(right) / len(right)}

TASK = Sentences()
"""
DATA = """
'The demo sentences, for that task.'
from dataclasses import replace
from destila.datasets import demo_tags
from destila.datasets.demo_tags import LABELS, Options

TASK = {task!r}

def load(options):
    return replace(demo_tags.load(options), task=TASK)
"""


def test_a_task_of_the_user_trains_and_predicts(tiny, tmp_path, fast_testing) -> None:
    """A task in a file goes through a whole study without a change elsewhere; only its export is refused."""
    task, data = tmp_path / "sentences.py", tmp_path / "mine.py"
    task.write_text(TASK)
    data.write_text(DATA.format(task=str(task)))

    run_recipe(tiny(str(data)))
    records = records_of(tmp_path).values()
    assert {r.role for r in records} == {"teacher", "finetuned", "distilled"}
    assert {(r.task, r.main) for r in records} == {("sentences", "accuracy")}

    (student,) = (tmp_path / "runs" / "tiny" / "students").glob("student-distilled*")
    (answer,) = destila.load(student / "best").predict(["Ana vive en Lima"])
    assert answer.text == "Ana vive en Lima"

    with pytest.raises(
        ModelError, match=r"the task in .*sentences\.py: an exported folder has to run"
    ):
        export.run(export.Config(model=str(student / "best"), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
