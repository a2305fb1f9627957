"""Whether a text's answer depends on its neighbours or on the threads: bitwise, on given texts.

Close is not enough: one unit in the last place before a rounding to 8 bits moves a result by a whole step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from destila.export.static import open_session

BATCH = 8
THREADS = (1, 2)


def stable_alone(proto: onnx.ModelProto, texts: Sequence[np.ndarray]) -> bool:
    """Whether each text, a call of its own, gets the same bits on 1 and 2 threads and in either order.

    proto: a graph without mask. texts: token ids [L].
    """
    answers = []
    for threads in THREADS:
        session = open_session(proto, threads)
        for order in (1, -1):
            found = [session.run(None, _feeds(proto, [ids], 0))[0].tobytes() for ids in texts[::order]]
            answers.append(found[::order])
    return all(answer == answers[0] for answer in answers)


def stable_in_batches(proto: onnx.ModelProto, texts: Sequence[np.ndarray], pad_id: int, seed: int = 0) -> bool:
    """Whether each text gets the same bits alone and padded among others, in shuffled batches, on 1 and 2 threads.

    proto: a graph with a mask. texts: token ids [L].
    """
    alone = None
    for threads in THREADS:
        session = open_session(proto, threads)
        found = [session.run(None, _feeds(proto, [ids], pad_id))[0][0] for ids in texts]
        alone = alone or found
        if any(a.tobytes() != b.tobytes() for a, b in zip(alone, found, strict=True)):
            return False
        order = np.random.default_rng(seed).permutation(len(texts))
        for start in range(0, len(texts), BATCH):
            rows = order[start : start + BATCH]
            batch = session.run(None, _feeds(proto, [texts[row] for row in rows], pad_id))[0]
            for row, answer in zip(rows, batch, strict=True):
                own = answer[: len(texts[row])] if answer.ndim > 1 else answer
                if own.tobytes() != alone[row].tobytes():
                    return False
    return True


def _feeds(proto: onnx.ModelProto, rows: Sequence[np.ndarray], pad_id: int) -> dict[str, np.ndarray]:
    """Right-padded inputs of a batch, of those that the graph has; all types are 0."""
    length = max(len(ids) for ids in rows)
    ids = np.full((len(rows), length), pad_id, np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    for row, values in enumerate(rows):
        ids[row, : len(values)], mask[row, : len(values)] = values, 1
    known = {"input_ids": ids, "mask": mask, "type_ids": np.zeros_like(ids)}
    return {value.name: known[value.name] for value in proto.graph.input}
