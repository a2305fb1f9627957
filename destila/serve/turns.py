"""In which order the texts of many requests are labelled.

Short texts and long ones wait in two lanes. After a long text all the short ones that wait by then
come first, and only then the next long one: so a short text never waits for more than one long text
that is begun before it, and no stream of short ones keeps a long one waiting for ever. Within a
lane the requests take turns, text by text: a request of one text does not wait for all of a
request of a thousand. (The texts of one request wait one after the other, each by this rule.)
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Item = str | dict[str, Any]
"""A text, or an object with its parts, as `Labeller.predict` takes them."""

LONG = 1000
"""Characters from which on a text is long: about half of the longest window of an encoder."""


@dataclass(slots=True, eq=False)
class Order:
    """The texts of one request for one model.

    Args:
        model: its name.
        items: the texts.
        first: number of the first text in its request, which names it in its answer.
        done: all the answers, in order, or the error of a text that has none.
        answers: so far; None where there is none yet.
        left: texts that have no answer yet.
    """

    model: str
    items: list[Item]
    first: int
    done: Future[list[dict[str, Any]]] = field(default_factory=Future)
    answers: list[Any] = field(default_factory=list)
    left: int = 0

    def __post_init__(self) -> None:
        self.answers, self.left = [None] * len(self.items), len(self.items)
        # From now on nobody but the pool can end it: a future that runs cannot be cancelled.
        self.done.set_running_or_notify_cancel()


Place = tuple[Order, int]
"""One text: its request, and its place in it."""


@dataclass(slots=True)
class Lane:
    """Requests that take turns: each with the places of those of its texts that wait here."""

    waiting: int = 0
    requests: deque[tuple[Order, deque[int]]] = field(default_factory=deque)

    def add(self, order: Order, places: list[int]) -> None:
        """Let texts of a request wait."""
        if places:
            self.requests.append((order, deque(places)))
            self.waiting += len(places)

    def next(self) -> tuple[str, int]:
        """Return the model of the next text, and how many characters it has."""
        order, places = self.requests[0]
        return order.model, characters(order.items[places[0]])

    def take(self) -> Place:
        """Return the next text; its request goes to the end of the lane."""
        order, places = self.requests.popleft()
        place = places.popleft()
        if places:
            self.requests.append((order, places))
        self.waiting -= 1
        return order, place

    def drop(self, order: Order) -> None:
        """Let no text of a request wait any longer."""
        self.waiting -= sum(len(places) for each, places in self.requests if each is order)
        self.requests = deque(entry for entry in self.requests if entry[0] is not order)


class Turns:
    """The texts that wait, and which of them is next. Not safe for threads: the pool locks it."""

    def __init__(self) -> None:
        self._short, self._long = Lane(), Lane()
        # Short texts that still go before the next long one.
        self._before_long = 0

    def __len__(self) -> int:
        return self._short.waiting + self._long.waiting

    def add(self, order: Order) -> None:
        """Let the texts of a request wait, each in its lane."""
        lengths = [characters(item) for item in order.items]
        self._short.add(order, [i for i, length in enumerate(lengths) if length < LONG])
        self._long.add(order, [i for i, length in enumerate(lengths) if length >= LONG])

    def take(self, most: int = 1) -> list[Place]:
        """Return the next texts, all for one model.

        Args:
            most: how many short ones at most. Together they are no longer than a long one: a call
                for several costs less than a call for each, and nobody waits longer for it.
        """
        if self._before_long == LATER:
            self._before_long = self._short.waiting

        # How many short ones will be next is known when this one is over: they still come.
        if not self._short.waiting or (self._long.waiting and not self._before_long):
            self._before_long = LATER
            return [self._long.take()]

        # Short ones whose turn it is, or that keep no long one waiting.
        model, length = self._short.next()
        taken = [self._short.take()]
        while len(taken) < most and self._short.waiting:
            another, characters_more = self._short.next()
            length += characters_more
            if another != model or length > LONG:
                break
            taken.append(self._short.take())
        self._before_long = max(0, self._before_long - len(taken))
        return taken

    def drop(self, order: Order) -> None:
        """Let no text of a request wait any longer."""
        self._short.drop(order)
        self._long.drop(order)


LATER = -1
"""In place of a number of texts: counted when the next one is taken."""


def characters(item: Item) -> int:
    """Return how long a text is, with all its parts."""
    parts = item.values() if isinstance(item, dict) else [item]
    strings = (part if isinstance(part, list) else [part] for part in parts)
    return sum(len(string) for part in strings for string in part if isinstance(string, str))
