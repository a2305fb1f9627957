"""Texts that a recipe wants beside its labelled ones.

They are drawn from a file, or made once and labelled by the teacher.
"""

from __future__ import annotations

import logging

import pytest

from destila.commands import data
from destila.errors import ConfigError, DataError
from destila.models import mlm, store
from destila.models.architecture import from_shape
from destila.study.planning.recipe import read_recipe
from tests.fixtures.studies import distilled_key, plans_of, records_of, run_recipe, study_of

pytestmark = pytest.mark.usefixtures("fast_testing")

FAST = ("baseline=false", "train.epochs=1", "compare=false")


@pytest.fixture
def masked(tmp_path, bpe):
    """The folder of a masked language model that nobody trained."""
    shape = {"kind": "albert", "layers": 1, "hidden": 16, "positions": 64, "init_range": 0.5}
    config = from_shape(shape, vocab_size=bpe.vocab_size, pad_id=bpe.pad_id)
    store.save_model(mlm.build_masked_model(config, seed=1), bpe, tmp_path / "mlm")
    return tmp_path / "mlm"


def logged(caplog, start: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.msg.startswith(start)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fill", "swap"])
def test_made_texts_are_labelled_and_learnt_from(
    tiny, tmp_path, caplog, trained, masked, how, monkeypatch
):
    """The teacher labels the texts that are made, once; a second run finds them on disk."""
    caplog.set_level(logging.INFO)
    fill = f'{{kind="fill", model="{masked}", copies=2}}'
    options = fill if how == "fill" else '{kind="swap"}'
    path, changes = tiny("demo_tags"), (*FAST, f"distil.augment={options}")
    run_recipe(path, *changes)
    (line,) = logged(caplog, "augmentation")
    count = int(line.split()[1])
    assert line == f"augmentation: {count} new texts from 96 by {how}, made now"
    assert 20 < count <= (192 if how == "fill" else 96)
    calls = [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]
    assert calls == [96 + count]
    record = {r.role: r for r in records_of(tmp_path).values()}["distilled"]
    assert record.details["notes"]["features"] >= 96 + count
    assert record.config["distil"]["augment"]["kind"] == how

    trained.clear()
    caplog.clear()
    monkeypatch.setattr("destila.teachers.made_texts.fill.fill_words", None)
    monkeypatch.setattr("destila.teachers.made_texts.augment.swap_entities", None)
    run_recipe(path, *changes)
    assert (trained, logged(caplog, "augmentation")) == ([], [])
    run_recipe(path, *changes, "seeds=[1]")
    again = f"augmentation: {count} new texts from 96 by {how}, made before"
    assert logged(caplog, "augmentation") == [again]


def test_the_key_names_texts_without_making_them(tiny, masked, monkeypatch):
    """Every option of augmentation makes another key, and no text."""
    monkeypatch.setattr("destila.teachers.made_texts.augment.load_or_make", None)
    path = tiny("demo_tags")
    keys = [
        distilled_key(path),
        distilled_key(path, 'distil.augment={kind="swap"}'),
        distilled_key(path, 'distil.augment={kind="swap", seed=1}'),
        distilled_key(path, 'distil.augment={kind="swap", share=0.5}'),
        distilled_key(path, f'distil.augment={{kind="fill", model="{masked}"}}'),
    ]
    assert len(set(keys)) == 5


def test_data_command_counts_texts_for_the_teacher(tiny, tmp_path):
    """`destila data` tells how many texts there will be beside the training split."""
    (tmp_path / "raw.txt").write_text("uno dos\ntres\ncuatro cinco\n")
    changes = (
        'distil.augment={kind="swap", copies=3}',
        f'distil.unlabelled="{tmp_path / "raw.txt"}"',
    )
    path = str(tiny("demo_tags"))
    counts = data.run(data.Config(recipe=path, set=changes))["texts_for_the_teacher"]
    assert counts["student"]["unlabelled"] == 3
    assert 0 < counts["student"]["swap"] <= 288
    assert "texts_for_the_teacher" not in data.run(data.Config(recipe=path))


def test_a_stage_may_leave_made_texts_out(tiny):
    """Stages may keep made texts to the one that wants them."""
    stages = '[{name="made", data="unlabelled"}, {name="gold", data="labelled"}]'
    changes = ("compare=false", 'distil.augment={kind="swap"}', f"distil.stages={stages}")
    (plan,) = plans_of(tiny("demo_tags"), *changes)
    first, last = plan.chain
    assert (first.teaching.augmented is None, first.labelled) == (False, False)
    assert (last.teaching.augmented, last.labelled) == (None, True)


@pytest.mark.parametrize(
    ("data_set", "options", "says"),
    [
        ("demo_intents", '{kind="swap"}', "needs B- and I- labels, which 'demo_intents' has not"),
        ("demo_tags", '{kind="cross"}', "needs pairs, which 'demo_tags' has not"),
        ("demo_tags", '{kind="fill"}', "kind = 'fill' needs `model`"),
        ("demo_tags", '{kind="swap", model="mini-es"}', "the others take none"),
        ("demo_tags", '{kind="swap", share=0}', "distil.augment.share"),
    ],
)
def test_impossible_augmentation_is_refused_early(tiny, trained, data_set, options, says):
    """What cannot be made is refused before any training."""
    with pytest.raises(ConfigError) as error:
        run_recipe(tiny(data_set), f"distil.augment={options}")
    assert says in str(error.value)
    assert trained == []


def test_unlabelled_lines_come_from_the_data_folder(tiny, tmp_path, monkeypatch):
    """Lines are drawn from a file under the data folder.

    Those that the data set holds are left out.
    """
    monkeypatch.setenv("DESTILA_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "books").mkdir(parents=True)
    book = tmp_path / "data" / "books" / "a.txt"
    path = tiny("demo_tags")
    known = study_of(path).dataset.splits["test"][0].text
    book.write_text(f"uno dos\n{known}\n\nuno dos tres\n")
    recipe = read_recipe(str(path), ("distil.unlabelled='books/a.txt'",))
    study = study_of(path, "distil.unlabelled='books/a.txt'")
    drawn = study.unlabelled.select(recipe.distil)
    assert [e.text for e in drawn] == ["uno dos", "uno dos tres"]
    assert [len(e.words) for e in drawn] == [2, 3]
    book.with_name("b.txt").write_text(f"{known}\n")
    nothing = recipe.distil.model_copy(update={"unlabelled": "books/b.txt"})
    with pytest.raises(DataError, match="no text that the data set does not hold"):
        study.unlabelled.select(nothing)
    nowhere = recipe.distil.model_copy(update={"unlabelled": "books/c.txt"})
    with pytest.raises(DataError, match=r"no file at books/c\.txt or .*data/books/c\.txt"):
        study.unlabelled.select(nowhere)


@pytest.fixture
def pairs(tmp_path):
    """A table of pairs and what sets it as the data of a recipe."""
    rows = "".join(f"el niño {i}\tla niña\t{'no' if i % 2 else 'sí'}\n" for i in range(60))
    (tmp_path / "pairs.tsv").write_text("uno\tdos\tlabel\n" + rows, encoding="utf-8")
    return (
        f'data={{use="table", train="{tmp_path / "pairs.tsv"}", '
        'text="uno", pair="dos", label="label"}'
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "clase,dos,uno\nx,la niña,el niño 3\nx,el mar,la tierra\nx,,sola\n"),
        ("a.tsv", "text\tpair\nel niño 3\tla niña\nla tierra\tel mar\nsola\t\n"),
        ("b.csv", "B;A\nla niña;el niño 3\nel mar;la tierra\n;sola\n"),
        ("a.jsonl", '{"uno": "la tierra", "dos": "el mar"}\n{"text": "sola"}\n'),
        ("a.txt", "la tierra\tel mar\nsola\n"),
    ],
    ids=["the data's columns", "our names", "named", "JSON lines", "a tab"],
)
def test_unlabelled_pairs_come_from_a_table(tiny, tmp_path, pairs, caplog, name, content):
    """A table is read by the columns of the data; a row without its second text is left out."""
    caplog.set_level(logging.WARNING)
    (tmp_path / name).write_text(content)
    changes = (pairs, f'distil.unlabelled="{tmp_path / name}"')
    if name == "b.csv":
        changes += ('distil.unlabelled_text="A"', 'distil.unlabelled_pair="B"')
    drawn = study_of(tiny(), *changes).unlabelled.select(read_recipe(tiny(), changes).distil)
    assert [(e.text, e.pair) for e in drawn] == [("la tierra", "el mar")]
    assert logged(caplog, "%d texts of %s left out")[0].startswith("1 texts of ")


