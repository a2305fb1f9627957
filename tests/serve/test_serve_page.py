"""The server's page in a real Chromium: it answers its sample, asks no other host, fits a phone."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from tests.fixtures.browser import Tab, needs_chromium, port  # noqa: F401 - port is a fixture

pytestmark = needs_chromium

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture
def opened(port, served):  # noqa: F811
    """Open the page of a model on a phone and wait for the sample's answer: (tab, address)."""
    tabs = []

    def open_page(task):
        address = served(task)
        tab = Tab(port)
        tabs.append(tab)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", **PHONE)
        tab.call("Page.navigate", url=f"{address}/")
        tab.until("Page.loadEventFired")

        # The page asks for the models first, then for the answer of its sample.
        deadline = time.monotonic() + 30
        while not tab.run("document.querySelector('#answer').children.length"):
            assert time.monotonic() < deadline, "the page shows no answer"
            time.sleep(0.05)
        return tab, address

    yield open_page
    for tab in tabs:
        tab.close()


def test_the_sample_is_answered_at_once(opened):
    """Labels and shares beside the bars are those of the API for the text in the form."""
    tab, address = opened("classify")
    text = tab.run("document.querySelector('#text').value")
    answer = _predict(f"{address}/v1/models/classify/predict", {"text": text})

    shown = tab.run("[...document.querySelectorAll('#answer .bars span')].map(e => e.textContent)")
    shares = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
    assert shown[0::2] == [label for label, _ in shares]
    assert [float(share.removesuffix(" %")) for share in shown[1::2]] == pytest.approx(
        [100 * share for _, share in shares], abs=0.051
    )


def test_a_tagged_sample_keeps_its_text(opened):
    """Marks and their labels are added to the text; nothing of it is lost or moved."""
    tab, _ = opened("tag")
    tab.run("document.querySelectorAll('#answer small').forEach((e) => e.remove())")
    assert tab.run("document.querySelector('#answer .marked').textContent") == tab.run(
        "document.querySelector('#text').value"
    )


def test_the_page_asks_no_other_host(opened):
    """Page, style, script, models and answer come from the server, and no script fails."""
    tab, address = opened("classify")
    requests = [e["params"] for e in tab.events if e["method"] == "Network.requestWillBeSent"]
    urls = [each["request"]["url"] for each in requests]
    assert {f"{address}/", f"{address}/answers.js", f"{address}/v1/models"} <= {*urls}
    assert [url for url in urls if not url.startswith(f"{address}/")] == []
    assert "Runtime.exceptionThrown" not in {e["method"] for e in tab.events}


@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_the_page_fits_a_phone(opened, task):
    tab, _ = opened(task)
    assert tab.run("window.innerWidth") == PHONE["width"]
    assert tab.run("document.documentElement.scrollWidth") <= PHONE["width"]


def _predict(url, row):
    request = urllib.request.Request(
        url, json.dumps(row).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)
