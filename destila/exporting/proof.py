"""What an export must show before it is kept: the same answers as torch, the products and the size it should have.

Every check reads the saved file. A text is always a call of its own here, as it is for the user.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from destila.errors import ModelError
from destila.inference.session import Session, TokenWindow, feeds, open_session
from destila.models.heads import Model

PARITY = 1e-4
"""Most that fp32 logits may differ from torch's, relative to the largest: rounding, and nothing else."""

SIZE = 0.1
"""Most that a file may differ from the formula, relative to it."""

NAMES = 32_768
"""Bytes more that it may differ by: names and nodes, which count only in models of toy size."""

_BATCH = 8
_THREADS = (1, 2)


def random_windows(model: Model, count: int = 24, seed: int = 0) -> list[TokenWindow]:
    """Windows of every length from the shortest to the longest that the encoder reads, with ids drawn evenly."""
    generator = np.random.default_rng(seed)
    most = model.config.max_length
    lengths = np.unique(np.geomspace(1, most, count).round().astype(int))
    found = []
    for length in generator.permutation(lengths):
        types = np.sort(generator.integers(max(1, model.config.types), size=length))
        found.append((generator.integers(model.config.vocab_size, size=length), types))
    return found


def logit_difference(session: Session, model: Model, windows: Sequence[TokenWindow]) -> float:
    """Max |difference| / max |value| of the logits against torch, whose windows are padded in ragged batches."""
    pairs = [
        (session(feeds(*w))[0], theirs)
        for w, theirs in zip(windows, _torch_logits(model, windows), strict=True)
    ]
    worst = np.max([np.abs(ours - theirs).max() for ours, theirs in pairs])  # NaN if any is
    largest = np.max([np.abs(theirs).max() for _, theirs in pairs])
    return float(worst / largest) if largest else float(worst)


def same_answers(session: Session, model: Model, windows: Sequence[TokenWindow]) -> float:
    """The difference of an fp32 graph from torch; raises ModelError when it is more than PARITY."""
    found = logit_difference(session, model, windows)
    if not found < PARITY:
        raise ModelError(
            f"{session.file.name} does not answer as torch does: its logits differ by {found:.1e} of the largest, "
            f"{PARITY:.0e} is allowed. The export is refused"
        )
    return found


def all_products(file: Path, found: tuple[int, int], wanted: tuple[int, int], kept: int) -> None:
    """Nothing; raises ModelError unless a file's (int8 products, products) are those of the architecture.

    kept: products that were to stay in fp32.
    """
    if found != (wanted[0] - kept, wanted[1]):
        raise ModelError(
            f"{file.name} has {found[0]} int8 products of {found[1]}, the architecture {wanted[0] - kept} of {wanted[1]}: "
            "the export is refused"
        )


def right_size(file: Path, found: int, formula: int) -> None:
    """Nothing; raises ModelError when a file's bytes are not within SIZE (and NAMES) of the formula's."""
    if abs(found - formula) > SIZE * formula + NAMES:
        raise ModelError(
            f"{file.name} has {found:,} bytes where the architecture needs {formula:,}: weights are stored twice or are "
            "missing. The export is refused"
        )


def stable(file: Path, windows: Sequence[TokenWindow], *, kind: str) -> bool:
    """Whether each text gets the same bits on 1 and 2 threads, in either order, alone and beside another caller.

    Close is not enough: one unit in the last place before a rounding to 8 bits moves a result by a whole step.
    """
    first: list[bytes] | None = None
    for threads in _THREADS:
        for callers in sorted({1, threads}):
            session = open_session(file, threads=threads, callers=callers, kind=kind)
            for order in (1, -1):
                with ThreadPoolExecutor(callers) as pool:
                    answers = list(pool.map(partial(_bits, session), windows[::order]))[::order]
                first = first or answers
                if answers != first:
                    return False
    return True


def _bits(session: Session, window: TokenWindow) -> bytes:
    return session(feeds(*window)).tobytes()


@torch.no_grad()
def _torch_logits(model: Model, windows: Sequence[TokenWindow]) -> Iterator[np.ndarray]:
    """Torch's logits of every window without its pads."""
    source = iter(windows)
    while batch := list(islice(source, _BATCH)):
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.full((len(batch), longest), model.config.pad_id)
        types, mask = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool)
        for row, (own, own_types) in enumerate(batch):
            ids[row, : len(own)] = torch.from_numpy(np.asarray(own, np.int64))
            types[row, : len(own)] = torch.from_numpy(np.asarray(own_types, np.int64))
            mask[row, : len(own)] = True
        logits = model.answer(ids, mask, types).logits.numpy()
        for row, (own, _) in enumerate(batch):
            yield logits[row, : len(own)] if logits.ndim == 3 else logits[row]
