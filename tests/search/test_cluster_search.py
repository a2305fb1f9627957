"""A search on a Ray cluster that loses a worker: no trial is lost, none is finished twice."""

from __future__ import annotations

from collections import Counter

import pytest

optuna = pytest.importorskip("optuna")

RUN = """
import time

from destila.search.cluster_search import join_on_cluster

url, log = arguments


def join(path, changes, url):
    "Takes part in a search of twelve toy trials, which write down when they begin and end."
    from destila.search import trials as shared
    from destila.search.space import read_space
    from destila.study.planning.search_options import SearchOptions

    shared._HEARTBEAT = 2
    options = SearchOptions(space={"a": list(range(12))})

    def train(values, report):
        with open(path, "a") as file:
            file.write(f"begins {values['a']}\\\\n")
        time.sleep(0.5)
        with open(path, "a") as file:
            file.write(f"ends {values['a']}\\\\n")
        return values["a"]

    objective = shared.TrialObjective(name=lambda values: str(values["a"]), train=train)
    trials = shared.open_trials(url, "toy", options, better="higher")
    shared.run_trials(trials, read_space(options, "toy"), options, objective)


if __name__ == "__main__":
    Path(log).touch()
    cluster = Cluster(initialize_head=True, head_node_args=HEAD | {"num_cpus": 2})
    try:
        killer = kill_one("_take_part", lambda: Path(log).read_text().count("ends"))
        join_on_cluster(join, log, (), url, address=cluster.address, workers=2)
        killer.join()
    finally:
        cluster.shutdown()
""".replace("\\\\n", "\\n")


@pytest.mark.slow
def test_a_killed_worker_loses_no_trial(on_ray, tmp_path):
    log = tmp_path / "log"
    url = f"sqlite:///{tmp_path / 'toy.db'}"
    answer = on_ray(RUN, url, log)
    assert 1 <= answer["killed"] < 12, "the worker was killed before the work was done"
    store = optuna.load_study(study_name="toy", storage=url)
    done = [trial.value for trial in store.trials if trial.state.name == "COMPLETE"]
    assert sorted(done) == list(range(12))

    # The one in the hands of the killed worker begins again, perhaps from its last line.
    lines = Counter(log.read_text(encoding="utf-8").splitlines())
    assert sum(lines[f"begins {number}"] for number in range(12)) in (12, 13)
    assert all(lines[f"ends {number}"] >= 1 for number in range(12))
