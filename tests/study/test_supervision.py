"""Terms that look inside a teacher, through a recipe: both task families, equal and other tokens, live and cached."""

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
from destila.study import estimate
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Run

SAME = 'students.0.tokenizer={kind = "bpe", vocab_size = 400}'
"""The student reads as the teacher does: a tokenizer trained from the same table."""

SHORT = ("data.train=48", "train.epochs=1", "compare=false", "teachers.0.train={epochs = 1}")


def distilled(path, *changes: str) -> tuple[Run, list[dict]]:
    """The study after training, and the log of its only distilled student."""
    steps = Run(Study(read(str(path), changes)))
    steps.train()
    log = steps.folder / "students" / "student-distilled-s0" / "log.jsonl"
    return steps, [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("data", ["demo_intents", "demo_tags"])
@pytest.mark.parametrize(
    ("changes", "terms", "logged"),
    [
        ((), '[{use = "kl", temperature = 2.0}, {use = "hidden", layers = "uniform"}]', {"kl", "hidden"}),
        ((), '[{use = "hidden", pool = "mean"}, {use = "cosine"}, {use = "kl"}]', {"kl", "hidden", "cosine"}),
        ((SAME,), '[{use = "kl"}, {use = "attention"}, {use = "cosine"}]', {"kl", "attention", "cosine"}),
        ((SAME,), '[{use = "hard"}, {use = "hidden", shared = true}, {use = "relation"}]', {"hard", "hidden", "relation"}),
    ],
)  # fmt: skip
def test_states_are_distilled_with_any_tokens_and_leave_no_trace_in_the_model(
    tiny, data, changes, terms, logged
):
    steps, log = distilled(tiny(data), *SHORT, *changes, f"distil.terms={terms}")
    assert all(logged <= set(line) for line in log)
    assert all(line[name] > 0 for line in log for name in logged)
    folder = steps.folder / "students" / "student-distilled-s0" / "best"
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = list(file.keys())
    assert names
    assert not [name for name in names if name.startswith(("loss", "student"))]
    assert hf.load(folder, head_required=True).report.extra == ()


def test_hidden_states_from_the_disk_teach_as_the_live_teacher_does(tiny, caplog):
    caplog.set_level(logging.INFO)
    terms = 'distil.terms=[{use = "hidden", pool = "mean"}, {use = "kl"}]'
    live, log = distilled(tiny("demo_tags"), *SHORT, terms, 'distil.states="live"')
    assert "teacher on the fly" in caplog.text
    assert "MB of weights" in caplog.text
    caplog.clear()
    cached, again = distilled(tiny("demo_tags"), *SHORT, terms, 'distil.states="cache"')
    assert "MB in half precision" in caplog.text
    assert "48 of 48 texts were new" in caplog.text
    assert "teacher on the fly" not in caplog.text
    assert again[-1]["loss"] == pytest.approx(log[-1]["loss"], rel=1e-2)
    keys = [steps._prepared(steps.recipe.students[0], 0, True)[1] for steps in (live, cached)]
    assert keys[0] != keys[1], "half precision is part of the result"


@pytest.mark.parametrize(
    ("terms", "limit", "said"),
    [
        ('[{use = "hidden"}, {use = "hard"}]', 0.001, "over distil.cache_limit_mb = 0.001"),
        ('[{use = "relation"}, {use = "hard"}]', 1000, "only hidden states are cached"),
    ],
)
def test_what_cannot_be_cached_comes_from_the_live_teacher_and_the_log_says_so(
    tiny, caplog, terms, limit, said
):
    caplog.set_level(logging.INFO)
    distilled(
        tiny("demo_tags"),
        *SHORT,
        f"distil.terms={terms}",
        'distil.states="cache"',
        f"distil.cache_limit_mb={limit}",
    )
    assert said in caplog.text
    assert "teacher on the fly" in caplog.text


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ('[{use = "attention"}]', "a wordpiece tokenizer of 400 pieces of its own"),
        (
            '[{use = "kl"}, {use = "hidden", pool = "token"}]',
            "train the student with the teacher's tokenizer",
        ),
        ('[{use = "hidden", layers = [[1, 3]]}]', "the teacher's 0 to 2"),
        ('[{use = "hidden", project = "never"}]', "the student is 16 wide and the teacher 32"),
        ('[{use = "relation"}]', "of a text to classify there is one"),
        ('[{use = "kl", pads = true}]', "is for questions"),
    ],
)
def test_what_the_models_cannot_do_is_refused_before_any_work(tiny, trained, terms, said):
    with pytest.raises(ConfigError) as caught:
        Run(Study(read(str(tiny()), (f"distil.terms={terms}",))))
    assert said in str(caught.value)
    assert trained == []


