"""A web export in a real Chromium: size, cold start, milliseconds a text, and equality with Python.

A cold start is a new Chromium with an empty profile that opens a page over 127.0.0.1: from the
page's first script to the loaded model, and on to the first answer. Then it labels the texts, whose
answers are compared with those of `destila predict` from the same folder: everything but numbers
must be equal, and the largest difference of two probabilities is said.

    python benchmarks/browser.py FOLDER --texts FILE [--limit 300] [--starts 5]
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from itertools import islice
from queue import Queue
from statistics import median
from typing import Any

from destila import hub
from destila.inference.labeller import Labeller
from destila.inference.user_texts import strings_of
from destila.measuring import machine

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const began = performance.now();
const { load } = await import("/destila.js");
const model = await load("/");
const loaded = performance.now();
const texts = await (await fetch("/texts")).json();
const asked = performance.now();
const answers = [await model.predict(texts[0])];
const first = performance.now();
for (const text of texts.slice(1)) answers.push(await model.predict(text));
const done = performance.now();
const rest = (done - first) / Math.max(texts.length - 1, 1);
await fetch("/done", { method: "POST", body: JSON.stringify({
  load_ms: loaded - began, first_ms: first - asked, text_ms: rest, answers }) });
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """The folder as static files, the page, its texts, and where it says what it measured."""

    texts: list[str]
    said: Queue[dict[str, Any]]

    def do_GET(self) -> None:
        """Answer with the page, the texts of this start, or a file of the folder."""
        known = {"/bench": ("text/html", PAGE), "/texts": ("application/json", "")}
        path = self.path.split("?")[0]
        if path not in known:
            super().do_GET()
            return
        kind, body = known[path]
        data = (body or json.dumps(self.texts)).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        """Take what the page measured."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.said.put(json.loads(body))

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def start(browser: str, address: str, said: Queue[dict[str, Any]]) -> dict[str, Any]:
    """What one new browser measures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [browser, *FLAGS, f"--user-data-dir={profile}", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return said.get(timeout=600)
        finally:
            process.terminate()
            process.wait(timeout=30)


def compare(ours: Any, theirs: Any, numbers: list[float]) -> bool:
    """Say whether answers are equal, numbers apart, whose differences are appended."""
    if isinstance(ours, float) and isinstance(theirs, int | float):
        numbers.append(abs(ours - theirs))
        return True
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(key in theirs and compare(ours[key], theirs[key], numbers) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        pairs = zip(ours, theirs, strict=False)
        return len(ours) == len(theirs) and all(compare(a, b, numbers) for a, b in pairs)
    return bool(ours == theirs)


def main() -> None:
    """Start browsers, compare, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--texts", required=True)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        parser.error("no chromium, chromium-browser or google-chrome on PATH")
    folder = hub.resolve(options.folder)
    texts = list(islice(strings_of([options.texts]), options.limit))

    handler = functools.partial(Handler, directory=str(folder))
    Handler.said = Queue()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/bench"

    # All but the last start are about the first answer alone.
    runs = []
    for i in range(options.starts):
        Handler.texts = texts if i == options.starts - 1 else texts[:1]
        runs.append(start(browser, address, Handler.said))
    server.shutdown()

    numbers: list[float] = []
    expected = [answer.to_dict() for answer in Labeller(folder, threads=1).answers(texts)]
    for row in expected:
        row.pop("id")  # each call of the page counts from nothing
    equal = [compare(e, a, numbers) for e, a in zip(expected, runs[-1]["answers"], strict=True)]
    print(
        json.dumps(
            {
                "megabytes": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6,
                "load_ms": median(run["load_ms"] for run in runs),
                "first_answer_ms": median(run["first_ms"] for run in runs),
                "text_ms": runs[-1]["text_ms"],
                "texts": len(texts),
                "equal": sum(equal),
                "largest_difference": max(numbers, default=0.0),
                "above_a_thousandth": sum(n > 1e-3 for n in numbers),
                "numbers": len(numbers),
                "cpu": machine.cpu(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
