"""The report of pre-trainings: what it concludes from a log, and that its page is one whole file."""

from __future__ import annotations

import json
import re
import sys

import pytest

from destila.errors import DataError
from destila.report.pretraining import pretraining_log, pretraining_page, pretraining_report

EVENT = "the loss left its course: back to step 20, rate x 0.5"


def lines(gains, *, bits=2.0, event=False):
    """A log: a step and an evaluation every 10 steps, order gains as given."""
    for i, gain in enumerate(gains, 1):
        when = {"step": 10 * i, "tokens": 500_000 * i, "seconds": 50.0 * i}
        yield {
            **when,
            "stage": 0,
            "loss": 9.0 - i,
            "parts": {"hard": 8.0 - i, "order": 1.0},
            "lr": 1e-3 / i,
        }
        scores = {
            "mlm_loss": 8.0 - i,
            "bits_per_character": bits / i,
            "mlm_accuracy": 0.1 * i,
            "order_gain": gain,
        }
        yield {**when, "evaluation": scores | ({"pos_accuracy": 0.9} if i == len(gains) else {})}
    if event:
        yield {**when, "event": EVENT}


def write(folder, lines, *, torn=False):
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(
        text + ('{"step": 99, "tok' if torn else ""), encoding="utf-8"
    )


@pytest.fixture
def folder(tmp_path):
    """Two runs: `bags` stays on the plateau and has an event, `order` leaves it at the third evaluation."""
    study = tmp_path / "study"
    write(study / "bags", lines([0.01, 0.02, 0.03], event=True))
    write(study / "order", lines([0.01, 0.05, 0.4, 0.9], bits=1.8), torn=True)
    return study


def test_one_run_and_several_are_found_and_torn_lines_left_out(folder):
    assert [run.name for run in pretraining_log.read_pretrain_logs(folder)] == ["bags", "order"]
    (alone,) = pretraining_log.read_pretrain_logs(folder / "order")
    assert alone.series("order_gain") == [
        (500_000, 0.01),
        (1_000_000, 0.05),
        (1_500_000, 0.4),
        (2_000_000, 0.9),
    ]
    assert alone.series("mlm_loss", over="seconds")[-1] == (200.0, 4.0)
    assert alone.series("loss")[0] == (500_000, 8.0)
    assert alone.last["step"] == 40


def test_a_folder_without_a_log_is_refused(tmp_path):
    assert pretraining_log.read_pretrain_logs(tmp_path) == []
    with pytest.raises(DataError, match=r"has no log.jsonl of a pre-training"):
        pretraining_report.write_pretrain_report(tmp_path)


def test_it_says_who_reads_word_order_since_when(folder):
    sentences = pretraining_report.pretrain_verdicts(pretraining_log.read_pretrain_logs(folder))
    assert sentences == [
        "bags: does not read word order after 1.50 million tokens (order gain 0.03).",
        "order: reads word order, first seen after 1.50 million tokens (order gain now 0.90).",
        "Fewest bits per character in the end: order, 0.450.",
        "bags: left its course once, see the events.",
    ]


def test_run_that_lost_its_sense_of_order(tmp_path):
    """A run that lost its sense of order is not said to have it."""
    write(tmp_path, lines([0.01, 0.4, 0.05]))
    assert (
        "does not read word order after 1.50"
        in pretraining_report.pretrain_verdicts(pretraining_log.read_pretrain_logs(tmp_path))[0]
    )


def test_what_is_true_of_many_runs_is_said_once(tmp_path):
    for name, gain in (("a", 0.01), ("b", 0.02), ("c", 0.0), ("d", 0.03), ("e", 0.9)):
        write(tmp_path / name, lines([0.0, gain]))
    first, second, *_ = pretraining_report.pretrain_verdicts(
        pretraining_log.read_pretrain_logs(tmp_path)
    )
    assert first.startswith("e: reads word order")
    assert (
        second == "4 runs do not read word order in the end (order gain 0.03 at most): a, b, c, d."
    )


def test_the_markdown_has_the_end_the_way_and_the_events(folder):
    text = pretraining_report.pretrain_markdown(pretraining_log.read_pretrain_logs(folder), "study")
    assert "| order | 40 | 2.00 | 3.3 | 10,000 | 4.000 | 0.450 | 40.00 | 0.900 | 90.00 |" in text
    assert "## On the way: bags" in text
    assert "| 10 | 0.50 | 0.8 | 7.000 | 1.800 | 10.00 | 0.010 | – |" in text
    assert f"- bags, step 30: {EVENT}" in text
    assert "sentence order" not in text  # nobody measured it


def test_long_ways_are_thinned_but_keep_their_ends(tmp_path):
    write(tmp_path, lines([0.01] * 100))
    (way,) = [
        s
        for s in pretraining_report.pretrain_sections(pretraining_log.read_pretrain_logs(tmp_path))
        if s.key == "way-0"
    ]
    assert len(way.body) == 12
    assert [way.body[0][0], way.body[-1][0]] == ["10", "1,000"]


def test_rows_for_programs(folder):
    bags, order = pretraining_report.pretrain_rows(pretraining_log.read_pretrain_logs(folder))
    assert (bags["run"], bags["steps"], bags["tokens"], bags["order_gain"]) == (
        "bags",
        30,
        1_500_000,
        0.03,
    )
    assert order["pos_accuracy"] == 0.9


def test_the_page_draws_what_was_measured(folder):
    pytest.importorskip("jinja2")
    markdown, page = pretraining_report.write_pretrain_report(folder)
    text = page.read_text(encoding="utf-8")
    assert markdown.name == "report.md"
    titles = re.findall(r"<figcaption>([^.]+)\.", text)
    shown = (
        "Held-out loss",
        "Training loss",
        "Order gain",
        "Tokens found",
        "Learning rate",
    )  # nobody measured the rest
    assert titles == ["Bits per character", "Bits per character", *shown]
    assert (
        text.count('class="curve s0"') == text.count('class="curve s1"') == len(titles) + 1
    )  # the legend
    assert text.count('class="event s0"') == len(titles)
    assert 'class="event s1"' not in text
    anchors, ids = set(re.findall(r'href="#([^"]+)"', text)), set(re.findall(r'id="([^"]+)"', text))
    assert anchors <= ids
    assert len(anchors) == 5
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)


def test_names_are_escaped(folder):
    pytest.importorskip("jinja2")
    (folder / "bags").rename(folder / "<b>")
    runs = pretraining_log.read_pretrain_logs(folder)
    text = pretraining_page.pretrain_html(
        runs,
        "<i>",
        "",
        pretraining_report.pretrain_verdicts(runs),
        pretraining_report.pretrain_sections(runs),
    )
    assert "<b>" not in text
    assert "&lt;b&gt;: does not read" in text


def test_without_jinja2_there_is_the_markdown(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert [path.name for path in pretraining_report.write_pretrain_report(folder)] == ["report.md"]


def test_values_that_are_not_finite_are_not_drawn(tmp_path):
    write(
        tmp_path,
        [
            *lines([0.01, 0.02]),
            {"step": 25, "tokens": 10, "seconds": 1.0, "loss": float("nan"), "lr": 1.0},
        ],
    )
    (run,) = pretraining_log.read_pretrain_logs(tmp_path)
    assert len(run.series("loss")) == 2
    assert len(run.series("lr")) == 3
