"""Data sets, one file each; the file name is the name in a recipe (`data = {use = "conll2002"}`).

A module opens with source, licence and known faults, and defines `TASK` ("classify", "tag" or
"span"), `LABELS` (the published order, or None for a user's own data), `Options` (what a recipe's
`data` table may hold) and `load(options) -> Dataset`. Loaders count in `Dataset.notes` whatever
they drop or repair. Published files are read from `root`, by default a folder under
`$DESTILA_DATA`; nothing is downloaded unless `root` says `hub:<owner>/<name>`. A user's own files:
`table` (CSV, TSV, JSON), `conll` (columns), `conllu`, `squad` (questions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from destila import config, plugins
from destila.errors import ConfigError
from destila.types import Dataset


def load(data: Mapping[str, Any]) -> Dataset:
    """Load the data set that a recipe's `data` table names: `use` and the plug-in's own options.

    Raises:
        ConfigError: `use` is missing or unknown, or an option is wrong.
        DataError: a file is missing or faulty.
    """
    if not isinstance(data.get("use"), str):
        known = plugins.names("datasets")
        raise ConfigError(f"data.use is missing: name a data set.{plugins.nearest('', known)}")
    module = plugins.find("datasets", data["use"], "TASK", "load", "Options")

    rest = {key: value for key, value in data.items() if key != "use"}
    dataset = module.load(config.build_config(module.Options, rest, where="data"))
    assert isinstance(dataset, Dataset)
    return dataset
