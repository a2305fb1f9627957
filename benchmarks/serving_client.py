"""A load of requests over kept connections, cheap enough to run beside the server; prints JSON.

Each connection sends its next request when it has its answer; with --rate the requests come at
random times (Poisson) instead, whichever connection is free takes the oldest, and a request's time
begins when it should have been sent.

    python benchmarks/serving_client.py PORT PATH BODIES [--connections 8] [--requests 1000]
                                        [--rate R] [--expected FILE]

BODIES has a JSON body per line; EXPECTED the answer of each, byte for byte.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Load:
    """What the connections share: the requests that are due, and what came of them."""

    def __init__(
        self, requests: Sequence[bytes], expected: Sequence[bytes] | None, count: int
    ) -> None:
        self.requests, self.expected, self.count = requests, expected, count
        self.sent = 0
        self.due: deque[float] = deque()  # open loop: times at which requests should have been sent
        self.idle: list[Connection] = []
        self.seconds: list[float] = []
        self.wrong, self.statuses = 0, {}
        self.over = asyncio.get_running_loop().create_future()

    def note(self, number: int, seconds: float, status: bytes, body: bytes) -> None:
        """Keep what came of a request; the last one ends the load."""
        self.seconds.append(seconds)
        self.statuses[status.decode()] = self.statuses.get(status.decode(), 0) + 1
        if self.expected is not None and body != self.expected[number % len(self.expected)]:
            self.wrong += 1
        if len(self.seconds) == self.count:
            self.over.set_result(None)


class Connection(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self, load: Load, closed_loop: bool) -> None:
        self.load, self.closed_loop, self.received = load, closed_loop, bytearray()

    def connection_made(self, transport: Any) -> None:
        """Begin to ask."""
        self.transport = transport
        if self.closed_loop:
            self.ask(time.perf_counter())
        else:
            self.load.idle.append(self)

    def ask(self, since: float) -> None:
        """Send the next request; its time begins at `since`."""
        if self.load.sent < self.load.count:
            self.number, self.since = self.load.sent, since
            self.load.sent += 1
            self.transport.write(self.load.requests[self.number % len(self.load.requests)])

    def data_received(self, data: bytes) -> None:
        """Read an answer, and ask on when it is whole."""
        self.received += data
        head, gap, body = bytes(self.received).partition(b"\r\n\r\n")
        if not gap:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.received.clear()
        now = time.perf_counter()
        self.load.note(self.number, now - self.since, head.split(b" ", 2)[1], body)
        if self.closed_loop:
            self.ask(now)
        elif self.load.due:
            self.ask(self.load.due.popleft())
        else:
            self.load.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the load with an error: no server may close a connection in use."""
        if not self.load.over.done():
            self.load.over.set_exception(exc or ConnectionError("the server closed a connection"))


async def _arrivals(load: Load, rate: float) -> None:
    """Let requests become due at random times."""
    at, draw = time.perf_counter(), random.Random(0)
    for _ in range(load.count):
        at += draw.expovariate(rate)
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        if load.idle:
            load.idle.pop(0).ask(at)
        else:
            load.due.append(at)


async def ask_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send all requests and return what they took."""
    head = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    bodies = arguments.bodies.read_bytes().splitlines()
    requests = [head.format(arguments.path, len(body)).encode() + body for body in bodies]
    expected = arguments.expected.read_bytes().splitlines() if arguments.expected else None
    load = Load(requests, expected, arguments.requests)

    loop, begin, cpu = asyncio.get_running_loop(), time.perf_counter(), time.process_time()
    connections = [
        await loop.create_connection(
            lambda: Connection(load, arguments.rate is None), "127.0.0.1", arguments.port
        )
        for _ in range(arguments.connections)
    ]
    arrivals = asyncio.ensure_future(_arrivals(load, arguments.rate)) if arguments.rate else None
    await load.over
    seconds = time.perf_counter() - begin
    if arrivals:
        await arrivals
    for transport, _ in connections:
        transport.abort()

    times = sorted(load.seconds)
    return {
        "requests_per_second": len(times) / seconds,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(0.99 * len(times))],
        "requests": len(times),
        "wrong": load.wrong,
        "statuses": load.statuses,
        "client_cpu_seconds": time.process_time() - cpu,
    }


def main() -> None:
    """Run the load of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--expected", type=Path)
    print(json.dumps(asyncio.run(ask_all(parser.parse_args()))))


if __name__ == "__main__":
    main()
