"""A corpus over a Ray cluster of two machines, both played by this one, though one is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from destila.corpus import shards
from destila.corpus.build_corpus import build_corpus, read_corpus_options
from destila.tokenizer.tokenizer import Tokenizer

pytest.importorskip("rensa")

WORD_LIST = """
el la de que y en un casa niño río ciudad presidente comió visitó año frío noche guitarra pueblo
médico
"""
WORDS = WORD_LIST.split()
RUN = """
from destila.errors import DestilaError
from destila.corpus.build_corpus import build_corpus, read_corpus_options

recipe, bad = arguments
MACHINE = {"num_cpus": 1, "object_store_memory": 100_000_000}


def at_work(node):
    "The processes of a machine that make chunks now."
    raylet = node.all_processes["raylet"][0].process
    return working("ray::Map", psutil.Process(raylet.pid))


def lose(folder, cluster, machine):
    "Kills the second machine as soon as there are chunks and both machines make more of them."
    awaited(lambda: list(folder.glob("work/*/*.npz")))
    awaited(lambda: at_work(cluster.head_node) and at_work(machine))
    answer["killed"] = len(at_work(machine))
    cluster.remove_node(machine, allow_graceful=False)
    answer["made"] = len(list(folder.glob("work/*/*.npz")))


if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args=HEAD | {"num_cpus": 1})
    machine = cluster.add_node(**MACHINE)
    try:
        address = f"cluster={cluster.address}"
        config = read_corpus_options([recipe], sets=[address])
        try:
            build_corpus(read_corpus_options([recipe], sets=[address, f"files=['{bad}']"]))
        except DestilaError as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        killer = threading.Thread(target=lose, args=(Path(config.out), cluster, machine))
        killer.start()
        build_corpus(config)
        killer.join()
    finally:
        cluster.shutdown()
"""


@pytest.fixture
def recipe(tmp_path, wordpiece: Tokenizer) -> Path:
    """Two sources of unequal size, with an exact copy."""
    wordpiece.save(tmp_path / "tokenizer")
    chance = random.Random(0)
    texts = [
        " ".join(" ".join(chance.choices(WORDS, k=9)).capitalize() + "." for _ in range(20))
        for _ in range(8000)
    ]
    (tmp_path / "a.txt").write_text("\n\n".join([*texts[:7000], texts[3]]), encoding="utf-8")
    (tmp_path / "b.txt").write_text("\n\n".join(texts[7000:]), encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(
        f'files = ["{tmp_path / "a.txt"}", "{tmp_path / "b.txt"}"]\nout = "{tmp_path / "out"}"\n'
        f'tokenizer = "{tmp_path / "tokenizer"}"\npiece_characters = 100_000\n'
        "shard_tokens = 500_000\nworkers = 2\n",
        encoding="utf-8",
    )
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_makes_the_same_bytes(recipe, on_ray, tmp_path):
    build_corpus(read_corpus_options([str(recipe)], sets=[f"out={tmp_path / 'local'}"]))
    (tmp_path / "bad.txt").write_bytes("Hola.\naño\n".encode("latin-1"))
    answer = on_ray(RUN, recipe, tmp_path / "bad.txt")
    assert answer["error"].startswith("DataError: ")
    assert "bad.txt is not utf-8: byte 7 is 0xf1" in answer["error"]
    assert answer["killed"] == 1
    opened = shards.open_shards(tmp_path / "local")
    chunks = -(-opened.manifest["counts"]["characters"] // 100_000)
    assert answer["made"] < chunks, "the machine was lost before the work was done"
    assert opened.manifest["counts"]["exact_duplicates"] == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "local")
