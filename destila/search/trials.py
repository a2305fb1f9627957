"""Trials that many processes share: none is lost by a kill, none is done twice.

The store is Optuna's, in SQLite or PostgreSQL, with a heartbeat: a trial whose process has died is
failed after a minute and queued again with the same values. Each trial announces what it does by a
name, the digest of its filled recipe. Before it works it waits until every running trial with a
lower number has announced its own; if one of those, or a finished one, has its name, it takes that
answer and does nothing. So of several equal trials the one with the lowest number works.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError

from destila.errors import ConfigError, DestilaError
from destila.search.space import Dimension, Values, grid
from destila.study.planning.search_options import SearchOptions

log = logging.getLogger(__name__)

NAME = "name"
"""Attribute of a trial: the digest of what it does, announced before it begins."""
REPEATS = "repeats"
"""Attribute of a trial that did nothing: the number of the one that does the same."""
ERROR = "error"
"""Attribute of a trial that could not be finished: why."""
_SURPLUS = "surplus"
"""Attribute of a trial that came when there were enough."""

_HEARTBEAT = 10
"""Seconds between a working process's signs of life; after six of them it is dead."""
_ATTEMPTS = 5
"""Times that a store is opened until it is given up."""
_PAUSE = 0.2
"""Seconds between looks at what other processes do."""

Report = Callable[[float], None]
"""Tells the value of one evaluation; it raises `TrialPruned` where the trial is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialObjective:
    """What a trial does.

    Args:
        name: of values: equal names, equal results.
        train: returns the value of values; it reports its evaluations on the way.
    """

    name: Callable[[Values], str]
    train: Callable[[Values, Report], float]


def open_trials(url: str, name: str, options: SearchOptions, *, better: str) -> optuna.Study:
    """Return the trials of a search, made when the store does not have them yet.

    Args:
        url: of the store, e.g. "sqlite:///runs/ner/search.db".
        name: of the search in its store.
        options: sampler, pruning and seed.
        better: "higher" or "lower".

    Raises:
        ConfigError: the store cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tpe = options.sampler == "tpe"
    make = partial(
        optuna.create_study,
        study_name=name,
        # The values of a grid are all queued, so it draws nothing.
        sampler=optuna.samplers.TPESampler(seed=options.seed) if tpe else None,
        pruner=optuna.pruners.MedianPruner()
        if tpe and options.prune
        else optuna.pruners.NopPruner(),
        direction="maximize" if better == "higher" else "minimize",
        load_if_exists=True,
    )

    # Of two that make the tables of one store at once, one fails and finds them made.
    for attempt in range(_ATTEMPTS):
        try:
            return make(storage=_storage(url))
        except (SQLAlchemyError, StorageInternalError, ModuleNotFoundError, ValueError) as error:
            if attempt + 1 == _ATTEMPTS or isinstance(error, (ModuleNotFoundError, ValueError)):
                reason = str(error).splitlines()[0]
                raise ConfigError(f"store of trials {url}: {reason}; check --storage") from error
            time.sleep(_PAUSE)
    raise AssertionError("the last attempt returns or raises")


