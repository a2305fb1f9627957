"""Teachers: our folders and transformers' own, their logits in our label order, refused when they do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from destila.errors import ModelError
from destila.models import heads, store
from destila.tasks.classify import TASK as CLASSIFY
from destila.tasks.tag import TASK as TAG
from destila.teachers.cache import Cache
from destila.teachers.teacher import load_teacher, match_labels
from destila.training.predict import TorchPredictor
from destila.types import Example

THEIRS = ["PER", "LOC", "O"]
OURS = ["LOC", "O", "PER"]
TEXTS = ["El niño comió en España el año pasado", "¡Hola! ¿Qué tal?"]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "initializer_range": 0.3,
}
# architectures that our encoder does not have, by how each treats types, positions and padding
OTHERS = {
    "electra": {"embedding_size": 16},
    "xlm-roberta": {"type_vocab_size": 1},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def save_theirs(folder, kind, task, tokenizer, labels=THEIRS, **changes):
    """A folder that transformers writes, with random weights, beside our tokenizer."""
    values = SIZES | OTHERS.get(kind, {}) | changes
    names = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.pad_id, **names, **values
    )
    auto = {
        "classify": transformers.AutoModelForSequenceClassification,
        "tag": transformers.AutoModelForTokenClassification,
        "mlm": transformers.AutoModelForMaskedLM,
    }[task]
    torch.manual_seed(0)
    model = auto.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def rewrite(folder, **changes):
    path = Path(folder) / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def words(text):
    spans, at = [], 0
    for word in text.split():
        spans.append((at, at + len(word)))
        at += len(word) + 1
    return tuple(spans)


def examples(task):
    return [
        Example(str(i), text, words=words(text) if task == "tag" else ())
        for i, text in enumerate(TEXTS)
    ]


def rows(teacher, task):
    family = TAG if task == "tag" else CLASSIFY
    predictor = TorchPredictor(
        teacher.model, teacher.tokenizer, family, OURS, max_length=teacher.max_length
    )
    return predictor.logits(examples(task))


def reference(folder, task, tokenizer):
    """What transformers itself answers, text by text, in its own label order."""
    auto = (
        "AutoModelForTokenClassification" if task == "tag" else "AutoModelForSequenceClassification"
    )
    model = getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32).eval()
    expected = []
    for example in examples(task):
        pieces = (
            tokenizer.words(example.text, example.words)
            if task == "tag"
            else tokenizer.text([example.text])
        )
        ids = [tokenizer.cls_id, *(i for p in pieces for i in p.ids.tolist()), tokenizer.sep_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].numpy()
        firsts = 1 + np.cumsum([0, *(len(p.ids) for p in pieces[:-1])])
        expected.append(logits[firsts] if task == "tag" else logits[None])
    return expected


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("kind", [*OTHERS, "bert"])
def test_any_architecture_answers_as_transformers_does(kind, task, tmp_path, unigram):
    """Any architecture answers as transformers does, in our label order."""
    folder = save_theirs(tmp_path, kind, task, unigram)
    teacher = load_teacher(folder, task, OURS)
    order = [THEIRS.index(label) for label in OURS]
    assert teacher.labels == tuple(OURS)
    for ours, wanted in zip(rows(teacher, task), reference(folder, task, unigram), strict=True):
        np.testing.assert_allclose(ours, wanted[:, order], atol=1e-4)


def test_known_architectures_run_in_our_own_encoder(tmp_path, wordpiece):
    """Known architectures run in our own encoder and others do not."""
    ours = load_teacher(save_theirs(tmp_path / "a", "bert", "tag", wordpiece), "tag", OURS)
    electra = load_teacher(save_theirs(tmp_path / "b", "electra", "tag", wordpiece), "tag", OURS)
    assert isinstance(ours.model, heads.Model)
    assert not isinstance(electra.model, heads.Model)


def test_a_folder_of_ours_is_a_teacher_with_its_rows_permuted(tmp_path, bpe):
    from destila.models import hf

    shape = {"kind": "albert", "layers": 2, "hidden": 32, "init_range": 0.3}
    model = hf.load(shape, tokenizer=bpe, task="tag", labels=THEIRS).model
    store.save_model(model, bpe, tmp_path / "m")
    teacher = load_teacher(tmp_path / "m", "tag", OURS)
    same = TorchPredictor(model, bpe, TAG, THEIRS, max_length=64).logits(examples("tag"))
    order = [THEIRS.index(label) for label in OURS]
    for ours, original in zip(rows(teacher, "tag"), same, strict=True):
        np.testing.assert_allclose(ours, original[:, order], atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_a_teacher_learns_nothing_and_drops_nothing(kind, tmp_path, wordpiece):
    teacher = load_teacher(save_theirs(tmp_path, kind, "classify", wordpiece), "classify", OURS)
    assert not teacher.model.training
    assert not any(p.requires_grad for p in teacher.model.parameters())
    assert teacher.params == sum(p.numel() for p in teacher.model.parameters()) > 0
    np.testing.assert_array_equal(rows(teacher, "classify")[0], rows(teacher, "classify")[0])


@pytest.mark.parametrize("kind", OTHERS)
def test_hidden_states_and_attentions_come_when_asked_for(kind, tmp_path, unigram):
    from destila.training.batches import collate

    teacher = load_teacher(save_theirs(tmp_path, kind, "tag", unigram), "tag", OURS)
    encoded = TAG.encode(examples("tag"), unigram, OURS, max_length=64)
    batch = collate(encoded.features, unigram.pad_id)
    with torch.no_grad():
        plain = teacher.model(batch)
        wanted = [("hidden", 0), ("hidden", 2), ("attention", 1)]
        full = teacher.model(batch, states=wanted)
    assert plain.states == {}
    assert list(full.states) == wanted
    assert [value.shape[-1] for value in full.states.values()] == [32, 32, batch.mask.shape[1]]
    assert full.states["attention", 1].shape[1] == 2
    assert torch.allclose(plain.logits[batch.mask], full.logits[batch.mask], atol=1e-4)


def test_the_length_limit_is_the_tighter_of_model_and_tokenizer(tmp_path, unigram):
    roomy = load_teacher(save_theirs(tmp_path / "a", "electra", "tag", unigram), "tag", OURS)
    tight = load_teacher(
        save_theirs(tmp_path / "b", "xlm-roberta", "tag", unigram, max_position_embeddings=40),
        "tag",
        OURS,
    )
    assert roomy.max_length == 64  # the tokenizer's
    assert tight.max_length == 40 - unigram.pad_id - 1  # positions begin behind the padding id
    assert roomy.spec(1000, TAG.unit_rule)["max_length"] == 64
    assert roomy.spec(30, TAG.unit_rule)["max_length"] == 30


# labels


def test_labels_match_by_name_then_without_case():
    assert match_labels(["b", "a"], ["a", "b"]) == [1, 0]
    assert match_labels(["NEUTRAL", "Entailment"], ["entailment", "neutral"]) == [1, 0]


def test_names_that_differ_in_case_alone_match_exactly():
    assert match_labels(["a", "A"], ["A", "a"]) == [1, 0]


def test_a_map_renames_theirs_and_leaves_the_rest():
    assert match_labels(["LABEL_0", "b"], ["b", "a"], mapping={"LABEL_0": "a"}) == [1, 0]


@pytest.mark.parametrize(
    ("teacher_labels", "ours", "mapping", "words"),
    [
        (
            ["LABEL_0", "LABEL_1"],
            ["a", "b"],
            None,
            "numbers its labels.*LABEL_0, LABEL_1; data a, b",
        ),
        (["a", "b"], ["a", "b", "c"], None, "teacher a, b; data a, b, c"),
        (["a", "b", "c"], ["a", "b"], None, "teacher a, b, c; data a, b"),
        ([], ["a", "b"], None, r"teacher \(none\); data a, b"),
        (["A", "a"], ["a", "b"], None, "other labels"),
        (["x", "y"], ["a", "b"], {"x": "a"}, "teacher x, y; data a, b"),
        (["x", "y"], ["a", "b"], {"z": "a"}, "the teacher has no label 'z'"),
        (["x", "y"], ["a", "b"], {"x": "aa"}, "the data has no label 'aa'.*'a'"),
        (["x", "y"], ["a", "b"], {"x": "a", "y": "a"}, "other labels"),
    ],
)
def test_labels_that_do_not_match_are_refused_with_both_lists(teacher_labels, ours, mapping, words):
    with pytest.raises(ModelError, match=words):
        match_labels(teacher_labels, ours, mapping=mapping)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_a_teacher_with_mapped_labels_answers_in_our_order(kind, tmp_path, wordpiece):
    named = load_teacher(save_theirs(tmp_path / "a", kind, "tag", wordpiece), "tag", OURS)
    numbered = save_theirs(
        tmp_path / "b", kind, "tag", wordpiece, labels=["LABEL_0", "LABEL_1", "LABEL_2"]
    )
    mapping = {"LABEL_0": "PER", "LABEL_1": "LOC", "LABEL_2": "O"}
    mapped = load_teacher(numbered, "tag", OURS, mapping=mapping)
    np.testing.assert_allclose(rows(mapped, "tag")[0], rows(named, "tag")[0], atol=1e-5)
    with pytest.raises(ModelError, match="numbers its labels"):
        load_teacher(numbered, "tag", OURS)


# what does not fit


def test_a_teacher_for_another_task_is_refused(tmp_path, wordpiece):
    folder = save_theirs(tmp_path, "bert", "classify", wordpiece)
    with pytest.raises(ModelError, match="is for 'classify', the data are for 'tag'"):
        load_teacher(folder, "tag", OURS)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_a_model_without_a_task_head_is_refused_with_the_remedy(kind, tmp_path, wordpiece):
    folder = save_theirs(tmp_path, kind, "mlm", wordpiece)
    with pytest.raises(ModelError, match=r"no head for 'tag'.*fine-tune it first"):
        load_teacher(folder, "tag", OURS)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_a_head_that_the_weights_lack_is_refused_by_name(kind, tmp_path, wordpiece):
    folder = save_theirs(tmp_path, kind, "mlm", wordpiece)
    named = json.loads((folder / "config.json").read_text())["architectures"][0].replace(
        "MaskedLM", ""
    )
    rewrite(folder, architectures=[named.removesuffix("For") + "ForTokenClassification"])
    with pytest.raises(ModelError, match="classifier"):
        load_teacher(folder, "tag", THEIRS)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_more_labels_in_config_than_in_weights_are_refused(kind, tmp_path, wordpiece):
    """More labels in the config than in the weights are refused."""
    folder = save_theirs(tmp_path, kind, "tag", wordpiece)
    more = [*THEIRS, "ORG"]
    rewrite(folder, id2label={str(i): label for i, label in enumerate(more)}, label2id=None)
    with pytest.raises(ModelError):
        load_teacher(folder, "tag", more)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_weights_that_are_not_finite_are_refused_by_name(kind, tmp_path, wordpiece):
    folder = save_theirs(tmp_path, kind, "tag", wordpiece)
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    with torch.no_grad():
        model.classifier.weight[0, 0] = torch.nan
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"classifier\.weight"):
        load_teacher(folder, "tag", OURS)


def test_weights_cut_short_are_one_clear_error(tmp_path, wordpiece):
    folder = save_theirs(tmp_path, "electra", "tag", wordpiece)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot load"):
        load_teacher(folder, "tag", OURS)


def test_a_tokenizer_of_another_model_is_refused(tmp_path, wordpiece, unigram):
    folder = save_theirs(tmp_path / "a", "xlm-roberta", "tag", wordpiece)  # pads with 1
    unigram.save(folder)  # pads with 0
    with pytest.raises(ModelError, match="padding id 1 in the model, 0 in the tokenizer"):
        load_teacher(folder, "tag", OURS)
    small = save_theirs(tmp_path / "b", "electra", "tag", unigram)
    wordpiece.save(small)
    with pytest.raises(ModelError, match="pieces, its embedding"):
        load_teacher(small, "tag", OURS)


# identity


def test_the_fingerprint_follows_weights_config_and_label_order(tmp_path, wordpiece):
    folder = save_theirs(tmp_path / "a", "electra", "tag", wordpiece)
    first = load_teacher(folder, "tag", OURS).fingerprint
    assert load_teacher(folder, "tag", OURS).fingerprint == first
    assert load_teacher(folder, "tag", THEIRS).fingerprint != first
    rewrite(folder, layer_norm_eps=1e-3)
    changed = load_teacher(folder, "tag", OURS).fingerprint
    assert changed != first
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    with torch.no_grad():
        model.classifier.bias += 1e-3
    model.save_pretrained(folder)
    assert load_teacher(folder, "tag", OURS).fingerprint not in (first, changed)


def test_a_copy_elsewhere_has_the_same_fingerprint(tmp_path, wordpiece):
    one = load_teacher(save_theirs(tmp_path / "a", "electra", "tag", wordpiece), "tag", OURS)
    two = load_teacher(save_theirs(tmp_path / "b", "electra", "tag", wordpiece), "tag", OURS)
    assert one.fingerprint == two.fingerprint
    assert one.source != two.source


def test_the_cache_asks_the_teacher_once(tmp_path, monkeypatch, wordpiece):
    """The cache gives back the logits of the teacher, which runs once."""
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    teacher = load_teacher(save_theirs(tmp_path / "m", "electra", "tag", wordpiece), "tag", OURS)
    cache = Cache.open(None, teacher.spec(None, TAG.unit_rule), len(OURS), "float32")
    predictor = TorchPredictor(
        teacher.model, teacher.tokenizer, TAG, OURS, max_length=teacher.max_length
    )
    assert cache.fill(examples("tag"), predictor.logits) == 2
    assert cache.fill(examples("tag"), predictor.logits) == 0
    for cached, live in zip(cache.rows(examples("tag")), rows(teacher, "tag"), strict=True):
        np.testing.assert_array_equal(cached, live)
