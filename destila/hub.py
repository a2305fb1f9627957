"""A name becomes a folder: a path, one under `DESTILA_MODELS`, an installed model, or a hub id.

An installed model is a package that `destila package` made; see `exporting/wheel.py`.

Published Spanish models changed their spelling over time (organisation `CenIA` became `dccuchile`,
`distillbert` lost an l, the distilled base-n models are listed as `finetuned`), so every known
spelling is tried. RoBERTa-BNE has moved and was taken down since; the error says what is left. With
`HF_HUB_OFFLINE=1` only the local hub cache is read and the network is never touched.
"""

from __future__ import annotations

import os
import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from destila.errors import ModelError, require

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

CACHE = "DESTILA_CACHE"
"""Environment variable: the folder of what can be computed again."""

_TOKENIZER_FILES = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
]
_WEIGHTS = ["model*.safetensors", "model.safetensors.index.json"]
_OLD_WEIGHTS = ["pytorch_model*.bin", "pytorch_model.bin.index.json"]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_ORGANISATIONS = ("dccuchile", "CenIA")
_BNE = ("PlanTL-GOB-ES", "BSC-LT", "BSC-TeMU")
"""Organisations that RoBERTa-BNE has been under, before its weights were taken down."""
_PACKAGE_NAME = re.compile(r"[A-Za-z][\w.-]*")

_OURS = ("es_ner", "es_pos")
"""Models of `destila-es`, the distribution in the folder of that name beside this package."""

MODEL_GROUP = "destila_models"
"""Group of entry points under which installed models are known: name = folder."""


def resolve(name: str | Path, *, what: str = "model") -> Path:
    """Return the local folder of a model.

    It is an existing folder, `$DESTILA_MODELS/name`, that of an installed package, or a snapshot of
    a hub repository.

    Args:
        name: a path, or a hub name.
        what: "model" fetches configuration, tokenizer and weights (`.bin` only where there are no
            safetensors); "tokenizer" leaves the weights out.

    Raises:
        ModelError: there is no such folder; it says where it looked, and how to help.
    """
    # A path of this machine wins over every other meaning of the name.
    if not str(name).strip():
        raise ModelError(
            f"the name of the {what} is empty: give a folder or a hub name (organisation/model)"
        )
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists():
        raise ModelError(f"{name} is a file: a {what} is a folder with config.json and its files")

    # The user's folder of models, under any spelling.
    models = os.environ.get("DESTILA_MODELS")
    if models:
        for spelling in spellings(str(name)):
            if (Path(models) / spelling).is_dir():
                return Path(models) / spelling

    # A package of a model, installed under that name.
    if _PACKAGE_NAME.fullmatch(str(name)) and (installed := installed_folder(str(name))):
        return installed

    if _plain_name(str(name)) in _OURS:
        raise ModelError(f"{name} is a model of destila-es: pip install ./destila-es")

    # The hub comes last: it may need the network.
    places = f"no folder '{name}'" + (f", none under DESTILA_MODELS={models}" if models else "")
    if not _HUB_ID.fullmatch(str(name)):
        raise ModelError(
            f"{places}, and it is not a hub name (organisation/model): "
            f"give an existing {what} folder"
        )
    return _snapshot(str(name), what, places)


def installed_folder(name: str) -> Path | None:
    """Return the folder of an installed model; None where no package has one of that name.

    Nothing of the package is imported: its list of files says where the folder is.

    Args:
        name: of the model; `-` and `.` count as `_`, as in names of packages.

    Raises:
        ModelError: its files are not there, or two packages have a model of that name.
    """
    # a fiftieth of a second, of which most names of models know nothing
    from importlib.metadata import entry_points

    wanted = _plain_name(name)
    known = [
        point for point in entry_points(group=MODEL_GROUP) if _plain_name(point.name) == wanted
    ]
    if not known:
        return None

    # Equal folders are one package that is reachable by two entries of the path.
    folders = {_declared_folder(point) for point in known}
    if len(folders) > 1:
        places = " and ".join(sorted(map(str, folders)))
        raise ModelError(f"two installed packages have a model '{name}' ({places}): remove one")
    return folders.pop()


def _declared_folder(point: EntryPoint) -> Path:
    """Return the folder that an installed package declares; raise ModelError without its files."""
    package = point.dist
    files = {str(file) for file in (package.files if package else None) or ()}
    if package and point.value.isidentifier() and f"{point.value}/config.json" in files:
        folder = Path(str(package.locate_file(point.value)))
        if (folder / "config.json").is_file():
            return folder
    owner = package.name if package else point.name
    raise ModelError(
        f"the installed model '{point.name}' is damaged: pip install --force-reinstall {owner}"
    )


