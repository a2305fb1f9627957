"""Students that were trained from a bundle against those of its study: equal bytes, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from destila.measuring import machine
from destila.study.planning.plans import TrainPlan
from destila.study.planning.teachers import Teachers
from destila.study.runs.wholeness import TRAINED, read_trained
from destila.teachers.kept_teacher import KeptTeacher
from destila.version import __version__


def bundle_lines(teachers: Teachers, plans: Sequence[TrainPlan]) -> list[str]:
    """Return a line on the students that a bundle knows; [] without a bundle.

    Args:
        teachers: of the study.
        plans: of its students.
    """
    kept = [given for given in teachers.given.values() if isinstance(given, KeptTeacher)]
    if not kept:
        return []

    # By their weights: what the other files say may name another place.
    facts = kept[0].bundle.facts
    students = facts["students"]
    known = [p for p in plans if p.name in students and (p.folder / TRAINED).exists()]
    other = [plan for plan in known if _weights(plan) != students[plan.name]["weights"]]
    equal = len(known) - len(other)
    lines = [f"{equal} of {len(known)} students have the bytes of the bundle's"]
    if other:
        names = ", ".join(plan.name for plan in other)
        lines.append(f"other bytes than in the bundle: {names}: {_why(facts, other)}")
    return lines


def _weights(plan: TrainPlan) -> str:
    """Return the digest of the weights of a finished training."""
    files: dict[str, Any] = read_trained(plan.folder).get("files", {})
    return str(files.get("model.safetensors", ("", ""))[1])


def _why(facts: dict[str, Any], plans: Sequence[TrainPlan]) -> str:
    """Say what may be the cause of other bytes, the likeliest first."""
    changed = [plan.name for plan in plans if plan.key != facts["students"][plan.name]["key"]]
    if changed:
        return f"{changed[0]} is trained otherwise, or from another model, than it was"
    here = {"destila": __version__, **machine.versions()}
    versions = [
        f"{name} {version} there, {here.get(name, 'none')} here"
        for name, version in facts["versions"].items()
        if here.get(name) != version
    ]
    return ", ".join(versions) or f"made on {facts.get('cpu')} with {facts.get('threads')} threads"
