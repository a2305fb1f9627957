"""How deep the main job is: the real stack of a tiny study, recorded inside the `kl` term."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch.nn import functional

import destila
from destila import cli

PACKAGE = str(Path(destila.__file__).parent)
MOST_FRAMES = 8


@pytest.fixture
def stacks(monkeypatch) -> list[list[str]]:
    """The frames of the package around each call of PyTorch's KL divergence.

    Each is `file:function`; the outermost comes first.
    """
    recorded: list[list[str]] = []
    real = functional.kl_div

    def kl_div(*args, **kwargs):
        frames, frame = [], sys._getframe(1)
        while frame is not None:
            path = frame.f_code.co_filename
            if path.startswith(PACKAGE):
                name = Path(path).relative_to(PACKAGE).with_suffix("").as_posix()
                frames.append(f"{name}:{frame.f_code.co_name}")
            frame = frame.f_back
        recorded.append(frames[::-1])
        return real(*args, **kwargs)

    monkeypatch.setattr(functional, "kl_div", kl_div)
    return recorded


@pytest.mark.usefixtures("fast_testing")
def test_few_frames_from_the_command_to_the_term(tiny, stacks, monkeypatch):
    """From `destila run` to the arithmetic one enters at most eight functions of ours."""
    changes = ["baseline=false", "compare=false", "train.epochs=1"]
    options = [word for change in changes for word in ("--set", change)]
    monkeypatch.setattr(sys, "argv", ["destila", "run", str(tiny()), "--json", *options])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code in (0, None)

    assert stacks
    assert len(set(map(tuple, stacks))) == 1
    names = stacks[0][stacks[0].index("commands/run:run") :]
    assert names[:5] == [
        "commands/run:run",
        "study/run:run_study",
        "study/runs/training:train",
        "training/loop:_steps",
        "training/step:train_step",
    ]
    assert names[-1].startswith("losses/kl:")
    assert len(names) <= MOST_FRAMES
