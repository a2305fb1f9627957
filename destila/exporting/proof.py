"""What an export must show before it is kept: torch's answers, its products and its size.

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
"""Most that fp32 logits may differ from torch's, relative to the largest: rounding alone."""

SIZE = 0.1
"""Most that a file may differ from the formula, relative to it."""

NAMES = 32_768
"""Bytes more that it may differ by: names and nodes, which count only in models of toy size."""

_BATCH = 8
_THREADS = (1, 2)


def random_windows(model: Model, count: int = 24, seed: int = 0) -> list[TokenWindow]:
    """Return windows of every length that the encoder reads, with ids drawn evenly.

    Args:
        model: whose lengths, ids and types are meant.
        count: of lengths, spaced evenly on a logarithmic scale; equal ones are one.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    config = model.config
    lengths = np.unique(np.geomspace(1, config.max_length, count).round().astype(int))

    windows = []
    for length in generator.permutation(lengths):
        # Types come first, in order, as a pair's two texts do.
        types = np.sort(generator.integers(max(1, config.types), size=length))
        windows.append((generator.integers(config.vocab_size, size=length), types))
    return windows


def logit_difference(session: Session, model: Model, windows: Sequence[TokenWindow]) -> float:
    """Return max |difference| / max |value| of the logits against torch's.

    Torch reads the windows padded in ragged batches, so that padding is proven too.
    """
    pairs = []
    for window, reference in zip(windows, _torch_logits(model, windows), strict=True):
        pairs.append((session(feeds(*window))[0], reference))  # [C] or [L, C] each

    # Relative to the largest logit of all windows: small ones are rounding.
    worst = np.max([np.abs(own - reference).max() for own, reference in pairs])  # NaN if any is
    largest = np.max([np.abs(reference).max() for _, reference in pairs])
    return float(worst / largest) if largest else float(worst)


def same_answers(session: Session, model: Model, windows: Sequence[TokenWindow]) -> float:
    """Return the difference of an fp32 graph from torch; raise ModelError above PARITY."""
    difference = logit_difference(session, model, windows)
    if not difference < PARITY:  # also where it is NaN
        raise ModelError(
            f"{session.file.name} does not answer as torch does: its logits differ by "
            f"{difference:.1e} of the largest, {PARITY:.0e} is allowed. The export is refused"
        )
    return difference


def all_products(file: Path, counted: tuple[int, int], wanted: tuple[int, int], kept: int) -> None:
    """Raise ModelError unless a file's products are those of the architecture.

    Args:
        file: for the message.
        counted: (int8 products, products) in the file.
        wanted: the same of the architecture, with all products that have weights in int8.
        kept: products that were to stay in fp32.
    """
    if counted != (wanted[0] - kept, wanted[1]):
        raise ModelError(
            f"{file.name} has {counted[0]} int8 products of {counted[1]}, the architecture "
            f"{wanted[0] - kept} of {wanted[1]}: the export is refused"
        )


def right_size(file: Path, size: int, formula: int) -> None:
    """Raise ModelError when a file's bytes are not within SIZE (and NAMES) of the formula's."""
    if abs(size - formula) > SIZE * formula + NAMES:
        raise ModelError(
            f"{file.name} has {size:,} bytes where the architecture needs {formula:,}: weights are "
            "stored twice or are missing. The export is refused"
        )


def stable(file: Path, windows: Sequence[TokenWindow], *, kind: str) -> bool:
    """Return whether each text gets the same bits in all circumstances.

    On 1 and 2 threads, in either order, alone and beside another caller. Close is not enough: one
    unit in the last place before a rounding to 8 bits moves a result by a whole step.
    """
    # The first answers are what all others are compared with.
    first: list[bytes] | None = None
    for threads in _THREADS:
        for callers in sorted({1, threads}):
            session = open_session(file, threads=threads, callers=callers, kind=kind)
            for order in (1, -1):
                answers = _all_bits(session, windows, callers, order)
                first = first or answers
                if answers != first:
                    return False
    return True


def _all_bits(
    session: Session, windows: Sequence[TokenWindow], callers: int, order: int
) -> list[bytes]:
    """Return the bits of every answer, asked forwards (order 1) or backwards (-1)."""
    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(partial(_bits, session), windows[::order]))[::order]


def _bits(session: Session, window: TokenWindow) -> bytes:
    return session(feeds(*window)).tobytes()


@torch.no_grad()
def _torch_logits(model: Model, windows: Sequence[TokenWindow]) -> Iterator[np.ndarray]:
    """Yield torch's logits of every window without its pads, [C] or [L, C]."""
    source = iter(windows)
    while batch := list(islice(source, _BATCH)):
        # Padded on the right to the longest of the batch.
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.full((len(batch), longest), model.config.pad_id)  # [B, L]
        types, mask = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool)
        for row, (own, own_types) in enumerate(batch):
            ids[row, : len(own)] = torch.from_numpy(np.asarray(own, np.int64))
            types[row, : len(own)] = torch.from_numpy(np.asarray(own_types, np.int64))
            mask[row, : len(own)] = True

        logits = model.answer(ids, mask, types).logits.numpy()  # [B, C] or [B, L, C]
        for row, (own, _) in enumerate(batch):
            yield logits[row, : len(own)] if logits.ndim == 3 else logits[row]