def _storage(url: str) -> RDBStorage:
    """Return a store with a heartbeat, in which several processes may write."""
    local = url.startswith("sqlite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a heartbeat is still called an experiment
        storage = RDBStorage(
            url,
            # SQLite's own wait for its lock is too short.
            engine_kwargs={"connect_args": {"timeout": 60}} if local else None,
            heartbeat_interval=_HEARTBEAT,
            grace_period=6 * _HEARTBEAT,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )

    # Python's driver reads before a transaction begins: two processes would take one waiting trial.
    if local:
        event.listen(storage.engine, "connect", _no_own_transactions)
        event.listen(storage.engine, "begin", _begin_at_once)
        storage.engine.dispose()
    return storage


def _no_own_transactions(connection: Any, _record: Any) -> None:
    """Stop the driver of SQLite from beginning transactions by itself."""
    connection.isolation_level = None


def _begin_at_once(connection: Connection) -> None:
    """Take SQLite's lock for writing when a transaction begins, before anything is read."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _fail_stale(trials: optuna.Study) -> None:
    """Queue the trials of processes that have died again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # still called an experiment
        optuna.storages.fail_stale_trials(trials)

    # One that died before its first sign of life has never announced a name either.
    oldest = datetime.now() - timedelta(seconds=6 * _HEARTBEAT)
    for trial in trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        started = trial.datetime_start
        if NAME not in trial.user_attrs and started is not None and started < oldest:
            trials.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def run_trials(
    trials: optuna.Study,
    space: Sequence[Dimension],
    options: SearchOptions,
    objective: TrialObjective,
    done: Callable[[int, int], None] | None = None,
) -> None:
    """Run trials until none is left, beside any other process that does the same.

    Args:
        trials: of the search.
        space: its dimensions.
        options: how many trials, and of which sampler.
        objective: what a trial does.
        done: called after each trial with how many are finished, and how many there are to be.
    """
    cells = _named_cells(space, objective) if options.sampler == "grid" else {}
    wanted = len(cells) or options.trials

    while True:
        finished = finished_trials(trials)
        if done is not None:
            done(min(len(finished), wanted), wanted)
        if cells:
            names = {trial.user_attrs[NAME] for trial in finished}
            missing = [values for name, values in cells.items() if name not in names]
        else:
            missing = [{}] * (wanted - len(finished))
        if not missing:
            return

        # What others work at may still fail, so it is waited for.
        states = [trial.state for trial in trials.get_trials(deepcopy=False)]
        running = states.count(TrialState.RUNNING)
        waiting = TrialState.WAITING in states
        if not waiting and running >= len(missing):
            _fail_stale(trials)
            time.sleep(_PAUSE)
            continue

        # The cells of a grid are queued by the first that comes; equal ones find each other.
        if cells and not waiting:
            for values in missing:
                stored = {each.key: each.stored(values[each.key]) for each in space}
                trials.enqueue_trial(stored)
        _run_one(trials, space, objective, limit=0 if cells else wanted)


def finished_trials(trials: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that are done or were pruned, in their order, each name once."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    finished = trials.get_trials(deepcopy=False, states=states)
    return [trial for trial in finished if not trial.user_attrs.keys() & {REPEATS, _SURPLUS}]


def _run_one(
    trials: optuna.Study, space: Sequence[Dimension], objective: TrialObjective, *, limit: int
) -> None:
    """Run the next trial; see `_answer`."""
    answered = []

    def answer(trial: optuna.Trial) -> float:
        """Answer a trial, and remember that only telling the store is left."""
        try:
            return _answer(trial, trials, space, objective, limit)
        finally:
            answered.append(trial.number)

    try:
        trials.optimize(answer, n_trials=1)
    except (ValueError, UpdateFinishedTrialError):
        # Another process has taken a process that stood still for dead, and its trial over.
        if not answered:
            raise
        log.warning("trial %d was taken over by another process", answered[0])


def _named_cells(space: Sequence[Dimension], objective: TrialObjective) -> dict[str, Values]:
    """Return the combinations of a grid by their names; equal ones are one."""
    return {objective.name(values): values for values in grid(tuple(space))}


def _answer(
    trial: optuna.Trial,
    trials: optuna.Study,
    space: Sequence[Dimension],
    objective: TrialObjective,
    limit: int,
) -> float:
    """Return the value of one trial, of its own work or of an equal one's.

    Args:
        trial: running.
        trials: of the search.
        space: its dimensions.
        objective: what a trial does.
        limit: trials that may be finished in all; 0: no limit.

    Raises:
        optuna.TrialPruned: it was stopped, failed, or is one too many.
    """
    values = {dimension.key: dimension.suggest(trial) for dimension in space}
    name = objective.name(values)

    # Its first sign of life before its name: what has a name can be seen to be dead.
    heart = trials._storage
    assert isinstance(heart, BaseHeartbeat), "open_trials makes no store without"
    heart.record_heartbeat(trial._trial_id)
    trial.set_user_attr(NAME, name)

    earlier = _earlier(trials, trial.number)
    if limit and sum(REPEATS not in each.user_attrs for each in earlier) >= limit:
        trial.set_user_attr(_SURPLUS, True)
        raise optuna.TrialPruned

    # Somebody has done the same, or is at it: that one's answer counts.
    for twin in earlier:
        if twin.user_attrs.get(NAME) == name and REPEATS not in twin.user_attrs:
            trial.set_user_attr(REPEATS, twin.number)
            if twin.state == TrialState.COMPLETE and twin.value is not None:
                return twin.value
            raise optuna.TrialPruned

    def report(value: float) -> None:
        """Hand an evaluation to the pruner."""
        trial.report(value, step=len(reported))
        reported.append(value)
        if trial.should_prune():
            raise optuna.TrialPruned

    # A training that cannot be done is an answer too: these values are no good.
    reported: list[float] = []
    try:
        return objective.train(values, report)
    except DestilaError as error:
        log.warning("trial %d, %s: %s", trial.number, _text(values), error)
        trial.set_user_attr(ERROR, str(error))
        raise optuna.TrialPruned from error


def _earlier(trials: optuna.Study, number: int) -> list[FrozenTrial]:
    """Return the trials before one that count, once all that run have announced their names."""
    counted = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
    while True:
        rows = trials.get_trials(deepcopy=False, states=counted)
        earlier = [each for each in rows if each.number < number]
        silent = [each for each in earlier if NAME not in each.user_attrs]
        if not any(each.state == TrialState.RUNNING for each in silent):
            return [each for each in earlier if NAME in each.user_attrs]

        # One of them may have died before it could.
        _fail_stale(trials)
        time.sleep(_PAUSE)


def _text(values: Mapping[str, Any]) -> str:
    """Return values in words, `train.lr = 0.0001, train.epochs = 3`."""
    return ", ".join(f"{key} = {value}" for key, value in values.items())
