from __future__ import annotations

import mmap
import sys

import numpy as np
import pytest

from destila.errors import ConfigError
from destila.measuring import memory

MB = 1024 * 1024
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernel's counters are Linux's"
)


@linux
def test_the_peak_remembers_memory_that_was_given_back():
    before = memory.resident().anonymous
    block = np.ones(64 * MB, np.uint8)
    del block
    assert memory.peak_bytes() >= before + 64 * MB


@linux
def test_mapped_files_are_not_anonymous(tmp_path):
    file = tmp_path / "mapped"
    file.write_bytes(bytes(64 * MB))
    before = memory.resident()
    with (
        file.open("rb") as handle,
        mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        sum(mapped[i] for i in range(0, len(mapped), 4096))
        after = memory.resident()
    assert after.file_backed - before.file_backed > 48 * MB
    assert after.anonymous - before.anonymous < 16 * MB


@linux
def test_the_peak_of_a_command_is_its_own_and_not_ours():
    ours = np.ones(128 * MB, np.uint8)
    small = memory.peak_of([sys.executable, "-S", "-c", "pass"])
    large = memory.peak_of([sys.executable, "-S", "-c", "x = b'1' * 80_000_000"])
    assert small < 64 * MB < 76 * MB < large < 128 * MB < len(ours) + 1


@linux
def test_a_command_that_fails_says_why():
    with pytest.raises(ConfigError, match=r"status 3: no such model"):
        memory.peak_of(
            [
                sys.executable,
                "-S",
                "-c",
                "import sys; sys.stderr.write('no such model'); sys.exit(3)",
            ]
        )


def test_a_machine_without_the_counters_gives_none():
    assert memory._kilobytes("/no/such/file", "VmHWM") is None
