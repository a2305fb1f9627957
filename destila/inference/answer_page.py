"""The files of a page to try a model: its own, and those that show answers, which all share."""

from __future__ import annotations

from importlib.resources import files

SHARED = ("page.css", "answers.js")
"""Files of every page, in `destila/inference/page/`."""


def page_files(room: str, own: tuple[str, ...]) -> dict[str, bytes]:
    """Return the content of a page's files by their names.

    Args:
        room: package whose `page` folder has the page's own files, such as "destila.serve".
        own: their names.
    """
    pages = [(room, name) for name in own] + [("destila.inference", name) for name in SHARED]
    return {name: files(where).joinpath("page", name).read_bytes() for where, name in pages}
