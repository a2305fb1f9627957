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


@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_the_keyboard_alone_reaches_everything(opened, task):
    """Tab goes through the form from top to bottom, and each place shows that it has the focus."""
    tab, _ = opened(task)
    tab.run("document.activeElement.blur()")
    second = [] if task == "tag" else ["second"]
    for place in ["model", "text", *second, "submit"]:
        tab.press("Tab", 9)
        assert tab.run("document.activeElement.id || document.activeElement.type") == place
        outline = "(({outlineStyle, outlineWidth}) => outlineStyle + outlineWidth)"
        assert tab.run(f"{outline}(getComputedStyle(document.activeElement))") == "solid3px", place


def test_the_keyboard_alone_asks(opened):
    """Ctrl and Enter in the text, and Enter on the button, each bring the answer to a new text."""
    tab, address = opened("classify")
    tab.run("document.querySelector('#text').focus()")
    for text, press in (("Hola.", _press_ctrl_enter), ("Adiós, señor.", _press_button)):
        tab.run("document.querySelector('#text').select()")
        tab.call("Input.insertText", text=text)
        press(tab)
        answer = _predict(f"{address}/v1/models/classify/predict", {"text": text})
        best = max(answer["probabilities"].values())
        shown = "document.querySelector('#answer .bars .number')?.textContent"
        deadline = time.monotonic() + 30
        while tab.run(shown) != f"{100 * best:.1f} %":
            assert time.monotonic() < deadline, (tab.run(shown), best)
            time.sleep(0.05)
        tab.run("document.querySelector('#text').focus()")


def test_a_screen_reader_hears_names_and_answers(opened):
    """Every field has a name, and the answer's place is told when it changes."""
    tab, _ = opened("span")
    tab.call("Accessibility.enable")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    named = {}
    for node in nodes:
        role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value")
        named.setdefault(role, []).append(name)
    assert named["combobox"] == ["Model"]
    assert named["textbox"] == ["Question", "Context"]
    assert named["button"] == ["Ask"]
    assert tab.run("document.querySelector('#answer').getAttribute('aria-live')") == "polite"


def _press_ctrl_enter(tab):
    key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "modifiers": 2}
    for kind in ("rawKeyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, **key)


def _press_button(tab):
    while tab.run("document.activeElement.type") != "submit":
        tab.press("Tab", 9)
    tab.press("Enter", 13)


def _predict(url, row):
    request = urllib.request.Request(
        url, json.dumps(row).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)
