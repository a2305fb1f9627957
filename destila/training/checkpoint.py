"""Checkpoints of a long run: `FOLDER/00001500.safetensors`, named by the steps done.

The tensors are copied at once, so the weights may move on while a thread writes them to a temporary
name and renames it. The newest few are kept, and those that recovery may need. Checkpoints at a
multiple of `every` steps are the same in a run that was killed and one that was not (those of the
clock are not), so only they are returned to.
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
"""A position and tensors by name, as `state.read_state` returns them."""

_SUFFIX = ".safetensors"


class Checkpoints:
    """The checkpoints of one folder; a context that waits for the last one to be written."""

    def __init__(self, folder: Path, *, keep: int, every: int, behind: int) -> None:
        """Look at a folder, which need not exist.

        Args:
            folder: where the checkpoints are.
            keep: how many of the newest ones stay.
            every: steps between those that may be returned to, beside step 0.
            behind: how many steps behind the newest one a return may reach at most.
        """
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
        """Return where the checkpoint after `step` steps is."""
        return self._folder / f"{step:08d}{_SUFFIX}"

    def steps(self) -> list[int]:
        """Return the steps of which there are checkpoints, ascending."""
        files = self._folder.glob(f"*{_SUFFIX}")
        return sorted(int(path.stem) for path in files if path.stem.isdigit())

    def newest(self) -> int | None:
        """Return the step of the newest checkpoint that can be read; None without any.

        Raises:
            TrainingError: there are some and none can be read.
        """
        steps = self.steps()
        for step in reversed(steps):
            if state.is_readable(self.path(step)):
                return step

        if steps:
            raise TrainingError(
                f"none of the {len(steps)} checkpoints in {self._folder} can be read: "
                "delete the folder to start this run again"
            )
        return None

    def before(self, step: int) -> int:
        """Return the newest step up to `step` that may be returned to; else the oldest of all."""
        steps = self._regular(self.steps()) or self.steps()
        return max((each for each in steps if each <= step), default=steps[0])

    def read(self, step: int) -> SavedState:
        """Return the checkpoint after `step` steps.

        Raises:
            TrainingError: it is damaged.
        """
        return state.read_state(self.path(step))

    def add(self, step: int, position: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Copy the tensors and write them in the background, once the one before is written.

        Raises:
            TrainingError: the one before could not be written.
        """
        self.wait()
        # copies, because the weights move on while a thread writes
        copies = {
            name: value.detach().to("cpu", copy=True).contiguous()
            for name, value in tensors.items()
        }
        self._writing = self._writer.submit(self._write, step, position, copies)

    def replace(self, step: int, saved: SavedState) -> None:
        """Replace the checkpoint of `step`, then drop those behind it: a return, on disk."""
        self.wait()
        position, tensors = saved
        state.write_state(self.path(step), tensors, position)

        # what is behind the step of a return never happened
        for later in self.steps():
            if later > step:
                self.path(later).unlink()

    def check(self) -> None:
        """Raise TrainingError when the checkpoint being written has failed by now."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the checkpoint being written is on disk.

        Raises:
            TrainingError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, step: int, position: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write a checkpoint, then drop those that nothing needs any more."""
        state.write_state(self.path(step), tensors, position)

        # recovery may need the regular ones back to the first that is `behind` steps old
        steps = self.steps()
        regular = self._regular(steps)
        oldest = max((each for each in regular if each <= step - self._behind), default=0)
        needed = {*steps[-self._keep :], *(each for each in regular if each >= oldest)}

        for each in steps:
            if each not in needed:
                self.path(each).unlink()

    def _regular(self, steps: list[int]) -> list[int]:
        """Return the steps that are the same in a run that was killed and one that was not."""
        return [step for step in steps if step % self._every == 0]
