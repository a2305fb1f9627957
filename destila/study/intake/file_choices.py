"""What a user says of a data file: options of `init`, `run` and `destila.distil`. No torch."""

from __future__ import annotations

from typing import Literal

from destila.config import NAME_PATTERN, Options, opt

StudentSize = Literal["fast", "balanced", "careful"]
"""Of a student: a quarter, a third, half of its teacher's layers."""


class FileChoices(Options):
    """What a user says of a data file; what is not said is detected."""

    text: str | None = opt(None, "column of the text; none = found by name or content")
    pair: str | None = opt(None, "column of the second text; none = found by name, '' = no pair")
    label: str | None = opt(
        None,
        "column of the label, or columns of 0 and 1 that are a label each, as a,b,c; none = found "
        "by name or content",
    )
    label_separator: str | None = opt(
        None, "what parts several labels of a row, such as |; none = detected, '' = one label a row"
    )
    encoding: str | None = opt(None, "of the data file, such as cp1252; none = recognised")
    sheet: str | None = opt(None, "of an Excel file; none = the first")
    metric: str | None = opt(
        None, "score that chooses models; none = the task's, macro_f1 where one label has over 80 %"
    )
    name: str | None = opt(None, "of the study; none = that of the data file", pattern=NAME_PATTERN)
    size: StudentSize | None = opt(
        None,
        "one student, of a quarter, a third or half of the teacher's layers; none = all three",
    )
