"""The conditions of a measurement: processor, instruction sets, threads, versions, code version.

Nothing here imports a library to ask its version, so reading the conditions does not change what is
measured.
"""

from __future__ import annotations

import functools
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from destila import version as own_version
from destila.records import Conditions

PACKAGES = (
    *("numpy", "onnxruntime", "openvino", "nncf", "tokenizers"),
    *("torch", "transformers", "scikit-learn", "sklearn-crfsuite"),
)
INSTRUCTIONS = (
    *(
        "sse4_2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512_vnni",
        "avx512_bf16",
    ),
    *("avx512_fp16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Instruction sets that decide how fast a matrix product is, as the Linux kernel spells them."""


def conditions(
    *,
    device: str,
    threads: int,
    batch: int,
    length: str,
    dtype: str,
    backend: str,
    warmup: int,
    repeats: int,
) -> Conditions:
    """Return the conditions of a measurement on this machine.

    Args:
        device: "cpu", or the accelerator's name.
        threads: really in use.
        batch: examples of a call.
        length: tokens per example, in words ("512 padded", "test set, median 31").
        dtype: "float32".
        backend: "torch", "onnxruntime", ...
        warmup: untimed calls before.
        repeats: timed calls, 0 where nothing was timed.
    """
    return Conditions(
        device=device,
        cpu=cpu(),
        instructions=instructions(),
        threads=threads,
        batch=batch,
        length=length,
        dtype=dtype,
        backend=backend,
        versions=versions(),
        warmup=warmup,
        repeats=repeats,
    )


def cpu() -> str:
    """Return the processor's model name, or its architecture where the system does not tell."""
    facts = _read(Path("/proc/cpuinfo"))
    names = re.findall(r"^model name\s*:\s*(.+)$", facts, re.MULTILINE)
    return names[0].strip() if names else platform.processor() or platform.machine() or "unknown"


def instructions() -> str:
    """Return the sets of INSTRUCTIONS that this processor has, between blanks.

    "unknown" off Linux.
    """
    facts = _read(Path("/proc/cpuinfo"))
    flags = re.findall(r"^(?:flags|Features)\s*:\s*(.+)$", facts, re.MULTILINE)
    return _known(flags[0].split()) if flags else "unknown"


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of the installed ones among `packages`."""
    installed = {"python": platform.python_version()}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


@functools.cache
def code_version() -> str:
    """Return the commit of this checkout, else the package's version.

    "-dirty" stands behind it when tracked files differ.
    """
    checkout = Path(own_version.__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return own_version.__version__

    # A checkout says more than the package's version does.
    commit = _git(checkout, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return own_version.__version__
    changes = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return commit + ("-dirty" if changes else "")


def _git(folder: Path, *arguments: str) -> str:
    """Return what a git command prints; "" when there is no git or it fails."""
    # Without git, or where it hangs, nothing is said: a measurement must not fail for it.
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _known(flags: Iterable[str]) -> str:
    has = set(flags)
    return " ".join(name for name in INSTRUCTIONS if name in has) or "none of the known ones"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
