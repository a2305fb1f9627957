"""A recipe that wants texts made from its labelled ones: they are made once, labelled by the teacher and learnt from."""

from __future__ import annotations

import logging

import pytest

from destila import records
from destila.commands import data
from destila.errors import ConfigError
from destila.models import mlm, store
from destila.models.architecture import from_shape
from destila.study import augmented, testing
from destila.study.data import Study
from destila.study.recipe import read
from destila.study.run import Config, Run, run

FAST = ("baseline=false", "train.epochs=1", "compare=false")


@pytest.fixture(autouse=True)
def _no_subprocess(monkeypatch):
    """Peak memory is measured in a process of its own, which has its own tests."""
    monkeypatch.setattr(testing, "_peak_memory", lambda *_: 1)


@pytest.fixture
def masked(tmp_path, bpe):
    """The folder of a masked language model that nobody trained."""
    shape = {"kind": "albert", "layers": 1, "hidden": 16, "positions": 64, "init_range": 0.5}
    store.save_model(
        mlm.build(from_shape(shape, vocab_size=bpe.vocab_size, pad_id=bpe.pad_id), seed=1),
        bpe,
        tmp_path / "mlm",
    )
    return tmp_path / "mlm"


def said(caplog, start: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.msg.startswith(start)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fill", "swap"])
def test_made_texts_are_labelled_by_the_teacher_and_learnt_from(
    tiny, tmp_path, caplog, trained, masked, how, monkeypatch
):
    caplog.set_level(logging.INFO)
    options = f'{{kind="fill", model="{masked}", copies=2}}' if how == "fill" else '{kind="swap"}'
    arguments = Config(recipe=str(tiny("demo_tags")), set=(*FAST, f"distil.augment={options}"))
    run(arguments)
    (line,) = said(caplog, "augmentation")
    count = int(line.split()[1])
    assert line == f"augmentation: {count} new texts from 96 by {how}, made now"
    assert 20 < count <= (192 if how == "fill" else 96)
    assert [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")] == [96 + count]
    found = {r.role: r for r in records.read(tmp_path / "runs" / "tiny" / "record.jsonl")}[
        "distilled"
    ]
    assert found.details["notes"]["features"] >= 96 + count
    assert found.config["distil"]["augment"]["kind"] == how

    trained.clear()
    caplog.clear()
    monkeypatch.setattr(augmented, "fill", None)
    monkeypatch.setattr("destila.teachers.augment.swap_entities", None)
    run(arguments)
    assert (trained, said(caplog, "augmentation")) == ([], [])
    run(Config(recipe=arguments.recipe, set=(*arguments.set, "seeds=[1]")))
    assert said(caplog, "augmentation") == [
        f"augmentation: {count} new texts from 96 by {how}, made before"
    ]


def test_the_key_names_what_is_made_without_making_it(tiny, masked, monkeypatch):
    monkeypatch.setattr("destila.teachers.augment.load_or_make", None)

    def key(*changes: str) -> str:
        steps = Run(Study(read(str(tiny("demo_tags")), changes)))
        return steps._prepared(steps.recipe.students[0], 0, True)[1]

    found = [
        key(),
        key('distil.augment={kind="swap"}'),
        key('distil.augment={kind="swap", seed=1}'),
        key('distil.augment={kind="swap", share=0.5}'),
        key(f'distil.augment={{kind="fill", model="{masked}"}}'),
    ]
    assert len(set(found)) == 5


def test_the_report_on_data_says_how_many_texts_there_will_be(tiny, tmp_path):
    (tmp_path / "raw.txt").write_text("uno dos\ntres\ncuatro cinco\n")
    changes = (
        'distil.augment={kind="swap", copies=3}',
        f'distil.unlabelled="{tmp_path / "raw.txt"}"',
    )
    found = data.run(data.Config(recipe=str(tiny("demo_tags")), set=changes))[
        "texts_for_the_teacher"
    ]
    assert found["student"]["unlabelled"] == 3
    assert 0 < found["student"]["swap"] <= 288
    assert "texts_for_the_teacher" not in data.run(data.Config(recipe=str(tiny("demo_tags"))))


def test_stages_may_keep_made_texts_to_the_one_that_wants_them(tiny):
    stages = '[{name="made", data="unlabelled"}, {name="gold", data="labelled"}]'
    recipe = read(
        str(tiny("demo_tags")), ('distil.augment={kind="swap"}', f"distil.stages={stages}")
    )
    first, last = Run(Study(recipe))._distillation(recipe.students[0], 0).chain
    assert (first.made is None, first.labelled) == (False, False)
    assert (last.made, last.labelled) == (None, True)


@pytest.mark.parametrize(
    ("data_set", "options", "says"),
    [
        ("demo_intents", '{kind="swap"}', "needs B- and I- labels, which 'demo_intents' has not"),
        ("demo_tags", '{kind="fill"}', "kind = 'fill' needs `model`"),
        ("demo_tags", '{kind="swap", model="mini-es"}', "kind = 'swap' takes none"),
        ("demo_tags", '{kind="swap", share=0}', "distil.augment.share"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_training(tiny, trained, data_set, options, says):
    with pytest.raises(ConfigError) as error:
        run(Config(recipe=str(tiny(data_set)), set=(f"distil.augment={options}",)))
    assert says in str(error.value)
    assert trained == []
