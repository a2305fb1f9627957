"""Errors that a user can act on. Each says what, where, the value and the remedy, in one line.

    DestilaError
    ├── ConfigError      a recipe, option or flag
    ├── DataError        a file of examples, or a label
    ├── TokenizerError   a tokenizer file, or a text it cannot encode
    ├── ModelError       weights, a model folder, a hub name
    ├── CacheError       a teacher cache on disk
    ├── TrainingError    training that cannot go on (not finite, state on disk)
    └── MissingExtraError     an optional package that is not installed

The command line prints them without a traceback and exits with 1; `--json` prints
`{"error": {"kind": "<class name>", "message": "..."}}`.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Mapping
from types import ModuleType

EXTRAS = {
    "accelerate": "train",
    "huggingface_hub": "train",
    "onnx": "train",
    "safetensors": "train",
    "torch": "train",
    "transformers": "train",
    "zstandard": "train",
    "jinja2": "report",
    "openpyxl": "excel",
    "fastapi": "serve",
    "httptools": "serve",
    "prometheus_client": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "spacy": "spacy",
    "presidio_analyzer": "presidio",
    "nncf": "openvino",
    "openvino": "openvino",
    "pyarrow": "corpus",
    "rensa": "corpus",
    "gensim": "pretrain",
    "optuna": "search",
    "sqlalchemy": "search",
    "ray": "ray",
    "pycrfsuite": "baseline",
    "scipy": "baseline",
    "sklearn": "baseline",
    "sklearn_crfsuite": "baseline",
}
"""The extra of `pyproject.toml` that installs a package, by the name it is imported by."""


class DestilaError(Exception):
    """Root of every error that is the input's fault rather than ours."""


class ConfigError(DestilaError):
    """A recipe, option or flag is wrong."""


class DataError(DestilaError):
    """A file of examples or a label is wrong.

    cells: what a row holds that does not fit its table, by column; None for anything else.
    """

    cells: Mapping[str, str] | None = None


class TokenizerError(DestilaError):
    """A tokenizer cannot be read or cannot encode a text."""


class ModelError(DestilaError):
    """Weights, a model folder or a hub name are wrong."""


class CacheError(DestilaError):
    """A teacher cache on disk is damaged or belongs to something else."""


class TrainingError(DestilaError):
    """Training cannot go on."""


class MissingExtraError(DestilaError):
    """An optional package is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Return the imported module.

    Raises:
        MissingExtraError: it is not installed; the error names the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # The package is there, and lacks something itself: that error says more than ours.
        if error.name != module.split(".")[0]:
            raise
        raise _missing(module, extra) from error


_FILE_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EEXIST: "a file stands where a folder is wanted: give another path",
    errno.ENOTDIR: "a file stands where a folder is wanted: give another path",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "change its permissions, or give another place",
    errno.EPERM: "change its permissions, or give another place",
    errno.EROFS: "give a place that can be written",
    errno.ENOSPC: "free some space and start again",
    errno.EDQUOT: "free some space and start again",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def explain_file(error: OSError) -> str:
    """Return what the system says of a file: its name, what is wrong, and what to do."""
    if error.filename is None or error.strerror is None:
        return str(error)
    # A file that is replaced is written beside its place, under a name that nobody has given.
    name = error.filename2 if error.filename2 is not None else error.filename
    remedy = _FILE_REMEDIES.get(error.errno or 0)
    return f"{name}: {error.strerror[:1].lower()}{error.strerror[1:]}" + (
        f": {remedy}" if remedy else ""
    )


def explain_missing(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return the error that says which extra installs a missing package; None for another one."""
    package = (error.name or "").split(".")[0]
    return _missing(package, EXTRAS[package]) if package in EXTRAS else None


def _missing(package: str, extra: str) -> MissingExtraError:
    """Make the one line for a package that is not installed."""
    return MissingExtraError(f"this needs the package '{package}': pip install 'destila[{extra}]'")
