from __future__ import annotations

import sys

from destila.measuring import machine
from destila.records import Conditions


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_conditions_name_the_machine_and_the_versions():
    found = machine.conditions(
        device="cpu",
        threads=1,
        batch=1,
        length="x",
        dtype="float32",
        backend="torch",
        warmup=0,
        repeats=0,
    )
    assert isinstance(found, Conditions)
    assert found.cpu
    assert found.instructions
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "numpy" in found.versions


def test_a_package_that_is_not_installed_has_no_version():
    assert list(machine.versions(["no-such-package-here"])) == ["python"]


def test_instruction_sets_come_in_a_fixed_order():
    assert machine._known(["avx512_vnni", "sse", "avx2"]) == "avx2 avx512_vnni"


def test_the_code_version_of_a_checkout_is_a_commit(monkeypatch, tmp_path):
    write(tmp_path, ".git/HEAD", "ref: refs/heads/main")
    write(tmp_path, "destila/version.py", "")
    monkeypatch.setattr(machine.own_version, "__file__", str(tmp_path / "destila/version.py"))
    answers = {"rev-parse": "abc123", "status": " M file"}
    monkeypatch.setattr(machine, "_git", lambda folder, verb, *rest: answers[verb])
    machine.code_version.cache_clear()
    assert machine.code_version() == "abc123-dirty"
    machine.code_version.cache_clear()


def test_the_code_version_outside_a_checkout(monkeypatch, tmp_path):
    """Outside a checkout it is the package's version."""
    monkeypatch.setattr(machine.own_version, "__file__", str(tmp_path / "destila/version.py"))
    machine.code_version.cache_clear()
    assert machine.code_version() == machine.own_version.__version__
    machine.code_version.cache_clear()
