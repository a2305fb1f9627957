"""An exported model as a wheel: `pip install` it, and `destila.load` knows it by name.

A wheel is a zip file (PEP 427): the model's files in a folder called like the package, and beside
it what pip reads. The entry point (group `destila_models`) names that folder. `destila.hub` finds
it through the list of installed files; nothing of the package is imported, and nothing in it needs
to be: only data are packed.
"""

from __future__ import annotations

import base64
import hashlib
import keyword
import re
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from destila.errors import ConfigError, ModelError
from destila.files import replacing
from destila.hub import MODEL_GROUP, installed_folder
from destila.inference.exported import FACTS, GRAPH, is_exported
from destila.reading.shapes import EXPORT_FILE, read_shape
from destila.version import __version__

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")  # PEP 440, as written
_DESCRIPTION = (
    "config.json",
    "destila.json",
    FACTS,
    "tokenizer.json",
    "tokenizer_config.json",
    "LICENSE",
    "LICENSE.txt",
)
"""Files beside the graphs that are packed where they are there."""

_CARD = "README.md"
_HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)  # of a card, for model hubs
_DATE = (1980, 1, 1, 0, 0, 0)  # of every file, so that equal models make equal wheels
_MODULE = '"""A model of destila: destila.load("{name}") opens it."""\n'


def check_wheel_name(name: str, version: str) -> None:
    """Raise ConfigError for a name or a version that cannot be those of a package of a model."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(
            f"--name {name}: use small letters, digits and single underscores, such as es_reviews"
        )
    if not _VERSION.fullmatch(version):
        raise ConfigError(f"--version {version}: use numbers and dots, such as 1.0 or 1.2rc1")

    # A package of that name would hide the other one; a wheel of the same model replaces its own.
    known = name in sys.stdlib_module_names or find_spec(name) is not None
    if known and installed_folder(name) is None:
        raise ConfigError(f"--name {name}: another package has that name: choose a new one")


def wheel_files(folder: Path) -> list[Path]:
    """Return the files of an exported folder that run it, the graphs last.

    Raises:
        ModelError: the folder is no export, or lacks a file.
    """
    if not is_exported(folder):
        raise ModelError(
            f"{folder} was not exported: a wheel holds a model that runs without torch "
            f"(destila export {folder})"
        )

    # Every graph that export.json lists; OpenVINO keeps its weights beside the graph.
    graphs = [GRAPH]
    if (folder / FACTS).is_file():
        facts = read_shape(folder / FACTS, EXPORT_FILE, ModelError, remedy="export again")
        graphs = [candidate["file"] for candidate in facts["candidates"]]
    graphs += [str(Path(file).with_suffix(".bin")) for file in graphs if file.endswith(".xml")]

    described = [folder / name for name in _DESCRIPTION if (folder / name).is_file()]
    files = [*described, *(folder / name for name in graphs)]
    for file in files:
        if not file.is_file():
            raise ModelError(f"{folder} lacks {file.name}: export again")
    return files


def write_wheel(
    folder: Path, out: Path, *, name: str, version: str, card: str, summary: str
) -> Path:
    """Write an exported model as a wheel, which appears whole or not at all; return its path.

    Args:
        folder: that `destila export` wrote.
        out: folder of the wheel, made where it is missing.
        name: of the package and of the model.
        version: of the package.
        card: of the model, packed with it and shown as the package's description.
        summary: one line on what the model does.

    Raises:
        ConfigError: the name or the version cannot be.
        ModelError: the folder is no whole export.
    """
    check_wheel_name(name, version)
    files = wheel_files(folder)
    about = f"{name}-{version}.dist-info"
    texts = {
        f"{name}/__init__.py": _MODULE.format(name=name),
        f"{name}/{_CARD}": card,
        f"{about}/METADATA": _metadata(name, version, card, summary),
        f"{about}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: destila {__version__}\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        f"{about}/entry_points.txt": f"[{MODEL_GROUP}]\n{name} = {name}\n",
    }

    wheel = out / f"{name}-{version}-py3-none-any.whl"
    out.mkdir(parents=True, exist_ok=True)
    with replacing(wheel) as partial, zipfile.ZipFile(partial, "w") as archive:
        record = [_pack(archive, f"{name}/{file.name}", file.read_bytes()) for file in files]
        record += [_pack(archive, place, text.encode()) for place, text in texts.items()]
        listed = "".join(record) + f"{about}/RECORD,,\n"
        _pack(archive, f"{about}/RECORD", listed.encode())
    return wheel


def _pack(archive: zipfile.ZipFile, place: str, data: bytes) -> str:
    """Add a file to a wheel, and return its line of RECORD: name, digest and size."""
    entry = zipfile.ZipInfo(place, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16  # a regular file that everybody may read
    archive.writestr(entry, data)
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{place},sha256={digest},{len(data)}\n"


def _metadata(name: str, version: str, card: str, summary: str) -> str:
    """Return the METADATA of a wheel: fields as of a letter, then the card."""
    fields: Mapping[str, str] = {
        "Metadata-Version": "2.1",
        "Name": name,
        "Version": version,
        "Summary": " ".join(summary.split()),
        "Requires-Python": ">=3.11",
        "Requires-Dist": f"destila>={__version__}",
        "Description-Content-Type": "text/markdown; charset=UTF-8",
    }
    head = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"{head}\n{_HEAD.sub('', card).lstrip()}"
