"""Terms that look inside a teacher, through a recipe.

Tested with both task families, equal and other tokens, live and cached.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
import transformers
from safetensors import safe_open

from destila.errors import ConfigError
from destila.models import hf
from tests.fixtures.studies import distilled_key, run_recipe, study_of

SAME = 'students.0.tokenizer={kind = "bpe", vocab_size = 400}'
"""The student reads as the teacher does: a tokenizer trained from the same table."""

SHORT = ("data.train=48", "train.epochs=1", "compare=false", "teachers.0.train={epochs = 1}")


def distilled(path, *changes: str) -> tuple[Path, list[dict]]:
    """Train a study; return the folder of its only distilled student, and its log."""
    run_recipe(path, *changes, tested=False)
    folder = study_of(path, *changes).folder / "students" / "student-distilled-s0"
    lines = (folder / "log.jsonl").read_text().splitlines()
    return folder, [json.loads(line) for line in lines]


@pytest.mark.parametrize("data", ["demo_intents", "demo_tags"])
@pytest.mark.parametrize(
    ("changes", "terms", "logged"),
    [
        (
            (),
            '[{use = "kl", temperature = 2.0}, {use = "hidden", layers = "uniform"}]',
            {"kl", "hidden"},
        ),
        (
            (),
            '[{use = "hidden", pool = "mean"}, {use = "cosine"}, {use = "kl"}]',
            {"kl", "hidden", "cosine"},
        ),
        (
            (SAME,),
            '[{use = "kl"}, {use = "attention"}, {use = "cosine"}]',
            {"kl", "attention", "cosine"},
        ),
        (
            (SAME,),
            '[{use = "hard"}, {use = "hidden", shared = true}, {use = "relation"}]',
            {"hard", "hidden", "relation"},
        ),
    ],
)  # fmt: skip
def test_states_are_distilled_and_leave_no_trace(tiny, data, changes, terms, logged):
    """Any tokens will do, and the weights that terms learn are no part of the model."""
    folder, log = distilled(tiny(data), *SHORT, *changes, f"distil.terms={terms}")
    assert all(logged <= set(line) for line in log)
    assert all(line[name] > 0 for line in log for name in logged)
    with safe_open(folder / "best" / "model.safetensors", "pt") as file:
        names = list(file.keys())
    assert names
    assert not [name for name in names if name.startswith(("loss", "student"))]
    assert hf.load(folder / "best", head_required=True).report.extra == ()


def test_cached_states_teach_as_the_live_teacher(tiny, caplog):
    """Hidden states from the disk give the same loss, up to half precision.

    The precision is part of the key.
    """
    caplog.set_level(logging.INFO)
    path = tiny("demo_tags")
    terms = 'distil.terms=[{use = "hidden", pool = "mean"}, {use = "kl"}]'
    live = (*SHORT, terms, 'distil.states="live"')
    _, log = distilled(path, *live)
    assert "teacher on the fly" in caplog.text
    assert "MB of weights" in caplog.text

    caplog.clear()
    cached = (*SHORT, terms, 'distil.states="cache"')
    _, again = distilled(path, *cached)
    assert "MB in half precision" in caplog.text
    assert "48 of 48 texts were new" in caplog.text
    assert "teacher on the fly" not in caplog.text
    assert again[-1]["loss"] == pytest.approx(log[-1]["loss"], rel=1e-2)
    assert distilled_key(path, *live) != distilled_key(path, *cached)


@pytest.mark.parametrize(
    ("terms", "limit", "says"),
    [
        ('[{use = "hidden"}, {use = "hard"}]', 0.001, "over distil.cache_limit_mb = 0.001"),
        ('[{use = "relation"}, {use = "hard"}]', 1000, "only hidden states are cached"),
    ],
)
def test_what_cannot_be_cached_comes_live(tiny, caplog, terms, limit, says):
    """States of other kinds, or over the limit, come from the teacher on the fly.

    The log says so.
    """
    caplog.set_level(logging.INFO)
    cache = ('distil.states="cache"', f"distil.cache_limit_mb={limit}")
    distilled(tiny("demo_tags"), *SHORT, f"distil.terms={terms}", *cache)
    assert says in caplog.text
    assert "teacher on the fly" in caplog.text


def test_words_are_related_where_tokens_differ(tiny):
    """Relations of words need no equal tokens."""
    terms = 'distil.terms=[{use = "relation"}, {use = "kl"}]'
    _, log = distilled(tiny("demo_tags"), *SHORT, terms)
    assert log[-1]["relation"] > 0


def test_a_stage_may_learn_hidden_states_alone(tiny):
    """The first stage learns states, the second answers."""
    inside = '{name = "inside", terms = [{use = "hidden"}]}'
    answers = '{name = "answers", terms = [{use = "kl"}]}'
    folder, log = distilled(tiny("demo_tags"), *SHORT, f"distil.stages=[{inside}, {answers}]")
    assert "kl" in log[-1]
    first = folder.with_name(f"{folder.name}-inside") / "log.jsonl"
    assert "hidden" in json.loads(first.read_text().splitlines()[-1])


@pytest.fixture
def electra(tmp_path, bpe, monkeypatch):
    """A folder of an architecture that only transformers has.

    It has random weights and the labels of the demo.
    """
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def make(labels) -> str:
        sizes = {
            "hidden_size": 24,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 48,
        }
        config = transformers.AutoConfig.for_model(
            "electra", vocab_size=bpe.vocab_size, pad_token_id=bpe.pad_id, embedding_size=16,
            max_position_embeddings=64, id2label=dict(enumerate(labels)), **sizes,
        )  # fmt: skip
        torch.manual_seed(0)
        transformers.AutoModelForTokenClassification.from_config(config).save_pretrained(
            tmp_path / "electra"
        )
        bpe.save(tmp_path / "electra")
        return str(tmp_path / "electra")

    return make


def test_any_transformers_model_shows_some_states(tiny, electra):
    """Hidden states and attention, and nothing else."""
    folder = electra(study_of(tiny("demo_tags")).labels)
    given = (f'teachers=[{{model = "{folder}"}}]', *SHORT[:3])
    same = (*given, f"students.0.tokenizer={folder}")
    terms = 'distil.terms=[{use = "hidden"}, {use = "cosine"}, {use = "kl"}]'
    for changes in (given, same):
        assert distilled(tiny("demo_tags"), *changes, terms)[1][-1]["hidden"] > 0
    maps = 'distil.terms=[{use = "attention", what = "probabilities"}, {use = "kl"}]'
    assert distilled(tiny("demo_tags"), *same, maps)[1][-1]["attention"] > 0
    for use, kind in (("relation", "query"), ("attention", "scores")):
        with pytest.raises(ConfigError, match=f"does not show {kind}"):
            distilled(tiny("demo_tags"), *same, f'distil.terms=[{{use = "{use}"}}]')


def test_equal_tokens_in_shorter_windows_are_not_equal(tiny, electra):
    """Only the model's positions are few, and the message tells why the two cannot meet."""
    folder = electra(study_of(tiny("demo_tags")).labels)
    settings = Path(folder, "tokenizer_config.json")
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 512}))
    teacher = f'teachers=[{{model = "{folder}"}}]'
    same = (teacher, *SHORT[:3], f"students.0.tokenizer={folder}", "max_length=96")
    maps = '[{use = "attention", what = "probabilities"}]'
    message = r"json, 64 tokens at once and .*, 96 tokens at once: .* max_length that both"
    with pytest.raises(ConfigError, match=message):
        distilled(tiny("demo_tags"), *same, f"distil.terms={maps}")
