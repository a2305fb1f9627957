"""Teachers that answer on a Ray cluster: the cache of one machine, whatever dies on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from destila.errors import ConfigError, DataError
from destila.study.planning.labelling import cluster_labels
from destila.study.planning.labelling.cluster_labels import ClusterLabels
from destila.teachers import cache
from tests.fixtures.studies import run_recipe

QUICK = (
    "train.epochs=1",
    "train.batch_size=128",
    "compare=false",
    "baseline=false",
    'teachers=[{name="teacher", shape={kind="bert", layers=2, hidden=32, heads=2}, '
    'tokenizer={kind="bpe", vocab_size=400}, train={steps=2}}]',
)
RUN = """
from destila.study.planning.labelling.cluster_labels import ClusterLabels
from destila.study.planning.recipe import read_recipe
from destila.study.run import run_study

recipe, caches, *changes = arguments

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args=HEAD | {"num_cpus": 2})
    try:
        done = lambda: len(list(Path(caches).glob("teacher/*/blocks/*.safetensors")))
        killer = kill_one("MapWorker", done)
        labels = ClusterLabels(address=cluster.address, workers=2)
        run_study(read_recipe(recipe, changes), tested=False, cluster=labels)
        killer.join()
    finally:
        cluster.shutdown()
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of the only teacher cache below a folder, without the study's place."""
    (place,) = (folder / "teacher").iterdir()
    return {path.name: path.read_bytes() for path in place.iterdir() if path.name != "meta.json"}


@pytest.fixture
def here(monkeypatch):
    """Workers in this process, one after the other; `lost` names blocks at which one dies."""

    def use(*lost: int) -> list[int]:
        made: list[int] = []

        def make_blocks(blocks, opened, **_):
            make = opened()
            for block in reversed(blocks):
                if block in lost:
                    raise DataError("the worker died")
                make(block)
                made.append(block)
                yield block

        monkeypatch.setattr(cluster_labels, "make_blocks", make_blocks)
        return made

    return use


def test_blocks_fill_the_cache_of_one_machine(tiny, tmp_path, monkeypatch, here):
    """To the same bytes, after a kill too; only blocks that are missing are made again."""
    monkeypatch.setattr(cluster_labels, "CACHE_CHUNK", 16)
    monkeypatch.setattr(cache.Cache.fill, "__kwdefaults__", {"chunk": 16, "progress": None})
    run_recipe(tiny(), *QUICK, tested=False)
    alone = contents(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(tmp_path / "runs/tiny/students")

    made, cluster = here(0), ClusterLabels(address="local")
    with pytest.raises(DataError, match="the worker died"):
        run_recipe(tiny(), *QUICK, tested=False, cluster=cluster)
    assert made == [2, 1]
    made = here()
    run_recipe(tiny(), *QUICK, tested=False, cluster=cluster)
    assert made == [0]
    assert contents(tmp_path / "cache") == alone


def test_a_worker_that_would_answer_otherwise_is_refused(tiny, monkeypatch, here, tmp_path):
    """Another precision, another model under the same name: nothing of it comes into the cache."""
    here()
    real = cluster_labels.Teachers.asked
    monkeypatch.setattr(
        cluster_labels.Teachers,
        "asked",
        lambda self, *arguments: (
            (real(self, *arguments)[0] | {"precision": "bf16"}, None)
            if not self.study.dataset.splits["train"]
            else (real(self, *arguments)[0] | {"precision": "fp16"}, real(self, *arguments)[1])
        ),
    )
    with pytest.raises(ConfigError, match="differs in precision: bf16 there, fp16 here"):
        run_recipe(tiny(), *QUICK, tested=False, cluster=ClusterLabels(address="local"))
    assert not list(tmp_path.glob("cache/teacher/*/rows.bin"))


@pytest.mark.slow
def test_a_killed_worker_leaves_the_same_cache(tiny, on_ray, tmp_path, monkeypatch):
    """A local Ray of two workers, one of which is killed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    changes = (*QUICK, "data.train=6000")
    run_recipe(tiny(), *changes, tested=False)
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path / "shared"))
    answer = on_ray(RUN, tiny(), tmp_path / "shared", f"out={tmp_path / 'again'}", *changes)
    assert 1 <= answer["killed"] < 7, "the worker was killed before the work was done"
    assert contents(tmp_path / "shared") == contents(tmp_path / "cache")
