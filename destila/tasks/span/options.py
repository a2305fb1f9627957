"""What a recipe says about question answering: windows over contexts, and how answers are found."""

from __future__ import annotations

from typing import Literal

from destila.config import Options, opt


class SpanOptions(Options):
    """A recipe's `span` table: how contexts are read, what is compared, how answers are found."""

    window: int | None = opt(None, "words of context in a window; none = half of max_length", ge=1)
    stride: int | None = opt(
        None, "words from one window to the next; none = three quarters of the window", ge=1
    )
    unit: Literal["unit", "token", "position"] = opt(
        "unit",
        "compared with the teacher: words, tokens of the context, or all positions; the last two"
        " need equal tokens",
    )
    decoder: Literal["destila", "squad", "pipeline"] = opt(
        "destila",
        "how answers are found: ours, run_squad's, or the transformers pipeline's",
        reproduction=True,
    )
    max_answer: int | None = opt(
        None, "longest answer in tokens; none = the decoder's own, 30, 30 or 15", ge=1
    )
    nbest: int = opt(20, "answers that are kept, best first", ge=1, reproduction=True)
    null_threshold: float | None = opt(
        None,
        "no answer when its score exceeds the best answer's by more than this; none = always"
        " answer, 0.0 for data with questions that have no answer",
    )
