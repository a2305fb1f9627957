"""The web folder in a real Chromium: destila.js answers as Python does, and asks no other host."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import time

import pytest

from destila import hub
from destila.errors import ConfigError
from destila.exporting.web.npm_runtime import NPM_PACKAGES, web_runtime
from destila.exporting.web.web_files import write_web
from destila.inference.labeller import Labeller
from tests.fixtures.browser import Tab, needs_chromium, port  # noqa: F401 - port is a fixture
from tests.inference.conftest import LABELS, exported  # noqa: F401 - a fixture

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
ODD = [
    "",
    " ",
    "😀",
    "a😀b 👩‍👩‍👧 🇪🇸 niño 👍🏽 fin",
    "cafe\u0301 man\u0303ana PINGU\u0308INO",
    "El Sr. J. Pérez (EE.UU.) pagó 3,5 € a las 12:30; ¿p.ej.? ¡Sí!",
    "correo: ana.b@x.es, https://destila.example/a?b=c. #tema @ana 1.º 2ª",
    "dos  blancos\ty\u00a0uno\u2003ancho\nlínea",
    "日本語 y العربية y ελληνικά",
    "palabra" * 40,
    "«—…» 50% x²+y² O'Higgins n-gramas --- ...",
    "\ud83d hola",
]


@pytest.fixture(scope="module")
def runtime():
    """The libraries, where npm or the cache has them."""
    try:
        return web_runtime()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture
def opened(exported, runtime, port):  # noqa: F811
    """Serve the web folder of a random model as static files and open it: (tab, folder, address)."""
    closing = []

    def open_page(task, **shape):
        folder = exported(task, positions=128, **shape)
        write_web(folder, runtime)
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = Tab(port)
        closing.append((server, tab))
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", **PHONE)
        address = f"http://127.0.0.1:{server.server_port}/"
        tab.call("Page.navigate", url=address)
        tab.until("Page.loadEventFired")
        wait_for(tab, "document.querySelector('#answer').children.length > 0")
        return tab, folder, address

    yield open_page
    for server, tab in closing:
        tab.close()
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of static files that says nothing."""

    def log_message(self, *_):
        pass


def wait_for(tab, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not tab.run(condition):
        assert time.monotonic() < deadline, tab.run("document.body.innerText")
        time.sleep(0.05)


def answers_of(tab, rows):
    """What destila.js says of rows, asked in parts that a WebSocket frame holds."""
    tab.run(
        "import('/destila.js').then((m) => m.load('/')).then((m) => { window.model = m; }),"
        " window.answers = [], 0"
    )
    wait_for(tab, "window.model !== undefined")
    for i in range(0, len(rows), 20):
        part = json.dumps(rows[i : i + 20])
        tab.run(
            f"model.predict({part}).then((a) => answers.push(...a), (e) => answers.push(...Array(99).fill(String(e)))), 0"
        )
        wait_for(tab, f"answers.length >= {min(len(rows), i + 20)}", 300)
    return [json.loads(tab.run(f"JSON.stringify(answers[{i}])")) for i in range(len(rows))]


def same(answer, expected, place):
    """Probabilities to a thousandth, everything else equal."""
    if isinstance(expected, dict):
        assert answer.keys() >= expected.keys(), (place, answer)
        for key, value in expected.items():
            same(answer[key], value, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(answer) == len(expected), (place, answer, expected)
        for i, value in enumerate(expected):
            same(answer[i], value, f"{place}[{i}]")
    elif isinstance(expected, float):
        assert answer == pytest.approx(expected, abs=1e-3), place
    else:
        assert answer == expected, place


def texts(lines, count):
    """Texts of many lengths: odd ones, and lines put together."""
    made = [
        " ".join(lines[(i * j) % len(lines)] for j in range(1, 2 + i % 9)) for i in range(count)
    ]
    return (ODD + made)[:count]


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("task", ["classify", "pair", "tag", "span"])
def test_answers_are_those_of_python(opened, lines, task):
    """300 texts, among them accents, emoji, odd blanks and texts of many windows.

    In the form that a web export has by default: of activations in int8 a last bit, which
    processors round differently, moves an answer by more than a thousandth.
    """
    tab, folder, _ = opened(task, default="int8-weights")
    asked = texts(lines, 300)
    if task == "pair":
        asked = [{"text": a, "pair": b} for a, b in zip(asked, reversed(asked), strict=True)]
    if task == "span":
        asked = [
            {"question": " ".join(a.split()[:4]), "context": b}
            for a, b in zip(asked, reversed(asked), strict=True)
            if b.strip() and a.strip() and len(a.split()[0]) < 100
        ]
    labeller = Labeller(folder, threads=1)
    expected = [answer.to_dict() | {"warning": None} for answer in labeller.answers(asked)]
    for row in expected:  # words for people; numbers of the rows of one call
        del row["warning"], row["id"]
    for i, (answer, row) in enumerate(zip(answers_of(tab, asked), expected, strict=True)):
        if "error" in row:  # in words of each side
            assert "error" in answer, (i, answer)
        else:
            same(answer, row, f"{i}")


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_the_page_asks_no_other_host_and_fits_a_phone(opened, task):
    tab, _, address = opened(task)
    events = {e["method"] for e in tab.events}
    urls = [
        e["params"]["request"]["url"]
        for e in tab.events
        if e["method"] == "Network.requestWillBeSent"
    ]
    assert {f"{address}web.json", f"{address}model.onnx"} <= {*urls}
    assert [url for url in urls if not url.startswith((address, "data:"))] == []
    assert "Runtime.exceptionThrown" not in events
    assert tab.run("document.documentElement.scrollWidth") <= PHONE["width"]
    assert "ms" in tab.run("document.querySelector('#time').textContent")


def test_a_tarball_that_was_changed_is_refused(tmp_path):
    for package in NPM_PACKAGES:
        (tmp_path / package.tarball).write_bytes(b"changed")
    with pytest.raises(ConfigError, match="as it was tested"):
        web_runtime(str(tmp_path))


def test_a_missing_tarball_says_how_to_get_it(tmp_path):
    with pytest.raises(ConfigError, match="npm pack onnxruntime-web@"):
        web_runtime(str(tmp_path))


def test_without_npm_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "cache_root", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="--web-runtime"):
        web_runtime()


def test_another_runtime_than_onnx_is_refused(exported):  # noqa: F811
    folder = exported("tag")
    facts = json.loads((folder / "export.json").read_text())
    facts["candidates"][0]["file"] = "model.fp32.onnx"
    (folder / "export.json").write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match="ONNX"):
        write_web(folder, {})
