"""Every command that works for long, stopped when it first says where it is: one line, its exit code, no child left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.rules.conftest import ROOT

JOBS = (
    *("run", "cache", "export", "corpus", "pretrain"),
    *("evaluate", "verify", "search", "tokenizer", "predict"),
)
RESUMING = {"run", "cache", "corpus", "pretrain", "search", "predict"}
"""Those whose same command goes on; `cache` is `destila distil`, whose teacher is trained."""


@pytest.fixture(scope="module")
def ends(tmp_path_factory) -> dict[tuple[str, str], dict]:
    """How every job ended at every signal, by one process that imports once and forks each."""
    script = [sys.executable, str(ROOT / "benchmarks/kills.py"), *JOBS, "--at-progress"]
    script += ["--out", str(tmp_path_factory.mktemp("kills")), "--signal", "INT", "TERM"]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2 * len(JOBS), done.stderr[-2000:]
    return {(row["job"], row["signal"]): row for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["INT", "TERM"])
@pytest.mark.parametrize("job", JOBS)
def test_a_command_that_is_stopped_says_where(ends, job, sign):
    row = ends[job, sign]
    assert row["problems"] == []
    assert row["line"].startswith("stopped at ")
    then = "the same command goes on" if job in RESUMING else "nothing is left half written"
    assert row["line"].endswith(f"; {then}")