def _plain_name(name: str) -> str:
    """Return a name with one spelling of what parts its words."""
    return re.sub(r"[-_.]+", "_", name).lower()


def spellings(name: str) -> list[str]:
    """Return every spelling under which a published model may be stored, the given one first.

    `CenIA/distillbert-x` also gives `dccuchile/distilbert-x`;
    `dccuchile/albert-base-4-spanish-finetuned-ner` also gives `...-distilled-ner` (only base-n: a
    tiny `finetuned` and a tiny `distilled` are two models).
    """
    organisation, slash, body = name.rpartition("/")

    # The author's own first names: albert-base-spanish-4 is albert-base-4-spanish of the
    # organisation.
    moved = re.fullmatch(r"albert-base-spanish-(\d+)(.*)", body)
    if organisation == "josecannete" and moved:
        return [name, *spellings(f"dccuchile/albert-base-{moved[1]}-spanish{moved[2]}")]
    if organisation in _BNE:
        return [name, *(f"{other}/{body}" for other in _BNE if other != organisation)]
    if organisation not in _ORGANISATIONS:
        return [name]

    # One l or two.
    bodies = [body]
    if body.startswith("distillbert-"):
        bodies.append("distilbert-" + body.removeprefix("distillbert-"))
    elif body.startswith("distilbert-"):
        bodies.append("distillbert-" + body.removeprefix("distilbert-"))

    # Distilled models that are listed as fine-tuned ones.
    base = re.fullmatch(r"(albert-base-\d+-spanish)-(finetuned|distilled)-(.+)", body)
    if base:
        other = "distilled" if base[2] == "finetuned" else "finetuned"
        bodies.append(f"{base[1]}-{other}-{base[3]}")

    organisations = [organisation, *(o for o in _ORGANISATIONS if o != organisation)]
    return [f"{o}{slash}{b}" for o, b in product(organisations, bodies)]


def cache_root() -> Path:
    """Return the folder of everything that can be computed again.

    It is `$DESTILA_CACHE`, else `~/.cache/destila`.
    """
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "destila")


def offline() -> bool:
    """Tell whether `HF_HUB_OFFLINE` asks for the local hub cache only."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _snapshot(name: str, what: str, places: str) -> Path:
    """Return the folder of a hub repository, by the first spelling that exists.

    Args:
        name: of the repository.
        what: "model" or "tokenizer".
        places: where the name was looked up before, for the error.
    """
    hub = require("huggingface_hub", "train")
    known = spellings(name)
    wanted = _TOKENIZER_FILES + (_WEIGHTS if what == "model" else [])
    reason = ""

    for spelling in known:
        try:
            folder = _fetch(hub, spelling, wanted)
            if what == "model" and not any(folder.glob("*.safetensors")):
                folder = _fetch(hub, spelling, wanted + _OLD_WEIGHTS)
        # Every error of the hub and of the network derives from one of these two.
        except (OSError, ValueError) as error:
            reason = reason or str(error).strip().splitlines()[0]
            continue

        # A repository without any of the files makes an empty folder.
        if any(folder.iterdir()):
            return folder
        reason = reason or f"'{spelling}' holds none of {', '.join(wanted)}"

    mode, remedy = "the hub", "check the name and the connection"
    if offline():
        mode = "the local hub cache (HF_HUB_OFFLINE is set)"
        remedy = "unset HF_HUB_OFFLINE once to fetch it"
    # Some published weights are nowhere any more, whatever the connection.
    organisation, _, body = name.rpartition("/")
    if organisation in _BNE:
        remedy = (
            "RoBERTa-BNE was taken down by its organisations. A copy of yours goes to "
            f"$DESTILA_MODELS/{name}; what ALBETO's authors fine-tuned from it has names of their "
            f"own, dccuchile/{body}-finetuned-ner. For another model check name and connection"
        )
    raise ModelError(
        f"{places}, and {mode} has no {what} {' or '.join(known)} ({reason}): {remedy}, "
        "or give a local folder"
    )


def _fetch(hub: object, name: str, wanted: list[str]) -> Path:
    """Return the snapshot of one repository, with the files that are wanted of its top folder."""
    download = hub.snapshot_download  # type: ignore[attr-defined]
    local = offline()
    return Path(
        download(name, allow_patterns=wanted, ignore_patterns=["*/*"], local_files_only=local)
    )
