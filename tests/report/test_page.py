from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import pytest

from destila.errors import MissingExtraError
from destila.report import page

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Checked(HTMLParser):
    """Balanced tags, ids, and every address that an attribute names."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.wrong = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [v for k, v in attrs if k in ("src", "href", "action", "srcset", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture
def study(record, latency):
    labels = {"per_label": {"sí": {"f1": 0.5, "support": 3.0}, "no": {"f1": 0.7, "support": 7.0}}}
    details = {**labels, "confusion": [[2, 1], [3, 4]]}
    return [
        record("teacher", "big", right=9, latency=(latency(20.0),), details=details),
        *(record("distilled", "tiny", seed, right=8 - seed, details=details) for seed in (0, 1)),
        record("finetuned", "tiny", right=6, details=details),
        record("baseline", "tfidf", right=5, macs={}, details=details),
    ]


def test_the_page_is_well_formed_and_names_nothing_outside(study):
    made = page.study_page(study, "toy")
    checked = Checked(made)
    assert (checked.wrong, checked.open) == ([], [])
    assert len(checked.ids) == len(set(checked.ids))
    assert not [link for link in checked.links if not link.startswith(("#", "data:"))]
    assert {link[1:] for link in checked.links if link.startswith("#")} <= set(checked.ids)
    assert "://" not in re.sub(r"http-equiv", "", made)
    assert "default-src 'none'" in made
    assert '<html lang="en">' in made


def test_the_page_has_the_sections_of_the_markdown_and_its_own(study):
    ids = Checked(page.study_page(study, "toy")).ids
    assert ids == [
        "headline",
        "scores",
        "gains",
        "labels",
        "confusion",
        "cost",
        "tradeoff",
        "conditions",
    ]


def test_names_from_records_cannot_write_html(record):
    evil = "<script>alert(1)</script>"
    labels = {"per_label": {evil: {"f1": 1.0, "support": 1.0}}, "confusion": [[1]]}
    made = page.study_page(
        [record(model=evil, details=labels), record("teacher", evil, right=9)], evil
    )
    assert evil not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made


def test_an_empty_study_has_a_page_that_says_so():
    assert "No records yet" in page.study_page([], "toy")


def test_records_without_latency_macs_or_details_have_a_page(record):
    made = page.study_page([record(latency=(), macs={}, items=())], "toy")
    assert Checked(made).ids == ["headline", "scores", "cost", "tradeoff", "conditions"]
    assert made.count("<figure>") == 1


def test_the_confusion_of_the_best_model_is_open(study):
    made = page.study_page(study, "toy")
    opened = re.findall(r"<details open>\s*<summary>(.*?)</summary>", made)
    assert opened == ["tiny (distilled) (seed 0)"]
    assert made.count("<details>") == 3


def test_label_names_are_marked_as_spanish(study):
    assert '<th scope="row" data-v="sí" lang="es"><span>sí</span></th>' in page.study_page(
        study, "toy"
    )


def test_curves_are_drawn_for_runs_that_left_a_log(study, tmp_path):
    log = tmp_path / "students" / study[1].run / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0, "main": 0.8}\n')
    made = page.study_page(study, "toy", tmp_path)
    assert "<h3>tiny (distilled)</h3>" in made
    assert made.count('aria-label="tiny: ') == 2


def test_where_dots_are_many_only_the_front_is_named(record, latency):
    def names(number):
        students = [
            record(model=f"m{i}", right=50 - i, total=100, latency=(latency(4.0 + i),))
            for i in range(number)
        ]
        made = page.study_page(
            [record("teacher", "big", right=99, total=100, latency=(latency(90.0),)), *students],
            "toy",
        )
        drawn = made.split("<figure>")[1].split("</figure>")[0]
        return re.findall(
            r"<text[^>]*>(m\d+|big)</text>", drawn
        ), "Only the front is named" in drawn

    assert names(3) == (["big", "m0", "m1", "m2"], False)
    assert names(12) == (["big", "m0"], True)


def test_published_scores_stand_beside_ours(record):
    made = [
        record(
            "finetuned", dataset="conll2002", main="entity_f1", scores={"entity_f1": 0.6}, items=()
        )
    ]
    text = page.study_page(made, "toy")
    assert "<title>albeto-xlarge, finetuned, slides-2023: 81.42</title>" in text
    assert "<title>tiny (fine-tuned), measured here: 60.00</title>" in text


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2,939,145", "2939145"),
        ("64.03 ± 0.51", "64.03"),
        ("9.41 (15.83)", "9.41"),
        ("2.35×", "2.35"),
        ("-0.33", "-0.33"),
        ("+0.68", "+0.68"),
        ("96.2 %", "96.2"),
        ("–", ""),
        ("mini-2", "mini-2"),
        ("81.42 [1]", "81.42"),
    ],
)
def test_columns_are_sorted_by_the_leading_number(cell, value):
    assert page.sort_value(cell) == value


def test_without_the_template_engine_the_error_names_the_extra(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"destila\[report\]"):
        page.study_page(study, "toy")
