from __future__ import annotations

import pytest

from destila.measuring.energy import meter


def zone(root, name, energy, limit=1_000_000_000):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    return folder / "energy_uj"


def test_whole_packages_count_and_their_parts_do_not(tmp_path):
    """The energy of all packages counts; a zone inside one would count twice."""
    first, second = (
        zone(tmp_path, "intel-rapl:0", 1_000_000),
        zone(tmp_path, "intel-rapl:1", 5_000_000),
    )
    part = zone(tmp_path, "intel-rapl:0:0", 0)

    def work():
        first.write_text("2500000\n")
        second.write_text("5500000\n")
        part.write_text("1000000\n")

    assert meter(tmp_path).joules(work) == pytest.approx(2.0)


def test_a_counter_that_starts_again_is_not_negative(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", 9_000_000, limit=10_000_000)
    assert meter(tmp_path).joules(lambda: counter.write_text("1000000\n")) == pytest.approx(2.0)


def test_a_machine_without_counters_has_no_meter(tmp_path):
    (tmp_path / "intel-rapl").mkdir()
    assert meter(tmp_path) is None
    assert meter(tmp_path / "nothing") is None


def test_a_counter_that_cannot_be_read_is_no_counter(tmp_path):
    zone(tmp_path, "intel-rapl:0", 0).unlink()
    assert meter(tmp_path) is None
