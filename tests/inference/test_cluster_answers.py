"""Answers in blocks: the bytes of one machine, whatever dies on the way."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from destila.cluster import BlockWorker
from destila.errors import ConfigError
from destila.inference import cluster_answers, label_texts
from destila.inference.cluster_answers import join_blocks, make_block, plan_blocks
from destila.inference.label_texts import Asked, label_into_file
from destila.version import __version__

LABELS = ("no", "sí")
RUN = """
from destila.inference.label_texts import Asked, label_into_file

model, file, out = arguments

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args=HEAD | {"num_cpus": 2})
    try:
        killer = kill_one("MapWorker", lambda: len(list(Path(out).parent.glob(".*.blocks/*.json"))))
        asked = Asked(model=model, file=file, cluster=cluster.address, workers=2)
        answer |= label_into_file(asked, out)
        killer.join()
    finally:
        cluster.shutdown()
"""


def _texts(tmp_path: Path, count: int) -> Path:
    """Write a table of texts, some blank."""
    path = tmp_path / "new.csv"
    rows = ["id,text,other"]
    rows += [f'{i},"{"" if i % 7 == 0 else f"El niño, {i} comió."}",x{i}' for i in range(count)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_blocks_joined_are_the_bytes_of_one_machine(untrained, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(cluster_answers, "TEXTS_AT_ONCE", 8)
    model, file = str(untrained("classify", LABELS)), _texts(tmp_path, 30)
    asked = Asked(model=model, file=str(file), threads=1)
    whole, joined = tmp_path / f"whole.{ending}", tmp_path / f"joined.{ending}"
    expected = label_into_file(asked, str(whole))

    plan = plan_blocks(tmp_path / "blocks", 30, 1)
    assert (plan.size, plan.count) == (8, 4)
    make = label_texts._open_blocks(asked, str(joined))
    for block in (2, 0, 3, 1):
        make_block(plan, block, make)

    # A block that is there is not made again, and the next run keeps the size of the blocks.
    when = plan.path(2).stat().st_mtime_ns
    make_block(plan_blocks(tmp_path / "blocks", 30, 7), 2, make)
    assert plan.path(2).stat().st_mtime_ns == when
    assert join_blocks(plan, joined) == {k: expected[k] for k in ("texts", "warnings", "errors")}
    assert joined.read_bytes() == whole.read_bytes()
    assert not plan.folder.exists()


def test_no_text_is_a_file_of_its_header(untrained, tmp_path):
    model, file = str(untrained("classify", LABELS)), _texts(tmp_path, 0)
    asked = Asked(model=model, file=str(file), threads=1)
    label_into_file(asked, str(tmp_path / "whole.csv"))
    plan = plan_blocks(tmp_path / "blocks", 0, 2)
    make_block(plan, 0, label_texts._open_blocks(asked, str(tmp_path / "joined.csv")))
    join_blocks(plan, tmp_path / "joined.csv")
    assert (tmp_path / "joined.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_error_of_a_worker_comes_back_as_values(tmp_path):
    plan = plan_blocks(tmp_path / "blocks", 3, 1)
    absent = Asked(model=str(tmp_path), file=str(tmp_path / "absent.csv"))
    opened = partial(label_texts._open_blocks, absent, "out.csv")
    worker = BlockWorker(partial(cluster_answers._open_maker, opened, plan))
    assert "same version" in worker({"block": 0, "version": "0.0"})["message"]
    assert worker({"block": 0, "version": __version__})["error"] == "ModelError"


def test_texts_that_are_in_no_file_are_refused(untrained, tmp_path):
    asked = Asked(model=str(untrained("classify", LABELS)), lines=["a"], cluster="local")
    with pytest.raises(ConfigError, match="labels a file that all machines see"):
        label_into_file(asked, str(tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.slow
def test_a_killed_worker_costs_its_block(untrained, on_ray, tmp_path):
    model, file = str(untrained("classify", LABELS)), _texts(tmp_path, 12_000)
    label_into_file(Asked(model=model, file=str(file), threads=1), str(tmp_path / "whole.csv"))
    out = tmp_path / "out.csv"
    answer = on_ray(RUN, model, file, out)
    assert answer["texts"] == 12_000
    assert 1 <= answer["killed"] < 16, "the worker was killed before the work was done"
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
