"""Threads of a container: what its control group allows, whatever the host has."""

from __future__ import annotations

import os

import pytest

from destila import cpu


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_a_quota_the_affinity_counts(tmp_path):
    assert cpu.available(tmp_path) >= 1


@pytest.mark.parametrize(
    ("quota", "allowed"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)]
)
def test_a_version_2_quota_limits_the_threads(tmp_path, quota, allowed):
    write(tmp_path, "proc/self/cgroup", "0::/job/inner\n")
    write(tmp_path, "sys/fs/cgroup/job/inner/cpu.max", "max 100000\n")
    write(tmp_path, "sys/fs/cgroup/job/cpu.max", quota + "\n")
    unlimited = cpu.available(tmp_path / "nothing")
    assert cpu.available(tmp_path) == (allowed or unlimited)


def test_a_version_1_quota_limits_the_threads(tmp_path):
    write(tmp_path, "proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n")
    write(tmp_path, "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n")
    assert cpu.available(tmp_path) == 1


def test_a_part_of_a_processor_rounds_up(tmp_path):
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    assert cpu.available(tmp_path) == min(2, cpu.available(tmp_path / "nothing"))


def test_libraries_are_told_of_a_quota_unless_the_user_did(tmp_path, monkeypatch):
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    monkeypatch.setattr(cpu, "_affinity", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # so that what is there now comes back
    monkeypatch.delenv("OMP_NUM_THREADS")
    cpu.keep_to_quota(tmp_path)
    assert "OMP_NUM_THREADS" not in os.environ
    write(tmp_path, "sys/fs/cgroup/cpu.max", "300000 100000\n")
    cpu.keep_to_quota(tmp_path)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    cpu.keep_to_quota(tmp_path)
    assert os.environ["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(("vendor", "amd"), [("AuthenticAMD", True), ("GenuineIntel", False)])
def test_the_maker_is_read_from_cpuinfo(tmp_path, vendor, amd):
    write(tmp_path, "proc/cpuinfo", f"processor\t: 0\nvendor_id\t: {vendor}\n")
    assert cpu.is_amd(tmp_path) == amd


def test_without_a_cpuinfo_no_maker_is_known(tmp_path):
    assert not cpu.is_amd(tmp_path)
