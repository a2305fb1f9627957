"""The memory of a training step, counted on outlines of its tensors: nothing is computed.

A step runs under torch's fake mode, in which tensors have shapes and types but no values, and in
which every operation says what it would return. Each storage counts from its first operation until
nobody holds it any more, as an allocator would count it; what a library takes beside tensors (the
context of a GPU, work space of its products, gaps between blocks) is not in it. An outline is taken
for a GPU's tensor where kernels differ (`losses._rows.look_is_free`, `attention.takes_fused`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages that operations have made and that are still held.

    now: bytes that are held. peak: the most that ever were.
    """

    def __init__(self, before: Iterable[Tensor] = ()) -> None:
        """Count nothing yet but some tensors that were made before."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._held: dict[int, Any] = {}  # by storage, what notices its end
        for tensor in before:
            self._count(tensor.untyped_storage())

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count what it returns."""
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        """Count a storage once, until it is freed; views share one."""
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return

        def freed(_: Any) -> None:
            self.now -= size
            self._held.pop(key, None)

        self._held[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """What a step of so many rows takes.

    Example: for ALBETO tiny, 4 rows of 128 tokens in fp32, weights 21 MB, computing 130 MB,
    updating 105 MB.

    weights: bytes of the weights alone.
    computing: the most while the loss and its gradients are computed.
    updating: the most while the optimiser moves the weights.
    """

    weights: int
    computing: int
    updating: int

    @property
    def peak(self) -> int:
        """The most at any time."""
        return max(self.computing, self.updating)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedStep:
    """A model and what is computed of it in a step; made inside fake mode.

    Args:
        model: what is trained.
        forward: computes the loss.
    """

    model: nn.Module
    forward: Callable[[], Tensor]


def outline_step(
    build: Callable[[], OutlinedStep],
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
) -> StepMemory:
    """Return the memory of a step behind the first one, which has made the moments.

    Args:
        build: makes the model and its loss.
        optimizer: makes the optimiser of the model.
    """
    with FakeTensorMode(), LiveBytes() as held:
        step = build()
        optimiser = optimizer(step.model)
        trained = [each for each in step.model.parameters() if each.requires_grad]
        weights = sum(each.numel() * each.element_size() for each in step.model.parameters())

        # The moments are made by a step without gradients.
        for weight in trained:
            weight.grad = torch.zeros_like(weight)
        optimiser.step()
        optimiser.zero_grad()

        held.peak = held.now
        step.forward().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        computing = held.peak

        held.peak = held.now
        optimiser.step()
        return StepMemory(weights=weights, computing=computing, updating=held.peak)
