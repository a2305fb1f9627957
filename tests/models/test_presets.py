from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from destila.config import to_toml
from destila.errors import ConfigError
from destila.models.architecture import EncoderConfig, from_shape
from destila.models.heads import Model
from destila.models.presets import PRESETS, count_parameters

PUBLISHED = {
    "albeto-tiny": 5_345_075,
    "albeto-base-2": 11_813_891,
    "albeto-base-4": 11_813_891,
    "albeto-base-6": 11_813_891,
    "albeto-base-8": 11_813_891,
    "albeto-base-10": 11_813_891,
    "albeto-base": 11_813_891,
    "albeto-large": 17_815_043,
    "albeto-xlarge": 58_859_011,
    "albeto-xxlarge": 222_735_875,
    "beto-uncased": 109_853_187,
    "beto-cased": 109_853_187,
    "distilbeto": 67_324_419,
    "roberta-bne-base": 124_645_635,
    "roberta-bne-large": 355_359_747,
    "bertin": 124_645_635,
}


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_the_formula_gives_the_published_count_to_the_unit(name: str, count: int):
    assert count_parameters(PRESETS[name]) == count


def test_tiny_roberta_counts_as_published():
    """Tiny RoBERTa counts as published, with its two outputs per token."""
    assert count_parameters(PRESETS["tiny-roberta"], labels=2, task="tag") == 51_211_778


def test_every_preset_has_a_published_count():
    assert set(PRESETS) == {*PUBLISHED, "tiny-roberta"}


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("name", PRESETS)
def test_the_formula_equals_counting_the_modules(name: str, task: str):
    with torch.device("meta"):  # every tensor has a shape and none has memory
        model = Model(PRESETS[name], task, ("a", "b", "c"))
    assert sum(p.numel() for p in model.parameters()) == count_parameters(PRESETS[name], task=task)


@pytest.mark.parametrize("name", ["albeto-tiny", "albeto-base-2", "distilbeto"])
def test_a_preset_can_really_be_allocated(name: str):
    model = Model(PRESETS[name], "classify", ("a", "b", "c"))
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name]
    assert all(p.device.type == "cpu" for p in model.parameters())


def test_albeto_drops_out_in_its_classifier_alone():
    """ALBETO encoders have no dropout and their classifier has."""
    for name in (n for n in PRESETS if n.startswith("albeto")):
        config = PRESETS[name]
        assert (config.dropout, config.attention_dropout, config.classifier_dropout) == (
            0.0,
            0.0,
            0.1,
        )


def test_beto_pads_with_one_because_zero_is_its_mask():
    assert {PRESETS[name].pad_id for name in ("beto-uncased", "beto-cased", "distilbeto")} == {1}


def test_a_roberta_loses_the_positions_before_its_first():
    assert PRESETS["bertin"].max_length == 512
    assert PRESETS["beto-cased"].max_length == 512


def test_presets_and_formulas_import_no_torch():
    code = "import sys, destila.models.presets, destila.models.macs, destila.models.hf_config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_inline_shape_needs_only_kind_layers_and_hidden():
    config = from_shape({"kind": "albert", "layers": 2, "hidden": 256}, vocab_size=8000, pad_id=3)
    assert (config.heads, config.ffn, config.embedding, config.vocab_size, config.pad_id) == (
        4,
        1024,
        128,
        8000,
        3,
    )


def test_an_inline_shape_can_say_everything_else():
    config = from_shape(
        {"kind": "bert", "layers": 2, "hidden": 60, "heads": 3, "ffn": 77}, vocab_size=9, pad_id=0
    )
    assert (config.heads, config.ffn, config.embedding) == (3, 77, 60)


def test_an_inline_roberta_reads_as_many_tokens_as_the_others():
    assert (
        from_shape(
            {"kind": "roberta", "layers": 1, "hidden": 64}, vocab_size=9, pad_id=1
        ).max_length
        == 512
    )


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ({"kind": "albert", "layers": 2}, "hidden must be given"),
        ({"kind": "albert", "layers": 2, "hidden": 64, "haeds": 2}, "heads"),
        (
            {"kind": "bert", "layers": 2, "hidden": 64, "heads": 5},
            "heads = 5 does not divide hidden = 64",
        ),
        (
            {"kind": "bert", "layers": 2, "hidden": 64, "embedding": 32},
            "embedding = 32 must equal hidden",
        ),
        ({"kind": "gpt", "layers": 2, "hidden": 64}, "kind"),
        ({"kind": "bert", "layers": 2, "hidden": "big"}, "hidden = 'big'"),
    ],
)
def test_a_wrong_shape_is_refused_by_name(shape: dict, says: str):
    with pytest.raises(ConfigError, match=says):
        from_shape(shape, vocab_size=100, pad_id=0)


def test_a_preset_survives_toml():
    import tomllib

    config = PRESETS["albeto-tiny"]
    assert EncoderConfig(**tomllib.loads(to_toml(config))) == config
