"""The colours of the pages that show answers: readable in both themes, by WCAG 2.2 (AA)."""

from __future__ import annotations

import re

import pytest

from destila.inference.answer_page import page_files


def themes() -> dict[str, dict[str, str]]:
    """The colours of page.css by their names: light, and dark over light."""
    css = page_files("destila.serve", ())["page.css"].decode()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", each)) for each in (light, dark)]
    return {"light": colours[0], "dark": colours[0] | colours[1]}


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' relative luminances, (L1 + 0.05) / (L2 + 0.05)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_norm():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_a_contrast_of_4_5(theme):
    colours = themes()[theme]
    pairs = [("ink", "paper"), ("soft", "paper"), ("paper", "accent")]  # the last: a button's
    pairs += [("ink", name) for name in colours if name.startswith("mark")]
    assert len(pairs) == 8
    low = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_edges_and_focus_have_a_contrast_of_3(theme):
    colours = themes()[theme]
    for name in ("line", "accent", "wrong"):
        assert contrast(colours[name], colours["paper"]) >= 3, name