def test_unlabelled_single_texts_beside_pairs_are_refused_early(tiny, tmp_path, trained, pairs):
    """Single texts cannot stand beside pairs, which shows before any training."""
    (tmp_path / "raw.txt").write_text("sola\n")
    with pytest.raises(DataError, match=r"raw.txt, line 1: one text, and the data are pairs"):
        run_recipe(tiny(), pairs, f'distil.unlabelled="{tmp_path / "raw.txt"}"')
    (tmp_path / "raw.csv").write_text("a,b\nsola,y sola\n")
    with pytest.raises(
        DataError, match=r"raw.csv: no column 'uno'. Known: a, b. Name it: distil.unl"
    ):
        run_recipe(tiny(), pairs, f'distil.unlabelled="{tmp_path / "raw.csv"}"')
    assert trained == []


@pytest.mark.slow
def test_unlabelled_text_is_labelled_and_learnt_from(tiny, tmp_path, caplog):
    """The teacher labels lines of a file, and the student learns from them too."""
    caplog.set_level(logging.INFO)
    lines = [f"quiero pagar la factura número {i}" for i in range(30)]
    (tmp_path / "raw.txt").write_text("\n".join(lines) + "\n\n")
    changes = (f'distil.unlabelled="{tmp_path / "raw.txt"}"', "distil.unlabelled_limit=20")
    run_recipe(tiny("demo_tags"), *changes, *FAST)
    calls = [r.args[0] for r in caplog.records if r.msg.startswith("teacher calls")]
    assert calls == [116]
    record = {r.role: r for r in records_of(tmp_path).values()}["distilled"]
    assert record.details["notes"]["features"] >= 116
