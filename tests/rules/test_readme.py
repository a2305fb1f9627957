"""The README keeps its word: its commands exist and its recipes exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Return the arguments of every call of a program, in fences and in cells of tables."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    fences = [fence for text in texts for fence in FENCE.findall(text)]
    cells = [cell for text in texts for cell in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)]
    text = "\n".join([*fences, *cells])
    text = text.replace("\\\n", " ")
    lines = (re.sub(r"^\s*(\$ )?(\.venv/bin/)?", "", line) for line in text.splitlines())
    return [
        shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")
    ]


def cut_at_pipe(arguments: list[str]) -> list[str]:
    return arguments[
        : next((i for i, a in enumerate(arguments) if a in ("|", ">", "<", "&&")), len(arguments))
    ]


DESTILA = [cut_at_pipe(line) for line in commands("destila")]
VERBS = sorted({line[0] for line in DESTILA})


def test_there_are_commands_to_check() -> None:
    assert {"run", "predict"} <= set(VERBS)
    assert {"demo", "test"} <= {word for line in commands("make") for word in line}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_the_readme_exists_and_knows_its_flags(verb: str) -> None:
    code = f"import sys; sys.argv = ['destila', {verb!r}, '--help']; from destila.cli import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout)
    flags = {
        word.split("=")[0]
        for line in DESTILA
        if line[0] == verb
        for word in line
        if word.startswith("--")
    }
    assert not {flag for flag in flags if flag not in plain}


def test_the_recipes_of_the_readme_exist() -> None:
    named = {word for line in DESTILA for word in line if word.startswith("recipes/")}
    assert named
    assert not [word for word in named if not (ROOT / word).is_file()]


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {word for line in commands("make") for word in line if re.fullmatch(r"[a-z]+", word)}
    assert named
    assert not {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)}
