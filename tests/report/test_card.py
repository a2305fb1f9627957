from __future__ import annotations

import json

import pytest
import yaml

from destila.report.card import CardInfo, describe_folder, model_card
from destila.report.differences.intervals import interval

TORCH = frozenset({"config.json", "model.safetensors", "tokenizer.json"})
ONNX = frozenset({"config.json", "model.onnx", "tokenizer.json"})


def code(text):
    """The fenced blocks of a card by the way they are for."""
    parts = text.split("\n\nWith ")[1:]
    return {part.split(":\n")[0]: part.split("```python\n")[1].split("\n```")[0] for part in parts}


def head(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_head_is_yaml_that_hubs_read(record):
    made = model_card(CardInfo("x", "classify", TORCH, ("a", "b"), record(dataset="no: yes")))
    assert head(made) == {
        "language": "es",
        "license": "unknown",
        "library_name": "destila",
        "pipeline_tag": "text-classification",
        "tags": ["destila", "spanish", "distilled"],
        "datasets": ["no: yes"],
        "metrics": ["accuracy"],
    }


@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_a_folder_is_run_only_by_what_can_run_it(task):
    assert [*code(model_card(CardInfo("x", task, TORCH)))] == ["destila", "transformers"]
    assert [*code(model_card(CardInfo("x", task, ONNX)))] == ["destila", "onnxruntime"]
    assert [*code(model_card(CardInfo("x", task, frozenset({"model.openvino-int8.xml"}))))] == [
        "destila"
    ]
    assert code(model_card(CardInfo("x", task, frozenset({"config.json"})))) == {}
    made = model_card(CardInfo("x", task, ONNX, source="students/x/best"))
    assert [*code(made)] == ["destila", "transformers", "onnxruntime"]
    assert "`students/x/best`" in made
    assert '"WEIGHTS")' in code(made)["transformers"]


@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_every_way_is_three_lines_of_python(task):
    for lines in code(model_card(CardInfo("x", task, TORCH | ONNX))).values():
        assert lines.count("\n") == 2
        compile(lines, "card", "exec")


def test_the_graph_is_fed_the_inputs_it_has():
    assert '"mask"' not in model_card(CardInfo("x", "tag", ONNX, inputs=("input_ids",)))
    assert '"mask": numpy.array([e.attention_mask])' in model_card(CardInfo("x", "tag", ONNX))


def test_scores_have_the_interval_of_the_main_one(record):
    made = model_card(CardInfo("x", "classify", TORCH, record=record(right=60, total=100)))
    low, high = interval([record(right=60, total=100).items], "accuracy")
    assert f"| accuracy | 60.00 | [{100 * low:.2f}, {100 * high:.2f}] |" in made
    assert "On 100 examples of the test split of toy, seed 0." in made


def test_latency_is_told_with_its_conditions(record):
    made = model_card(CardInfo("x", "classify", TORCH, record=record()))
    assert (
        "- latency, real: median 4.00 ms, 95th percentile 8.00 ms (2 threads, batch 1, torch)"
        in made
    )
    assert "toy processor (avx2); 2 threads" in made
    assert "latency: not measured" in model_card(
        CardInfo("x", "classify", TORCH, record=record(latency=()))
    )


def test_what_is_not_known_is_called_unknown():
    made = model_card(CardInfo("x", "tag", TORCH))
    assert "- weights: unknown" in made
    assert "- training data: unknown" in made
    assert "Not tested: no record of this model." in made
    assert (
        model_card(CardInfo("x", "tag", TORCH, licence="Apache-2.0")).count("license: apache-2.0")
        == 1
    )


def test_a_folder_describes_itself(tmp_path, record):
    """A folder describes itself and a shipped data set its licence."""
    config = {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-PER"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "destila.json").write_text(json.dumps({"task": "tag", "max_length": 32}))
    info = describe_folder(tmp_path, "mine", record(task="tag", dataset="xnli_es"))
    assert (info.task, info.labels, info.max_length, info.data_licence) == (
        "tag",
        ("O", "B-PER"),
        32,
        "CC BY-NC 4.0",
    )
    assert describe_folder(tmp_path, "mine", record(dataset="table")).data_licence == "unknown"
    assert describe_folder(tmp_path, "mine").task == "tag"


def test_the_interval_narrows_with_more_examples(record):
    """The interval holds the score and narrows with more examples."""
    small, large = (
        interval([record(right=6 * n, total=10 * n).items], "accuracy") for n in (3, 300)
    )
    assert small[0] < large[0] < 0.6 < large[1] < small[1]
