"""The space of a search: keys of a recipe, and the values each may take."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from destila import config
from destila.config import Options, opt
from destila.errors import ConfigError
from destila.study.planning.search_options import SearchOptions

if TYPE_CHECKING:
    from optuna import Trial

Values = dict[str, Any]
"""A value for every key of a space, `{"train.lr": 1e-4, "train.epochs": 3}`."""


MOST_COMBINATIONS = 10_000
"""Of a grid: each is a training, and all are listed before the first."""


class ValueRange(Options):
    """Numbers between two ends, both included; whole ones where both ends are."""

    low: float = opt(..., "the least")
    high: float = opt(..., "the most")
    log: bool = opt(False, "drawn evenly in the logarithm")
    step: float | None = opt(None, "distance between neighbours; none = any number", gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> ValueRange:
        """Raise ValueError where no number, or no logarithm, can be drawn."""
        if self.low > self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log = true needs low above 0 and no step")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One key of the recipe.

    Args:
        key: dotted, as for `--set`, e.g. "train.lr".
        choices: its values; () for a range.
        range: its ends; None for a list of values.
        whole: only whole numbers of the range.
    """

    key: str
    choices: tuple[Any, ...] = ()
    range: ValueRange | None = None
    whole: bool = False

    @property
    def first(self) -> Any:
        """Its first choice, or the low end of its range."""
        if self.range is None:
            return self.choices[0]
        return int(self.range.low) if self.whole else self.range.low

    def suggest(self, trial: Trial) -> Any:
        """Return the value that a trial is to take."""
        if self.range is None:
            # A choice may be a table; the store knows only numbers and texts.
            texts = [json.dumps(choice, ensure_ascii=False) for choice in self.choices]
            return json.loads(str(trial.suggest_categorical(self.key, texts)))

        low, high, step, log = (
            self.range.low,
            self.range.high,
            self.range.step,
            self.range.log,
        )
        if self.whole:
            return trial.suggest_int(self.key, int(low), int(high), step=int(step or 1), log=log)
        return trial.suggest_float(self.key, low, high, step=step, log=log)

    def stored(self, value: Any) -> Any:
        """Return a value as the store of trials holds it."""
        return json.dumps(value, ensure_ascii=False) if self.range is None else value


def read_space(options: SearchOptions, where: str) -> tuple[Dimension, ...]:
    """Return the dimensions of a `[search]` table, in its order.

    Args:
        options: the table.
        where: the recipe's path, for messages.

    Raises:
        ConfigError: a key has no values, or a grid has a range or too many combinations.
    """
    space = tuple(_dimension(key, value, options, where) for key, value in options.space.items())
    if options.sampler == "grid":
        combinations = prod(len(dimension.choices) for dimension in space)
        if combinations > MOST_COMBINATIONS:
            raise ConfigError(
                f"{where}: search.space has {combinations:,} combinations, a grid at most "
                f"{MOST_COMBINATIONS:,}: give fewer values, or sampler = 'tpe' and `trials`"
            )
    return space


def grid(space: tuple[Dimension, ...]) -> list[Values]:
    """Return every combination of a space of lists, the last key changing fastest."""
    keys = [dimension.key for dimension in space]
    product = itertools.product(*(dimension.choices for dimension in space))
    return [dict(zip(keys, values, strict=True)) for values in product]


def overrides(values: Mapping[str, Any]) -> list[str]:
    """Return values as `--set` takes them."""
    return [config.override(key, value) for key, value in values.items()]


def _dimension(key: str, value: Any, options: SearchOptions, where: str) -> Dimension:
    """Return the dimension of a key."""
    name = f"search.space: '{key}'"
    if isinstance(value, list):
        if not value:
            raise ConfigError(f"{where}: {name} has no values: give it some, e.g. [1e-4, 2e-4]")
        return Dimension(key=key, choices=tuple(value))
    if not isinstance(value, dict):
        raise ConfigError(
            f"{where}: {name} = {value!r} is no list of values and no table of low and high"
        )

    # A range has no combinations that could all be tried.
    limits = config.build_config(ValueRange, value, where=f"{where}: {name}")
    if options.sampler == "grid":
        raise ConfigError(
            f"{where}: {name} is a range, and a grid needs a list of values "
            "(or take sampler = 'tpe')"
        )
    ends = [value["low"], value["high"], value.get("step", 1)]
    return Dimension(key=key, range=limits, whole=all(isinstance(end, int) for end in ends))
