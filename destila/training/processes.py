"""The processes of a data-parallel run (`torchrun --nproc_per_node 2 -m destila ...`).

Without a GPU, accelerate takes the processes of torchrun for strangers unless it is made to stay on
the CPU: each would train alone and write the same files. Everything that asks who it is asks here.
"""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import count

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store
from torch.distributed.rendezvous import rendezvous

from destila.errors import TrainingError
from destila.training import kept_memory

PATIENCE = timedelta(hours=24)
"""How long a process waits for the others, inside of collectives too.

The first one may work alone for hours: a teacher labels, a model is tested, another run holds the
folder. One that has died is noticed by torchrun, which ends the others at once.
"""

_MEETINGS = count()
"""Numbers of the meetings of all processes."""


def processes() -> PartialState:
    """Return the state that all processes share.

    It has `is_main_process`, `num_processes` and `process_index`; `meet` waits for all of them.

    Raises:
        TrainingError: several processes were started and cannot talk to each other.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    _meet_after_restart()

    state = PartialState(cpu=_on_cpu(), timeout=PATIENCE)
    if state.num_processes != started:
        raise TrainingError(
            f"{started} processes were started but each runs alone on {state.device}: "
            "set ACCELERATE_USE_CPU=1, or start one"
        )
    return state


def meet() -> None:
    """Wait until all processes are here.

    Not in a collective, in which a GPU computes nothing at full power and other libraries give up
    after minutes: those that wait ask the store by which the processes know each other. All of them
    call it equally often.
    """
    state = processes()
    if state.num_processes == 1:
        return

    store = _get_default_store()
    place = f"destila meets {next(_MEETINGS)}"
    if store.add(place, 1) == state.num_processes:
        store.set(f"{place}: all are here", "")
    store.wait([f"{place}: all are here"], PATIENCE)


def turn() -> tuple[int, int]:
    """Return the number of this process, and how many take turns at work that is shared."""
    state = processes()
    return state.process_index, state.num_processes


def accelerator(*, unused: bool = False) -> Accelerator:
    """Return the accelerator of this process.

    Precision is the loop's own business, not that of an `accelerate config`.

    Args:
        unused: whether some weights may have no gradient in some steps, which data parallelism
            must look for.
    """
    # every training starts here, before its first product in bf16
    kept_memory.keep_few_kernels()
    processes()
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=unused)]
    return Accelerator(cpu=_on_cpu(), mixed_precision="no", kwargs_handlers=handlers)


def _meet_after_restart() -> None:
    """Let the processes of a restart of torchrun find each other, and not those that died.

    torchrun keeps one store of addresses over its restarts, in which a process that is quick reads
    those of the last attempt and then waits for a process that is no more.
    """
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if not attempt or distributed.is_initialized():
        return

    # one backend for the kind of device, bound to this process's own one
    device = None if _on_cpu() else torch.accelerator.current_accelerator()
    backend = "gloo"
    if device is not None:
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
        backend = distributed.get_default_backend_for_device(device)

    # addresses under a name of this attempt
    store, rank, world = next(rendezvous("env://"))
    named = PrefixStore(f"attempt {attempt}", store)
    distributed.init_process_group(
        backend, store=named, rank=rank, world_size=world, timeout=PATIENCE
    )


def _on_cpu() -> bool:
    """Return whether torchrun started this process on a machine without an accelerator."""
    return "LOCAL_RANK" in os.environ and not torch.accelerator.is_available()
