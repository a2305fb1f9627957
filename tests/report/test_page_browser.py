"""The page in a real Chromium: it complains about nothing, asks the network for nothing, sorts, fits a phone, prints."""

from __future__ import annotations

import json

import pytest

from destila.report import page
from tests.fixtures.browser import Tab, needs_chromium, port  # noqa: F401 - port is a fixture

pytestmark = needs_chromium


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
def tab(port, study, tmp_path):  # noqa: F811
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
    texts = [e["params"]["entry"]["text"] for e in tab.events if e["method"] == "Log.entryAdded"]
    assert any("Content Security Policy" in text for text in texts)


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
    cut = """[...document.querySelectorAll('.box')].filter((e) => e.querySelector('table:not(.confusion)')
        && e.scrollWidth > e.clientWidth + 1).map((e) => e.ariaLabel)"""
    assert tab.run(cut) == []


COLUMN = """(title) => {
  const head = [...document.querySelectorAll('#scores thead th')].find((th) => th.textContent.trim() === title);
  return [head.getAttribute('aria-sort'), ...[...document.querySelectorAll('#scores tbody tr')].map(
    (row) => row.cells[head.cellIndex].textContent)];
}"""


COST = COLUMN.replace("#scores", "#cost")


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
    click = "[...document.querySelectorAll('#cost thead button')].find((b) => b.textContent === 'parameters').click()"
    tab.run(click)
    assert tab.run(f"({COST})('parameters')") == [
        "descending",
        "109,000,000",
        "1,000",
        "1,000",
        "–",
    ]
    tab.run(click)
    assert tab.run(f"({COST})('parameters')") == [
        "ascending",
        "1,000",
        "1,000",
        "109,000,000",
        "–",
    ]


def test_the_keyboard_reaches_a_heading_and_sorts(tab):
    for _ in range(40):
        tab.press("Tab", 9)
        if tab.run("document.activeElement.textContent") == "model":
            break
    tab.press("Enter", 13)
    assert tab.run(f"({COLUMN})('model')") == [
        "ascending",
        "a-teacher-with-quite-a-long-name (teacher)",
        "b (distilled)",
        "b (fine-tuned)",
        "crf (baseline)",
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
