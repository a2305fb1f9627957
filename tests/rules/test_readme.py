"""The README keeps its word: its commands exist, its recipes exist, its file tree is the tree."""

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
    """Arguments of every line in a code fence that calls a program, comments cut off."""
    text = "\n".join(fence for page in PAGES for fence in FENCE.findall(page.read_text(encoding="utf-8")))
    text = text.replace("\\\n", " ")
    lines = (re.sub(r"^\s*(\$ )?(\.venv/bin/)?", "", line) for line in text.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]


def cut_at_pipe(arguments: list[str]) -> list[str]:
    return arguments[: next((i for i, a in enumerate(arguments) if a in ("|", ">", "<", "&&")), len(arguments))]


DESTILA = [cut_at_pipe(line) for line in commands("destila")]
VERBS = sorted({line[0] for line in DESTILA})


def test_there_are_commands_to_check() -> None:
    assert {"run", "predict"} <= set(VERBS)
    assert {"demo", "test"} <= {word for line in commands("make") for word in line}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_the_readme_exists_and_knows_its_flags(verb: str) -> None:
    code = f"import sys; sys.argv = ['destila', {verb!r}, '--help']; from destila.cli import main; main()"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stderr
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout)
    flags = {word.split("=")[0] for line in DESTILA if line[0] == verb for word in line if word.startswith("--")}
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


def tree(readme: str) -> dict[str, str]:
    """Path -> phrase of every line of the README's file tree; indentation of two blanks is one level."""
    block = re.search(r"^## Files\n.*?^```\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert block, "the README has a section '## Files' with a fenced tree"
    found, folders = {}, [""]
    for line in block[1].splitlines():
        name, _, phrase = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        path = folders[depth] + name
        folders[depth + 1 :] = [path]
        found[path] = phrase.strip()
    return found


def test_every_source_file_is_in_the_tree_and_the_tree_names_nothing_else(readme: str, modules: list) -> None:
    listed = tree(readme)
    files = {m.path.as_posix() for m in modules if m.path.name != "__init__.py"} | {"destila/__init__.py"}
    folders = {f"{m.path.parent.as_posix()}/" for m in modules}
    assert sorted(files | folders) == sorted(path for path in listed if path.startswith("destila/"))
    assert not [path for path in listed if not (ROOT / path).exists()]


def test_every_line_of_the_tree_has_a_phrase(readme: str) -> None:
    assert not [path for path, phrase in tree(readme).items() if len(phrase) < 8]
