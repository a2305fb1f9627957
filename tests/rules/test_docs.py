"""The documentation keeps its word: drawn pages are up to date, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.test_imports import ROWS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("models/*/*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)|!\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("script", ["generate.py", "tables.py"])
def test_drawn_pages_are_up_to_date(script: str) -> None:
    """`make map` and `make tables` would change nothing."""
    command = [sys.executable, str(ROOT / "docs" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_contributing_has_the_table_of_layers() -> None:
    """CONTRIBUTING shows the rows that `test_imports.py` keeps."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\d+) \| ([^|]*) \|", text, re.MULTILINE)
    shown = [tuple(re.findall(r"`([^`]+)`", names)) for _, names in lines]
    rooms = [tuple(room for room in row if room not in ("__main__", "destila")) for row in ROWS]
    assert shown == [row for row in rooms if row]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is a file or a folder of the repository."""
    text = page.read_text(encoding="utf-8")
    targets = [a or b for a, b in LINK.findall(text)]
    inside = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert not [target for target in inside if not (page.parent / target).exists()]


def test_there_are_pages_and_links_to_check() -> None:
    """The rules above would otherwise check nothing."""
    assert len(PAGES) > 10
    assert sum(len(LINK.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 10
