"""Whether a student is worth its teacher: beside its twin without one, and beside the baseline.

The twin is the same student fine-tuned on gold labels alone, from the same start. A student that
does not beat it has learnt nothing from the teacher; one that does not beat the baseline has no
reason to be an encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destila.records import Record
from destila.report.differences.compare import Difference, row_difference, twin_of
from destila.report.drawing.tradeoff import best_baseline
from destila.report.rows import ReportRow, name_of
from destila.report.words import points, score_name, signed

_VERBS = {"gain": "beats", "loss": "loses to", "no difference shown": "is not told apart from"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A trained student beside what a user could have instead of it.

    student: as it was trained; of an exported model the one that it was made of.
    twin: the student minus its twin; None where it has none, or needs none.
    baseline: the student minus the best baseline; None without one.
    """

    student: ReportRow
    twin: Difference | None
    baseline: Difference | None

    @property
    def behind_twin(self) -> float:
        """How much better the same student is without the teacher; 0 where it is not."""
        return 0.0 if self.twin is None else max(0.0, -self.twin.mean)

    def sentence(self) -> str:
        """State whether the student beats its twin and the baseline."""
        clauses = []
        if self.twin is not None:
            clauses.append(_clause(self.twin, "its twin without a teacher"))
        elif self.student.role == "distilled":
            clauses.append("has no twin without a teacher to be compared with")

        if self.baseline is not None:
            clauses.append(_clause(self.baseline, f"the baseline {self.baseline.b.model}"))
        else:
            clauses.append("has no baseline to be compared with")

        score = f"{score_name(self.student.first.main)} {points(self.student.main)}"
        return f"{name_of(self.student)}, {score}, {' and '.join(clauses)}."


def judge(record: Record, rows: Sequence[ReportRow]) -> Verdict | None:
    """Compare a student with its twin and the best baseline; None for what is no student.

    Args:
        record: of a student, or of a model that was exported from one.
        rows: of its study.
    """
    # An exported model answers for the student that it was made of.
    run = record.details.get("of", record.run)
    trained = [row for row in rows if row.role in ("distilled", "finetuned")]
    student = next((row for row in trained if run in _runs(row)), None)
    if student is None:
        return None

    twin = twin_of(student, rows)
    baseline = best_baseline(rows)
    return Verdict(
        student,
        None if twin is None else row_difference(student, twin, same_seeds=True),
        None if baseline is None else row_difference(student, baseline),
    )


def judge_best(rows: Sequence[ReportRow]) -> Verdict | None:
    """Judge the best distilled student, or where none is distilled the best fine-tuned one."""
    students = [row for row in rows if row.role in ("distilled", "finetuned")]
    best = max(students, key=lambda row: (row.role == "distilled", row.main), default=None)
    return None if best is None else judge(best.first, rows)


def _runs(row: ReportRow) -> set[str]:
    """List the runs of a row's records."""
    return {record.run for record in row.records}


def _clause(each: Difference, other: str) -> str:
    """State a difference in words: `beats its twin without a teacher (75.00: +1.20 [0.40, 2.00])`.

    A claim needs an interval on one side of 0; without intervals the mean decides.
    """
    if each.low is None or each.high is None:
        verb = "beats" if each.mean > 0 else "loses to" if each.mean < 0 else "is level with"
        return f"{verb} {other} ({points(each.b.main)}: {signed(each.mean)})"

    between = f"[{signed(each.low)}, {signed(each.high)}]"
    return f"{_VERBS[each.reading]} {other} ({points(each.b.main)}: {signed(each.mean)} {between})"
