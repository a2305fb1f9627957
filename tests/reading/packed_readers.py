"""More readers of strangers' files: graphs, archives, workbooks, Parquet, and files to be labelled."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from destila.corpus.documents import documents
from destila.files import open_text
from destila.formats.archives import open_zip
from destila.formats.tables import table_rows
from destila.inference.user_texts import read_file, strings_of
from destila.serve.bodies import RefusedError, parse
from destila.tasks import task_of
from tests.inference.conftest import export_untrained
from tests.reading.readers import CONLLU, SQUAD, Reader

Fixtures = Callable[[str], Any]
TEXTS = b"El Ebro nace en Fontibre.\n\nLima\tPer\xc3\xba\n"
TABLE = 'id,text,pair,label\n1,"hola, ""tú""",sí,a\n2,adiós,,b\n'
ROWS = [
    {"id": "x", "text": "hola", "pair": "sí"},
    {"words": ["a", "b"]},
    {"question": "¿?", "context": "c"},
]


def _file(path: Path, read: Callable[[], Any], files: list[bytes], **more: Any) -> Reader:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Reader(path, read, files, **more)


def _graph(folder: Path, fixture: Fixtures) -> Reader:
    """Make the reader of an exported graph, which answers a text when it can be opened."""
    from destila.inference.labeller import Labeller

    exported = export_untrained(
        folder, fixture("bpe"), "tag", layers=1, hidden=8, heads=1, positions=16, ffn=8, embedding=4
    )
    graph = exported / "model.onnx"

    def read() -> None:
        list(Labeller(exported, threads=1).answers(["El niño comió en España"]))

    return Reader(graph, read, [graph.read_bytes(), (exported / "model.fp32.onnx").read_bytes()])


def _labelled(task: str, name: str, files: list[str], values: Any = ()) -> Any:
    """Return what makes the reader of a file that is to be labelled."""

    def make(folder: Path, fixture: Fixtures) -> Reader:
        path = folder / name
        columns = {"text": "text", "pair": "pair"} if task == "span" else {}

        def read() -> None:
            list(strings_of([str(path)]))
            chosen = task_of(task)
            for number, item in enumerate(read_file(str(path), chosen, columns)):
                if not item.fault and item.row.get("text"):
                    chosen.read_row(item.row, number)

        return _file(path, read, [text.encode() for text in files], values=values)

    return make


def _packed(name: str, pack: Callable[[bytes], bytes], inside: bool) -> Any:
    """Return what makes the reader of a packed text: changed inside, or as it is packed."""

    def make(folder: Path, fixture: Fixtures) -> Reader:
        path = folder / name
        files = [TEXTS * 3] if inside else [pack(TEXTS * 3)]
        wrap = pack if inside else bytes
        return _file(path, lambda: list(open_text(path)), files, wrap=wrap)

    return make


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _archive(folder: Path, fixture: Fixtures) -> Reader:
    path = folder / "a.zip"

    def read() -> None:
        with open_zip(path, remedy="fetch it again") as archive:
            for name in archive.namelist():
                archive.read(name)

    return _file(path, read, [_zip({"a.txt": TEXTS, "b/c.txt": TEXTS * 9})])


def _book() -> dict[str, bytes]:
    """Return the members of a small workbook."""
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["text", "label", "n"], ["hola", "a", 1.5], ["adiós", "b", None]):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _workbook(member: str = "") -> Any:
    """Return what makes the reader of a workbook, as a whole or with one member changed."""

    def make(folder: Path, fixture: Fixtures) -> Reader:
        path, members = folder / "t.xlsx", _book()
        files = [members[member]] if member else [_zip(members)]
        wrap = (lambda data: _zip({**members, member: data})) if member else bytes
        return _file(path, lambda: list(table_rows(path)), files, wrap=wrap)

    return make


def _parquet(folder: Path, fixture: Fixtures) -> Reader:
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["El Ebro nace.", None, "Lima"] * 5}), buffer)
    path = folder / "t.parquet"
    return _file(path, lambda: list(documents(path)), [buffer.getvalue()])


def _body(folder: Path, fixture: Fixtures) -> Reader:
    path = folder / "body"
    body = {"texts": ROWS}

    def read() -> None:
        try:
            parse(path.read_bytes())
        except RefusedError:
            return

    return _file(path, read, [json.dumps(body).encode()], values=[body])


def _lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


PACKED_READERS: dict[str, Callable[[Path, Fixtures], Reader]] = {
    "onnx": _graph,
    "zip": _archive,
    "xlsx": _workbook(),
    "xlsx sheet": _workbook("xl/worksheets/sheet1.xml"),
    "xlsx book": _workbook("xl/workbook.xml"),
    "gz": _packed("t.txt.gz", gzip.compress, inside=False),
    "xz": _packed("t.txt.xz", lzma.compress, inside=False),
    "text in gz": _packed("t.txt.gz", gzip.compress, inside=True),
    "parquet": _parquet,
    "request": _body,
    "label text": _labelled("classify", "t.txt", [TEXTS.decode()]),
    "label csv": _labelled("classify", "t.csv", [TABLE, TABLE.replace(",", ";")]),
    "label jsonl": _labelled("classify", "t.jsonl", [_lines(ROWS)], ROWS),
    "label list": _labelled("classify", "t.json", [json.dumps(ROWS)], [ROWS]),
    "label conll": _labelled("tag", "t.conll", ["Ana B-PER\nvive O\n\nLima B-LOC\n"]),
    "label conllu": _labelled("tag", "t.conllu", [CONLLU]),
    "label squad": _labelled("span", "t.json", [json.dumps(SQUAD)], [SQUAD]),
}
