"""A bundle: students trained again to the same bytes when their teacher and its cache are gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from destila import config
from destila.commands import bundle
from destila.errors import CacheError, ConfigError, DataError
from destila.files import write_text
from tests.fixtures.studies import SECOND, TINY, run_recipe, study_of

MORE = """
[distil]
terms = [{use = "kl"}, {use = "hard", weight = 0.5}]
"""
QUICK = ("train.epochs=1", "compare=false", "baseline=false")


def weights(folder: Path) -> dict[str, bytes]:
    """Return the weights of the students of a study, by their runs."""
    files = folder.glob("students/*/best/model.safetensors")
    return {path.parent.parent.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """The folder of a study of two students and, as `bundle`, its bundle; its teacher and its cache are gone."""
    place = tmp_path_factory.mktemp("study")
    (place / "tiny.toml").write_text(TINY.format(out=place, data="demo_intents") + SECOND + MORE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESTILA_CACHE", str(place / "cache"))
        run_recipe(place / "tiny.toml", *QUICK, tested=False)
        bundle.run(bundle.Config(study=str(place / "tiny"), out=str(place / "bundle")))
    (place / "tiny/teachers").rename(place / "gone")
    shutil.rmtree(place / "cache")
    return place


@pytest.fixture
def bundled(study, tmp_path, monkeypatch) -> Path:
    """A copy of the bundle, and an empty cache."""
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "cache"))
    shutil.copytree(study / "bundle", tmp_path / "kept")
    return tmp_path / "kept"


def test_students_are_the_same_without_teacher_and_cache(
    study, bundled, tmp_path, trained, fast_testing
):
    """From a bundle that was moved, in another folder: equal bytes, and no teacher is trained."""
    before = weights(study / "tiny")
    result = run_recipe(bundled / "recipe.toml", f"out={tmp_path / 'again'}")
    assert len(before) == 2
    assert weights(tmp_path / "again/tiny") == before
    assert sorted(trained) == ["second-distilled-s0", "student-distilled-s0"]
    assert "2 of 2 students have the bytes of the bundle's" in result["lines"]


def test_a_bundle_says_whose_answers_it_holds_and_no_text(bundled):
    """Files of the house alone, none of which holds a text of the data."""
    facts = json.loads((bundled / "bundle.json").read_text(encoding="utf-8"))
    assert set(facts["files"]) == {
        "recipe.toml",
        "texts.safetensors",
        "answers/teacher-float16-auto.safetensors",
    }
    assert facts["texts"] == {"train": 96, "dev": 24, "test": 24}
    assert {"torch", "destila", "python"} <= set(facts["versions"])
    everything = b"".join(path.read_bytes() for path in bundled.rglob("*") if path.is_file())
    train = study_of(bundled / "recipe.toml").dataset.splits["train"]
    assert not [example for example in train if example.text.encode() in everything]


@pytest.mark.parametrize(
    "file", ["texts.safetensors", "recipe.toml", "answers/teacher-float16-auto.safetensors"]
)
def test_a_damaged_file_is_one_error_before_any_training(bundled, file, tmp_path, trained):
    """One byte that turned, a file that was cut, or one that is gone."""
    content = bytearray((bundled / file).read_bytes())
    content[-2] ^= 1 if file != "recipe.toml" else 0
    content += b"\n" if file == "recipe.toml" else b""
    for damaged in (bytes(content), bytes(content[:-5]), None):
        if damaged is None:
            (bundled / file).unlink()
        else:
            (bundled / file).write_bytes(damaged)
        with pytest.raises((CacheError, ConfigError), match=r"other bytes|is gone|no recipe"):
            run_recipe(bundled / "recipe.toml", f"out={tmp_path / 'again'}")
    assert not trained


def test_what_the_bundle_says_of_itself_is_checked_too(bundled, tmp_path):
    """A score that was changed by hand would choose another teacher."""
    path = bundled / "bundle.json"
    text = path.read_text(encoding="utf-8")
    for changed, match in (
        (text.replace('"seconds": ', '"seconds": 1'), "has changed"),
        (text.replace('"format": 1', '"format": 9'), "format 9"),
        ("{}", "is missing"),
    ):
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(CacheError, match=match):
            run_recipe(bundled / "recipe.toml", f"out={tmp_path / 'again'}")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("data.seed=7", "other texts of train"),
        ("data.train=90", "90 texts of train, it knows 96"),
        ("max_length=32", "equal texts"),
        ("distil.dtype=float32", "no answers of 'teacher' in float32"),
    ],
)
def test_other_data_are_refused(bundled, change, match, tmp_path, trained):
    """Answers belong to the texts that the teacher read."""
    with pytest.raises(DataError, match=match):
        run_recipe(bundled / "recipe.toml", f"out={tmp_path / 'again'}", change)
    assert not trained


def test_a_student_that_is_trained_otherwise_is_told(bundled, tmp_path, fast_testing):
    """Its answers do for other trainings too, whose bytes are then not those of the bundle."""
    result = run_recipe(bundled / "recipe.toml", f"out={tmp_path / 'again'}", "train.lr=1e-3")
    assert "0 of 2 students have the bytes of the bundle's" in result["lines"]
    assert any("is trained otherwise" in line for line in result["lines"])


def test_weights_that_students_start_from_come_along(untrained, tiny, tmp_path):
    """The fine-tuned teacher whose layers a student keeps is in the bundle, and nowhere else."""
    model = untrained("classify", ("a", "b"), layers=2)
    path = tiny(more=MORE)
    models = f'[{{name="teacher", model="{model}", finetune=true}}]'
    student = f'[{{name="student", model="{model}", layers=1, start="teacher"}}]'
    run_recipe(path, *QUICK, f"teachers={models}", f"students={student}", tested=False)
    result = bundle.run(bundle.Config(study=str(tmp_path / "runs/tiny"), out=str(tmp_path / "b")))
    assert "starts/teacher/best/model.safetensors" in result["weights"]
    shutil.rmtree(tmp_path / "runs/tiny/teachers")
    shutil.rmtree(tmp_path / "cache")
    run_recipe(tmp_path / "b/recipe.toml", f"out={tmp_path / 'again'}", tested=False)
    assert weights(tmp_path / "again/tiny") == weights(tmp_path / "runs/tiny")


def test_what_cannot_be_bundled_leaves_nothing(study, bundled, tmp_path):
    """An --out that exists, no study, a study that is not finished, answers that are gone."""
    made = str(tmp_path / "more")
    for folder, out, match in (
        (study / "tiny", str(bundled), "exists"),
        (study, made, "no study at"),
        (study / "tiny", made, "'teacher' is not trained"),
    ):
        with pytest.raises(ConfigError, match=match):
            bundle.run(bundle.Config(study=str(folder), out=out))

    # The teacher is there, and the cache is not.
    shutil.copytree(study / "gone", study / "tiny/teachers")
    with pytest.raises(CacheError, match="96 answers of 'teacher' are not in"):
        bundle.run(bundle.Config(study=str(study / "tiny"), out=made))
    shutil.rmtree(study / "tiny/teachers")
    assert not list(tmp_path.glob("*more*"))


def test_inner_states_cannot_be_bundled(tiny, tmp_path):
    """A bundle that left them out would not train the same student."""
    term = '[{use = "hidden"}]'
    recipe = study_of(tiny(), f"distil.terms={term}").recipe
    write_text(recipe.folder / "recipe.toml", config.to_toml(recipe))
    with pytest.raises(ConfigError, match="inner states"):
        bundle.run(bundle.Config(study=str(recipe.folder), out=str(tmp_path / "b")))
    assert not (tmp_path / "b").exists()
