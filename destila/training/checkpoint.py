"""Checkpoints of a long run: `FOLDER/00001500.safetensors`, named by the steps done, written in the background.

The tensors are copied at once, so the weights may move on while a thread writes them to a temporary name and renames
it. The newest few are kept, and those that recovery may need: checkpoints at a multiple of `every` steps are the same in
a run that was killed and one that was not (those of the clock are not), so only they are returned to.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from destila.errors import TrainingError
from destila.training import state

SavedState = tuple[dict[str, Any], dict[str, Tensor]]
"""A position and tensors by name, as in `state.read`."""

_SUFFIX = ".safetensors"


class Checkpoints:
    """The checkpoints of one folder; a context that waits for the last one to be written.

    keep: the newest ones that stay. every: steps between those that may be returned to, beside step 0. behind: how many
    steps behind the newest one a return may reach at most, as far as checkpoints go.
    """

    def __init__(self, folder: Path, *, keep: int, every: int, behind: int) -> None:
        self._folder, self._keep, self._every, self._behind = folder, keep, every, behind
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.shutdown()
        if error is None:
            self.wait()

    def path(self, step: int) -> Path:
        """Where the checkpoint after `step` steps is."""
        return self._folder / f"{step:08d}{_SUFFIX}"

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, ascending."""
        return sorted(
            int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit()
        )

    def newest(self) -> int | None:
        """The step of the newest checkpoint that can be read, None where there is none at all.

        Raises TrainingError when there are some and none can be read.
        """
        found = self.steps()
        for step in reversed(found):
            if state.is_readable(self.path(step)):
                return step
        if found:
            raise TrainingError(
                f"none of the {len(found)} checkpoints in {self._folder} can be read: delete the folder to start this run again"
            )
        return None

    def before(self, step: int) -> int:
        """The newest step up to `step` that may be returned to; the oldest of all where none is old enough."""
        found = [each for each in self.steps() if each % self._every == 0] or self.steps()
        return max((each for each in found if each <= step), default=found[0])

    def read(self, step: int) -> SavedState:
        """The checkpoint after `step` steps; raises TrainingError when it is damaged."""
        return state.read_state(self.path(step))

    def add(self, step: int, position: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Nothing; the tensors are copied and written in the background.

        Raises TrainingError when the one before could not be written; waits for it where it is not done.
        """
        self.wait()
        copies = {
            name: value.detach().to("cpu", copy=True).contiguous()
            for name, value in tensors.items()
        }
        self._writing = self._writer.submit(self._write, step, position, copies)

    def replace(self, step: int, saved: SavedState) -> None:
        """Nothing; the checkpoint of `step` is replaced, then those behind it are dropped: a return, on disk."""
        self.wait()
        position, tensors = saved
        state.write_state(self.path(step), tensors, position)
        for later in self.steps():
            if later > step:
                self.path(later).unlink()

    def check(self) -> None:
        """Nothing; raises TrainingError when the checkpoint being written has failed by now."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Nothing, when the checkpoint being written is on disk; raises TrainingError when it cannot be."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, step: int, position: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        state.write_state(self.path(step), tensors, position)
        found = self.steps()
        regular = [each for each in found if each % self._every == 0]
        oldest = max((each for each in regular if each <= step - self._behind), default=0)
        kept = {*found[-self._keep :], *(each for each in regular if each >= oldest)}
        for each in found:
            if each not in kept:
                self.path(each).unlink()