def test_the_estimate_counts_the_teacher_that_runs_beside_the_student(tiny, monkeypatch):
    monkeypatch.setattr(estimate, "_words_per_second", lambda *_: 100.0)

    def minutes(*changes: str) -> float:
        steps = Run(Study(read(str(tiny()), (*SHORT, *changes, "train.evaluations=0.01"))))
        return steps.estimate()["student-distilled-s0"]

    alone = minutes('distil.terms=[{use = "kl"}]')
    # the teacher has 2 layers of 32, the student 1 of 16, and a forward pass is a third of a step
    assert minutes(
        'distil.terms=[{use = "hidden"}, {use = "kl"}]', 'distil.states="live"'
    ) == pytest.approx(alone * (1 + 8 / 3), rel=0.01)
    assert (
        minutes('distil.terms=[{use = "hidden"}, {use = "kl"}]', 'distil.states="cache"') == alone
    )


def test_words_are_related_where_tokens_differ(tiny):
    _, log = distilled(tiny("demo_tags"), *SHORT, 'distil.terms=[{use = "relation"}, {use = "kl"}]')
    assert log[-1]["relation"] > 0


def test_a_stage_may_learn_hidden_states_alone(tiny):
    stages = 'distil.stages=[{name = "inside", terms = [{use = "hidden"}]}, {name = "answers", terms = [{use = "kl"}]}]'
    steps, log = distilled(tiny("demo_tags"), *SHORT, stages)
    assert "kl" in log[-1]
    first = steps.folder / "students" / "student-distilled-s0-inside" / "log.jsonl"
    assert "hidden" in json.loads(first.read_text().splitlines()[-1])


@pytest.fixture
def electra(tmp_path, bpe, monkeypatch):
    """A folder of an architecture that only transformers has, with random weights and the labels of the demo."""
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


def test_any_transformers_model_shows_hidden_states_and_attention_and_nothing_else(tiny, electra):
    folder = electra(Study(read(str(tiny("demo_tags")))).labels)
    given = (f'teachers=[{{model = "{folder}"}}]', *SHORT[:3])
    same = (*given, f"students.0.tokenizer={folder}")
    terms = '[{use = "hidden"}, {use = "cosine"}, {use = "kl"}]'
    for changes in (given, same):
        assert distilled(tiny("demo_tags"), *changes, f"distil.terms={terms}")[1][-1]["hidden"] > 0
    maps = '[{use = "attention", what = "probabilities"}, {use = "kl"}]'
    assert distilled(tiny("demo_tags"), *same, f"distil.terms={maps}")[1][-1]["attention"] > 0
    for use, kind in (("relation", "query"), ("attention", "scores")):
        with pytest.raises(ConfigError, match=f"does not show {kind}"):
            distilled(tiny("demo_tags"), *same, f'distil.terms=[{{use = "{use}"}}]')


def test_equal_tokens_in_shorter_windows_are_not_equal_and_the_message_says_why(tiny, electra):
    folder = electra(Study(read(str(tiny("demo_tags")))).labels)
    settings = Path(folder, "tokenizer_config.json")  # only the model's positions are few
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 512}))
    same = (
        f'teachers=[{{model = "{folder}"}}]',
        *SHORT[:3],
        f"students.0.tokenizer={folder}",
        "max_length=96",
    )
    maps = '[{use = "attention", what = "probabilities"}]'
    with pytest.raises(
        ConfigError,
        match=r"json, 64 tokens at once and .*, 96 tokens at once: .* max_length that both",
    ):
        distilled(tiny("demo_tags"), *same, f"distil.terms={maps}")
