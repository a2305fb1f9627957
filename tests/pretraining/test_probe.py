"""The probe: what a linear layer reads off frozen states, and what it says when the data are not here."""

from __future__ import annotations

import pytest
import torch

from destila.commands import probe as command
from destila.errors import ConfigError
from destila.models import heads, store
from destila.models.architecture import from_shape
from destila.pretraining import probe
from destila.pretraining.probe_options import ProbeOptions

SET = '''
from destila.config import Options as _Options
from destila.types import Dataset, Example

TASK, LABELS = "tag", ("DET", "NOUN", "VERB")
TAGS = {"el": "DET", "la": "DET", "niño": "NOUN", "guitarra": "NOUN", "comió": "VERB", "visitó": "VERB"}

class Options(_Options):
    """None."""

def load(options):
    found = []
    for i in range(60):
        words = [list(TAGS)[(i * k + k) % 6] for k in (1, 2, 3, 5, 7)]
        spans, at = [], 0
        for word in words:
            spans.append((at, at + len(word)))
            at += len(word) + 1
        found.append(Example(str(i), " ".join(words), words=tuple(spans), target=tuple(TAGS[w] for w in words)))
    return Dataset("toy", TASK, LABELS, SPLITS)
'''


@pytest.fixture
def toy_set(tmp_path):
    """A data set in which the word decides its part of speech."""
    path = tmp_path / "toy_set.py"
    path.write_text(
        SET.replace("SPLITS", '{"train": found[:40], "dev": found[40:]}'), encoding="utf-8"
    )
    return str(path)


@pytest.fixture
def encoder(bpe):
    config = from_shape(
        {"kind": "albert", "layers": 2, "hidden": 32, "heads": 2},
        vocab_size=bpe.vocab_size,
        pad_id=0,
    )
    return heads.build_model(config, "tag", ("O",), 0).encoder


def options(**values):
    return ProbeOptions(**{"train": 300, "dev": 60, "length": 64, "ner": "", "pos": ""} | values)


def test_what_the_states_tell_is_found(toy_set, encoder, bpe):
    found = probe.prepare_probe(options(pos=toy_set), bpe, 512).scores(encoder)
    assert set(found) == {"pos_accuracy"}
    assert found["pos_accuracy"] > 0.95


def test_states_that_tell_nothing_give_the_commonest_class(toy_set, encoder, bpe):
    with torch.no_grad():
        encoder.embeddings.word.weight.zero_()
        encoder.embeddings.position.weight.zero_()
    assert probe.prepare_probe(options(pos=toy_set), bpe, 512).scores(encoder)["pos_accuracy"] < 0.6


def test_entities_are_scored_and_a_probe_serves_again(encoder, bpe):
    """Entities are scored as entities and a probe serves again."""
    found = probe.prepare_probe(options(ner="demo_tags"), bpe, 512)
    first = found.scores(encoder)
    assert 0 < first["entity_f1"] < 1
    assert found.scores(encoder) == first


def test_the_encoder_stays_as_it_was(toy_set, encoder, bpe):
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    probe.prepare_probe(options(pos=toy_set), bpe, 512).scores(encoder.train())
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in encoder.parameters())


def test_windows_are_no_longer_than_the_encoder_reads(toy_set, bpe):
    shape = {"kind": "albert", "layers": 1, "hidden": 16, "heads": 2, "positions": 8}
    short = heads.build_model(
        from_shape(shape, vocab_size=bpe.vocab_size, pad_id=0), "tag", ("O",), 0
    ).encoder
    assert "pos_accuracy" in probe.prepare_probe(options(pos=toy_set), bpe, 8).scores(short)


def test_data_that_are_not_here_are_left_out_with_a_note(toy_set, encoder, bpe, monkeypatch):
    monkeypatch.delenv("DESTILA_DATA", raising=False)
    found = probe.prepare_probe(options(pos=toy_set, ner="conll2002"), bpe, 512)
    assert set(found.scores(encoder)) == {"pos_accuracy"}
    (note,) = found.notes
    assert note.startswith("no probe of entity_f1: no folder for conll2002")


def test_a_data_set_of_another_kind_is_refused(toy_set, bpe, tmp_path):
    with pytest.raises(
        ConfigError, match="'demo_tags' is scored by entity_f1, the probe wants pos_accuracy"
    ):
        probe.prepare_probe(options(pos="demo_tags"), bpe, 512)
    alone = tmp_path / "alone.py"
    alone.write_text(SET.replace("SPLITS", '{"dev": found}'), encoding="utf-8")
    with pytest.raises(ConfigError, match="'toy' has no examples in its train split"):
        probe.prepare_probe(options(pos=str(alone)), bpe, 512)


def test_the_softmax_is_the_minimum_of_its_loss():
    random = torch.Generator().manual_seed(0)
    states = torch.randn(200, 5, generator=random) * torch.tensor([1, 10, 0.1, 3, 1]) + 4
    gold = (
        (states[:, 0] > 4).long()
        + (states[:, 1] > 0).long()
        + torch.randint(2, (200,), generator=random)
    ) % 3
    linear = probe.fit_softmax(states, gold, 3, iterations=200, penalty=1e-3)
    spread = states.std(0, correction=0)
    weight = (linear.weight * spread).requires_grad_()
    bias = (linear.bias + linear.weight @ states.mean(0)).requires_grad_()
    scaled = (states - states.mean(0)) / spread
    loss = (
        torch.nn.functional.cross_entropy(scaled @ weight.T + bias, gold)
        + 0.5e-3 * weight.square().sum()
    )
    loss.backward()
    assert float(weight.grad.abs().max()) < 1e-3
    assert float(bias.grad.abs().max()) < 1e-3


def test_a_folder_is_probed_by_name(toy_set, bpe, tmp_path):
    config = from_shape(
        {"kind": "bert", "layers": 1, "hidden": 16, "heads": 2}, vocab_size=bpe.vocab_size, pad_id=0
    )
    store.save_model(heads.build_model(config, "tag", ("a", "b"), 0), bpe, tmp_path / "model")
    arguments = command.Config(model=str(tmp_path / "model"), pos=toy_set, ner="", length=64)
    found = command.run(arguments)
    assert found["scores"]["pos_accuracy"] > 0.9
    assert found["notes"] == []
