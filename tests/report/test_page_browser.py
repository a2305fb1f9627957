"""The page in a real Chromium: it complains about nothing, asks the network for nothing, sorts, fits a phone, prints."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
from itertools import count

import pytest

from destila.report import page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH"
)


class Tab:
    """A tab of a headless Chromium by its DevTools protocol: a WebSocket (RFC 6455), text frames only."""

    def __init__(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            address = next(
                t["webSocketDebuggerUrl"] for t in json.load(answer) if t["type"] == "page"
            )
        path = address.split(f":{port}", 1)[1]
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"Host: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\n{head}\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        while self.file.readline().strip():
            pass
        self.numbers, self.events = count(1), []

    def call(self, method, **params):
        """The result of a command; events that arrive before it are kept."""
        number = next(self.numbers)
        self._send(json.dumps({"id": number, "method": method, "params": params}).encode())
        while (answer := self._receive()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def until(self, event):
        """Wait for an event."""
        while not any(e["method"] == event for e in self.events):
            self.events.append(self._receive())

    def run(self, code):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key, code):
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **text,
            )

    def close(self):
        self.file.close()
        self.socket.close()

    def _send(self, data):
        mask = os.urandom(4)
        size = (
            struct.pack(">BB", 0x81, 0x80 | len(data))
            if len(data) < 126
            else struct.pack(">BBH", 0x81, 0xFE, len(data))
        )
        self.socket.sendall(size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def _receive(self):
        parts, final = [], False
        while not final:
            first, size = self.file.read(2)
            size &= 0x7F
            size = {126: ">H", 127: ">Q"}.get(size, size)
            if isinstance(size, str):
                (size,) = struct.unpack(size, self.file.read(struct.calcsize(size)))
            parts.append(self.file.read(size))
            final = bool(first & 0x80)
        return json.loads(b"".join(parts))


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The DevTools port of a Chromium without a window, without a network."""
    profile = tmp_path_factory.mktemp("profile")
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    ]
    flags += ["--no-first-run", "--disable-background-networking", "--remote-allow-origins=*"]
    process = subprocess.Popen(
        [CHROMIUM, *flags, "about:blank"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    told, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
    while (
        not (told.exists() and "\n" in told.read_text())
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert told.exists(), "chromium did not start"
    yield int(told.read_text().split()[0])
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def study(record, latency):
    labels = [f"Etiqueta-{i}" for i in range(18)]  # as wide as the tables of parts of speech
    per_label = {
        label: {"precision": 0.5, "recall": 0.5, "f1": i / 20, "support": 9.0}
        for i, label in enumerate(labels)
    }
    details = {"per_label": per_label, "confusion": [[i * j for i in range(18)] for j in range(18)]}
    named = {"dataset": "conll2002", "details": details, "main": "entity_f1"}

    def one(role, model, score, ms, seed=0, **changes):
        plain = {
            "scores": {"entity_f1": score, "accuracy": 0.9},
            "items": (),
            "latency": (latency(ms),),
            **named,
        }
        return record(role, model, seed, **{**plain, **changes})

    return [
        one("teacher", "a-teacher-with-quite-a-long-name", 0.9, 100.0, params=109_000_000),
        *(one("distilled", "b", 0.8 + seed / 100, 9.0, seed) for seed in (0, 1)),
        one("finetuned", "b", 0.7, 10.0),
        one("baseline", "crf", 0.6, 1.0, params=0, macs={}),
    ]


@pytest.fixture
def tab(port, study, tmp_path):
    """The page of the study, with learning curves, on a phone of 360 by 740."""
    for record in study:
        part = "teachers" if record.role == "teacher" else "students"
        log = tmp_path / "runs" / part / record.run / "log.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text(
            "".join(
                json.dumps({"step": i, "loss": 9 / i, "main": i / 10}) + "\n" for i in (1, 2, 3)
            )
        )
    file = tmp_path / "report.html"
    file.write_text(page.study_page(study, "toy", tmp_path / "runs"), encoding="utf-8")
    made = Tab(port)
    for domain in ("Page", "Runtime", "Network", "Log", "Security"):
        made.call(f"{domain}.enable")
    made.call(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=740,
        deviceScaleFactor=2,
        mobile=True,
    )
    made.call("Page.navigate", url=file.as_uri())
    made.until("Page.loadEventFired")
    yield made
    made.close()


def test_the_page_logs_and_fetches_nothing(tab):
    """The page complains about nothing and asks the network for nothing."""
    tab.run("document.querySelectorAll('thead button').forEach((b) => b.click())")
    methods = [e["method"] for e in tab.events]
    assert "Page.loadEventFired" in methods
    assert not {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"} & set(
        methods
    )
    asked = [
        e["params"]["request"]["url"]
        for e in tab.events
        if e["method"] == "Network.requestWillBeSent"
    ]
    assert [url.split(":")[0] for url in asked if not url.startswith("data:")] == ["file"]


def test_the_page_could_not_ask_the_network_if_it_tried(tab):
    tab.run("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    tab.until("Log.entryAdded")
    said = [e["params"]["entry"]["text"] for e in tab.events if e["method"] == "Log.entryAdded"]
    assert any("Content Security Policy" in text for text in said)


@pytest.mark.parametrize("width", [320, 360, 400, 1280])
def test_nothing_is_wider_than_the_window(tab, width):
    """Nothing is wider than the window but inside a box of its own."""
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=740,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    assert tab.run("window.innerWidth") == width
    assert tab.run("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll('body *')].filter((e) => !e.closest('.box, svg, .hidden')
        && e.getBoundingClientRect().right > window.innerWidth + 0.5).map((e) => e.tagName)"""
    assert tab.run(outside) == []
    assert tab.run("document.querySelector('#confusion .box').scrollWidth > 400")


COLUMN = """(title) => {
  const head = [...document.querySelectorAll('#scores thead th')].find((th) => th.textContent.trim() === title);
  return [head.getAttribute('aria-sort'), ...[...document.querySelectorAll('#scores tbody tr')].map(
    (row) => row.cells[head.cellIndex].textContent)];
}"""


def test_a_click_on_a_heading_sorts_by_it(tab):
    """A click on a heading sorts by it and another turns it round."""
    click = "[...document.querySelectorAll('#scores thead button')].find((b) => b.textContent === 'entity F1').click()"
    assert tab.run(f"({COLUMN})('entity F1')") == [
        "none",
        "90.00",
        "80.50 ± 0.71",
        "70.00",
        "60.00",
    ]
    tab.run(click)
    assert tab.run(f"({COLUMN})('entity F1')") == [
        "descending",
        "90.00",
        "80.50 ± 0.71",
        "70.00",
        "60.00",
    ]
    tab.run(click)
    assert tab.run(f"({COLUMN})('entity F1')") == [
        "ascending",
        "60.00",
        "70.00",
        "80.50 ± 0.71",
        "90.00",
    ]


def test_missing_values_come_last_both_ways(tab):
    click = "[...document.querySelectorAll('#scores thead button')].find((b) => b.textContent === 'parameters').click()"
    tab.run(click)
    assert tab.run(f"({COLUMN})('parameters')") == [
        "descending",
        "109,000,000",
        "1,000",
        "1,000",
        "–",
    ]
    tab.run(click)
    assert tab.run(f"({COLUMN})('parameters')") == [
        "ascending",
        "1,000",
        "1,000",
        "109,000,000",
        "–",
    ]


def test_the_keyboard_reaches_a_heading_and_sorts(tab):
    for _ in range(40):
        tab.press("Tab", 9)
        if tab.run("document.activeElement.textContent") == "role":
            break
    tab.press("Enter", 13)
    assert tab.run(f"({COLUMN})('role')") == [
        "ascending",
        "baseline",
        "distilled",
        "finetuned",
        "teacher",
    ]


def test_text_of_the_figures_stays_legible_on_a_phone(tab):
    heights = tab.run(
        "[...document.querySelectorAll('figure svg text')].map((t) => t.getBoundingClientRect().height)"
    )
    assert len(heights) > 50
    assert min(heights) > 8


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_light_and_in_dark(tab, scheme):
    tab.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    ratio = """(() => {
      const luminance = (text) => {
        const part = text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
          .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
      };
      const ground = luminance(getComputedStyle(document.body).backgroundColor);
      return [...document.querySelectorAll('p, li, a, h1, th, td:not(.confusion td), figcaption, svg text')].map((e) => {
        const style = getComputedStyle(e);
        const own = luminance(e.tagName === 'text' ? style.fill : style.color);
        return (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
      });
    })()"""
    ratios = tab.run(ratio)
    assert len(ratios) > 100
    assert min(ratios) >= 4.5  # WCAG 2.2, 1.4.3


def test_paper_shows_what_is_folded_and_cuts_no_table_off(tab):
    tab.run("dispatchEvent(new Event('beforeprint'))")
    assert tab.run("document.querySelectorAll('details:not([open])').length") == 0
    tab.run("dispatchEvent(new Event('afterprint'))")
    assert tab.run("document.querySelectorAll('details:not([open])').length") == 3
    tab.call("Emulation.setEmulatedMedia", media="print")
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=718,
        height=1047,
        deviceScaleFactor=1,
        mobile=False,
    )  # A4
    wide = "[...document.querySelectorAll('.box')].filter((b) => b.scrollWidth > b.clientWidth + 1)"
    assert tab.run(f"{wide}.map((b) => [b.ariaLabel, b.scrollWidth, b.clientWidth])") == []
