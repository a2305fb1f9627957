"""A model folder on the Hugging Face hub."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from destila.errors import ModelError, require
from destila.report.card import CARD_FILE


def upload(
    folder: Path,
    name: str,
    card: Callable[[Path, str], str],
    *,
    private: bool,
    token: str | None,
) -> str:
    """Upload a model folder and its card in one commit; return the address.

    Args:
        folder: of the model; nothing is written to it.
        name: `organisation/model`, made where it does not exist.
        card: writes the card of a folder under a title; used where the folder has none.
        private: whether a repository that is made is its owner's alone.
        token: of the hub; None: the one that is kept on this machine.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ModelError: the hub refuses it.
    """
    hub = require("huggingface_hub", "train")
    api = hub.HfApi(token=token)
    with tempfile.TemporaryDirectory() as place:
        # All in one commit: a model is never there without its card.
        operations = [
            hub.CommitOperationAdd(path.relative_to(folder).as_posix(), str(path))
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        if not (folder / CARD_FILE).is_file():
            written = Path(place) / CARD_FILE
            written.write_text(card(folder, name.rpartition("/")[2]), encoding="utf-8")
            operations.append(hub.CommitOperationAdd(CARD_FILE, str(written)))

        # Those of the hub derive from OSError and from what its client raises where there is no
        # network; a large file that does not arrive is a RuntimeError.
        failures = (*hub.utils.HfHubHTTPError.__bases__, RuntimeError, ValueError)
        try:
            url = api.create_repo(name, private=private, exist_ok=True)
            api.create_commit(name, operations, commit_message="Upload a model of destila")
        except failures as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise ModelError(
                f"the hub does not take {folder} as '{name}' ({reason}): check the name, the "
                "connection, and that you are logged in (hf auth login)"
            ) from error
    return str(url)
