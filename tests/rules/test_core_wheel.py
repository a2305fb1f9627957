"""The wheel with its core dependencies alone: small, with the starter recipes, and no command ends in a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from destila import plugins
from tests.rules.conftest import ROOT

MAX_BYTES = 250e6
IGNORED = shutil.ignore_patterns(".git", "runs", "build", "*.egg-info", ".venv", "__pycache__")


def core_distributions() -> set[str]:
    """Names of what `pip install destila` brings with it, from what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting, known = list(project["dependencies"]), set()
    while waiting:
        needed = Requirement(waiting.pop())
        # What only an extra, or another system, would install is not here.
        if needed.name in known or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        known.add(needed.name)
        waiting += metadata.requires(needed.name) or []
    return known


@pytest.mark.slow
def test_the_core_is_small_whole_and_without_tracebacks(tmp_path):
    shutil.copytree(ROOT, tmp_path / "tree", ignore=IGNORED, symlinks=True)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", str(tmp_path), str(tmp_path / "tree")], check=True)
    wheel = next(tmp_path.glob("*.whl"))

    # A new environment; its packages are copied from here, as a registry is out of reach.
    venv.create(tmp_path / "core", with_pip=False)
    site = next((tmp_path / "core").glob("lib/python*/site-packages"))
    for name in core_distributions():
        for file in metadata.files(name) or []:
            source = Path(str(file.locate()))
            if source.is_file() and ".." not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, site / file)
    install = ["--python", str(tmp_path / "core/bin/python"), "install", "-q", "--no-deps"]
    subprocess.run([sys.executable, "-m", "pip", *install, "--no-index", str(wheel)], check=True)
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    assert size < MAX_BYTES, f"{size / 1e6:.0f} MB"

    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DESTILA"))}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "core/bin/destila"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=clean)

    assert "ner-conll2002" in run("list", "recipes").stdout
    for name in plugins.names("commands"):
        done = run(name, "--help")
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr
