"""A model as a wheel: pip installs it, its name opens it, and nothing in it is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import destila
from destila.commands.package import Config, run
from destila.config import build_config
from destila.errors import ConfigError, ModelError
from destila.exporting.wheel import check_wheel_name
from destila.hub import installed_folder
from tests.inference.conftest import export_untrained

TEXT = "Quiero un vuelo de Madrid a Bogotá."
PREDICT = ["-m", "destila", "predict", "es-reviews", "--text", TEXT]


def package(folder: Path, out: Path, **options: str) -> Path:
    """Return the wheel of a folder."""
    given = {"model": str(folder), "name": "es_reviews", "out": str(out), **options}
    return Path(run(build_config(Config, given))["wheel"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bpe):
    return export_untrained(tmp_path_factory.mktemp("model"), bpe, "classify")


@pytest.fixture(scope="module")
def wheel(folder):
    return package(folder, folder.parent / "dist")


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder into which pip has installed the wheel, without any network."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True, timeout=120)
    return target


def python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where a folder of installed packages is on its path."""
    path = os.pathsep.join([str(site), str(Path(destila.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    environment.pop("DESTILA_MODELS", None)
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=site,
        timeout=120,
        check=False,
    )


def test_an_installed_wheel_is_opened_by_its_name(folder, wheel, site):
    """As its folder answers, and its module is never imported."""
    assert wheel.name == "es_reviews-1.0-py3-none-any.whl"
    (site / "es_reviews" / "__init__.py").write_text("raise SystemExit('imported')\n")
    printed = python(site, *PREDICT)
    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout) == destila.load(folder).predict(TEXT).to_dict()


@pytest.mark.parametrize("value", ["..", "es_reviews:load", "os", "../exported", "es_reviews"])
def test_an_entry_point_names_a_folder_of_its_own_package_alone(site, tmp_path, monkeypatch, value):
    """Neither a path that climbs nor a module's attribute is followed; without files it is damaged."""
    copied = shutil.copytree(site, tmp_path / "copied")
    monkeypatch.syspath_prepend(copied)
    assert installed_folder("es.reviews") == copied / "es_reviews"
    (declared,) = copied.glob("*.dist-info/entry_points.txt")
    declared.write_text(f"[destila_models]\nes_reviews = {value}\n")
    if value == "es_reviews":  # the right folder, without its files
        (copied / "es_reviews" / "config.json").unlink()
    with pytest.raises(ModelError, match="the installed model 'es_reviews' is damaged: pip"):
        destila.load("es_reviews")


def test_a_wheel_holds_the_card_and_only_what_runs_the_model(folder, wheel, tmp_path):
    """Equal models make equal wheels; other files of the folder stay out."""
    copied = shutil.copytree(folder, tmp_path / "copied")
    (copied / "extra.py").write_text("1 / 0\n")
    assert package(copied, tmp_path).read_bytes() == wheel.read_bytes()

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read("es_reviews-1.0.dist-info/METADATA").decode()
        card = archive.read("es_reviews/README.md").decode()
    assert {"es_reviews/model.onnx", "es_reviews/tokenizer.json"} <= set(names)
    assert [name for name in names if name.endswith(".py")] == ["es_reviews/__init__.py"]
    assert "# es\\_reviews" in card
    assert "Name: es_reviews\nVersion: 1.0\n" in metadata
    assert f"Requires-Dist: destila>={destila.__version__}\n" in metadata
    assert "Spanish text" in metadata
    assert "license:" not in metadata  # the head that model hubs read


@pytest.mark.parametrize(
    ("name", "version", "says"),
    [
        ("Es-Reviews", "1.0", "small letters"),
        ("../es", "1.0", "small letters"),
        ("class", "1.0", "small letters"),
        ("es_reviews", "1.0-beta", "numbers and dots"),
        ("es_reviews", "1.0/../x", "numbers and dots"),
        ("json", "1.0", "another package has that name"),
        ("numpy", "1.0", "another package has that name"),
    ],
)
def test_names_and_versions_that_cannot_be_are_refused(name, version, says):
    with pytest.raises(ConfigError, match=says):
        check_wheel_name(name, version)


def test_weights_alone_or_half_an_export_are_no_wheel(folder, tmp_path):
    with pytest.raises(ModelError, match="destila export"):
        package(folder.parent / "torch", tmp_path / "dist")
    copied = shutil.copytree(folder, tmp_path / "copied")
    (copied / "model.fp32.onnx").unlink()
    with pytest.raises(ModelError, match=r"lacks model\.fp32\.onnx"):
        package(copied, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
