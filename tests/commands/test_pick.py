from __future__ import annotations

import json
from pathlib import Path

import pytest

from destila import cli, config, records
from destila.commands import pick
from destila.errors import ConfigError
from destila.measuring import machine
from destila.records import Latency, Record


def where():
    plain = {
        "device": "cpu",
        "threads": 1,
        "batch": 1,
        "length": "x",
        "dtype": "float32",
        "backend": "torch",
    }
    return machine.conditions(**plain, warmup=0, repeats=0)


def record(role, model, score, ms=None, mb=1.0, seed=0, dev=None, run=None, **changes):
    run = run or (f"{model}-teacher" if role == "teacher" else f"{model}-{role}-s{seed}")
    plain = {
        "key": f"{run}-{seed}",
        "study": "toy",
        "run": run,
        "role": role,
        "model": model,
        "task": "classify",
        "dataset": "toy",
        "split": "test",
        "main": "accuracy",
        "scores": {"accuracy": score},
        "params": 10,
        "size_bytes": int(mb * 1e6),
        "macs": {},
        "latency": () if ms is None else (Latency("real", ms, 2 * ms, where()),),
        "peak_memory_bytes": 0,
        "seed": seed,
        "seconds": 0.0,
        "conditions": where(),
        "config": {},
        "code": "abc",
        "details": {} if dev is None else {"dev": {"accuracy": dev}},
    }
    return Record(**{**plain, **changes})


STUDY = [
    record("teacher", "big", 0.90, 20.0, 40.0),
    record("distilled", "small", 0.80, 4.0, 12.0, seed=0, dev=0.70),
    record("distilled", "small", 0.82, None, 12.0, seed=1, dev=0.75),
    record("finetuned", "small", 0.798, 4.0, 12.0),
    record("distilled", "tiny", 0.61, 1.0, 5.0),
    record("baseline", "tfidf", 0.95, 0.1, 1.0),
]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Writes records and a model folder for each of them; the working folder is the test's."""
    monkeypatch.chdir(tmp_path)

    def write(found=STUDY):
        records.write_records("runs/toy/record.jsonl", found)
        for r in found:
            place = {"teacher": f"teachers/{r.run}-s{r.seed}/best", "exported": f"exported/{r.run}"}
            folder = Path("runs/toy") / place.get(r.role, f"students/{r.run}/best")
            if r.role != "baseline":
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "config.json").write_text(json.dumps({"run": r.run}))
                (folder / "model.safetensors").write_text(r.run)
        return "toy"

    return write


def picked(study, **budget):
    return pick.run(pick.Config(study=study, copy_folder=False, **budget))


def whys(result):
    return {(one["model"], one["role"]): one["why"] for one in result["lost"]}


def test_the_best_within_the_budget_wins(study):
    """And of every other model it is said why it lost."""
    result = picked(study(), max_ms=5, max_mb=15, min_score=0.75)
    assert (result["winner"]["model"], result["winner"]["role"]) == ("small", "distilled")
    assert whys(result) == {
        ("big", "teacher"): "20 ms > 5 ms; 40 MB > 15 MB",
        ("small", "finetuned"): "within budget, 1.2 points lower",
        ("tiny", "distilled"): "score 0.61 < 0.75",
    }


def test_without_a_budget_the_best_score_wins(study):
    assert picked(study())["winner"]["model"] == "big"


def test_scores_are_means_and_the_folder_the_best_on_dev(study):
    """The score is the mean over seeds, the folder that of the best seed on dev."""
    result = pick.run(pick.Config(study=study(), max_ms=5))
    assert result["winner"]["score"] == pytest.approx(0.81)
    assert (
        result["winner"]["seeds"],
        result["winner"]["seed"],
        result["winner"]["latency_ms"],
    ) == ([0, 1], 1, 4.0)
    assert result["out"] == "toy-small-distilled-s1"
    assert Path("toy-small-distilled-s1/model.safetensors").read_text() == "small-distilled-s1"
    assert "score: mean of seeds 0, 1; taken: seed 1, the best on dev" in result["lines"]
    assert "latency: of seed 0, the only one timed" in result["lines"]


def test_a_better_baseline_is_named_but_not_picked(study):
    """A baseline is no candidate, for it has no folder."""
    result = picked(study())
    assert "baseline" not in {one["role"] for one in result["lost"]}
    assert "note: the baseline tfidf scores 95.00, more than the model picked" in result["lines"]


def test_a_student_below_its_twin_is_taken_with_any_alone(study):
    """The gate holds for what was exported of it, too."""
    name = study(
        [
            record("distilled", "small", 0.80, 4.0, 12.0),
            record("finetuned", "small", 0.81, 4.0, 12.0),
            record(
                "exported",
                "small",
                0.80,
                1.0,
                3.0,
                run="small-distilled-s0-int8",
                details={"of": "small-distilled-s0", "candidate": "int8"},
            ),
        ]
    )
    with pytest.raises(ConfigError, match=r"fails on twin \(1 points below .*--any takes it"):
        picked(name, max_mb=5)
    assert picked(name, max_mb=5, any_student=True)["winner"]["role"] == "exported"

    # Without a limit on size the twin itself is the better choice.
    result = picked(name)
    assert (result["winner"]["role"], result["winner"]["model"]) == ("finetuned", "small")
    assert whys(result)["small", "distilled"] == "1 points below its twin without a teacher"


def test_the_card_and_the_lines_say_what_the_teacher_is_worth(study):
    result = pick.run(pick.Config(study=study(), max_ms=5))
    verdict = (
        "small (distilled), accuracy 81.00, beats its twin without a teacher (79.80: +0.20) "
        "and loses to the baseline tfidf (95.00: -14.00)."
    )
    assert verdict in result["lines"]
    assert verdict in (Path(result["out"]) / "README.md").read_text()


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ((0.8, 2.0, 9.0), (0.8, 3.0, 1.0), "within budget, same score, slower: 3 ms against 2 ms"),
        (
            (0.8, 2.0, 1.0),
            (0.8, 2.0, 9.0),
            "within budget, same score and latency, 9 MB against 1 MB",
        ),
        ((0.8, 2.0, 1.0), (0.8, None, 1.0), "within budget, same score, not timed"),
        ((0.8, 2.0, 1.0), (0.7999, 1.0, 1.0), "within budget, 0.01 points lower"),
    ],
)
def test_ties_go_to_the_faster_and_then_to_the_smaller(study, a, b, why):
    result = picked(study([record("distilled", "b", *b), record("distilled", "a", *a)]))
    assert result["winner"]["model"] == "a"
    assert whys(result) == {("b", "distilled"): why}


def test_limits_are_exact(study):
    """One that is just met is met, one that is just missed is told with enough digits."""
    name = study(
        [record("distilled", "a", 0.75, 5.0, 15.0), record("distilled", "b", 0.9, 5.0004, 15.0)]
    )
    result = picked(name, max_ms=5, max_mb=15, min_score=0.75)
    assert result["winner"]["model"] == "a"
    assert whys(result) == {("b", "distilled"): "5.0004 ms > 5 ms"}


def test_a_model_that_was_not_timed_is_not_within_a_time(study):
    name = study([record("distilled", "a", 0.6, 4.0), record("distilled", "b", 0.9)])
    assert whys(picked(name, max_ms=5)) == {("b", "distilled"): "not timed"}


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            {"max_ms": 3, "min_score": 0.75},
            r"nearest is tiny \(distilled\), which fails on score \(score 0.61 < 0.75\)",
        ),
        (
            {"max_ms": 0.9},
            r"nearest is tiny \(distilled\), which fails on latency \(1 ms > 0.9 ms\)",
        ),
        ({"max_mb": 4}, r"nearest is tiny \(distilled\), which fails on size \(5 MB > 4 MB\)"),
        (
            {"min_score": 0.99},
            r"nearest is big \(teacher\), which fails on score \(score 0.9 < 0.99\)",
        ),
        ({"max_ms": 0.5, "max_mb": 2}, r"fails on latency and size \(1 ms > 0.5 ms; 5 MB > 2 MB\)"),
    ],
)
def test_an_infeasible_budget_says_what_is_nearest(study, budget, message):
    """And on which limit that one fails."""
    with pytest.raises(
        ConfigError, match=f"no model of study 'toy' is within the budget: .*{message}"
    ):
        picked(study(), **budget)


def test_a_time_limit_without_any_time_measured_is_an_error(study):
    name = study([record("distilled", "a", 0.6), record("teacher", "b", 0.9)])
    with pytest.raises(
        ConfigError, match="has no latency of protocol 'real', so --max-ms 5 cannot be judged"
    ):
        picked(name, max_ms=5)


def test_a_study_of_baselines_has_nothing_to_pick(study):
    with pytest.raises(ConfigError, match="no model to pick: only baseline"):
        picked(study([record("baseline", "tfidf", 0.9)]))


def test_an_unknown_study_and_one_without_records_are_errors(study, tmp_path):
    with pytest.raises(ConfigError, match="no study 'nada'"):
        picked("nada")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="has no records yet"):
        picked(str(tmp_path / "empty"))


def test_the_copy_has_a_card_and_leaves_nothing_else(study):
    pick.run(pick.Config(study=study(), out="deep/mine"))
    assert sorted(p.name for p in Path("deep").iterdir()) == ["mine"]
    assert sorted(p.name for p in Path("deep/mine").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    text = Path("deep/mine/README.md").read_text(encoding="utf-8")
    assert "# mine" in text
    assert "| accuracy | 90.00 |" in text


def test_the_card_of_an_untimed_seed_names_the_timed_one(study):
    """Its latency is that of another seed, which the card says."""
    pick.run(pick.Config(study=study(), max_ms=5, out="mine"))
    text = Path("mine/README.md").read_text(encoding="utf-8")
    assert "Latency was measured on seed 0" in text
    assert "median 4.00 ms" in text


def test_a_card_that_is_there_is_kept(study):
    name = study()
    Path("runs/toy/teachers/big-teacher-s0/best/README.md").write_text("mine")
    pick.run(pick.Config(study=name, out="out"))
    assert Path("out/README.md").read_text() == "mine"


def test_a_folder_that_exists_is_not_touched(study):
    name = study()
    Path("out").mkdir()
    with pytest.raises(ConfigError, match="out exists already"):
        pick.run(pick.Config(study=name, out="out"))
    assert not list(Path("out").iterdir())


def test_a_place_that_cannot_be_written_is_one_error(study):
    name = study()
    Path("file").write_text("x")
    with pytest.raises(ConfigError, match=r"cannot copy .* to file/out"):
        pick.run(pick.Config(study=name, out="file/out"))


def test_a_copy_that_breaks_off_leaves_nothing(study):
    name = study()
    Path("runs/toy/teachers/big-teacher-s0/best/dangling").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="cannot copy"):
        pick.run(pick.Config(study=name, out="place/out"))
    assert list(Path("place").iterdir()) == []


def test_records_without_folders_still_tell_the_winner(study):
    """Without the model folders there is nothing to copy."""
    records.write_records(
        "results/other.jsonl", [record("distilled", "a", 0.6, 4.0, study="other")]
    )
    with pytest.raises(
        ConfigError, match=r"picked a-distilled-s0, but its model folder is not here.*--no-copy"
    ):
        pick.run(pick.Config(study="other"))
    assert picked("other")["winner"]["run"] == "a-distilled-s0"


def test_an_exported_model_is_picked_from_its_own_folder(study):
    run = "small-distilled-s0-int8"
    name = study(
        [
            *STUDY,
            record("exported", "small", 0.81, 1.0, 3.0, run=run, details={"candidate": "int8"}),
        ]
    )
    result = pick.run(pick.Config(study=name, max_ms=2, out="out"))
    assert (result["winner"]["role"], result["winner"]["run"]) == ("exported", run)
    assert Path("out/model.safetensors").read_text() == run


def exported(seed, score, candidate="int8-dynamic"):
    run = f"small-distilled-s{seed}"
    details = {"candidate": candidate, "of": run, "drop": 0.0}
    return record(
        "exported",
        "small",
        score,
        1.0,
        3.0,
        seed,
        run=run,
        key=f"{run}-{candidate}",
        details=details,
    )


def test_of_exported_seeds_the_best_on_dev_is_copied(study):
    """An exported model has the dev score of the run it was made of."""
    result = picked(study([*STUDY, exported(0, 0.82), exported(1, 0.80)]), max_ms=2)
    assert (result["winner"]["model"], result["winner"]["seed"]) == (
        "small-distilled int8-dynamic",
        1,
    )


def test_a_folder_exported_again_is_not_passed_off(study):
    """It runs something else by now than what was tested."""
    name = study([*STUDY, exported(0, 0.82)])
    facts = Path("runs/toy/exported/small-distilled-s0/export.json")

    def export(candidate):
        one = {"name": candidate, "file": "model.onnx", "kind": candidate}
        facts.write_text(json.dumps({"default": candidate, "candidates": [one]}))

    export("fp32")
    with pytest.raises(
        ConfigError, match=r"as 'int8-dynamic', but .* now runs 'fp32': export it again"
    ):
        pick.run(pick.Config(study=name, max_ms=2, out="out"))
    export("int8-dynamic")
    assert pick.run(pick.Config(study=name, max_ms=2, out="out"))["out"] == "out"


def test_the_result_can_be_printed_as_json(study):
    result = json.loads(json.dumps(picked(study(), max_ms=5)))
    assert set(result) == {"study", "winner", "out", "lost", "lines"}
    assert set(result["winner"]) == {
        "model",
        "role",
        "score",
        "latency_ms",
        "size_mb",
        "run",
        "seed",
        "seeds",
    }


@pytest.mark.parametrize("budget", [{"max_ms": 0}, {"max_mb": -1}, {"min_score": 75}])
def test_a_budget_that_makes_no_sense_is_refused(budget):

    with pytest.raises(ConfigError, match=next(iter(budget))):
        config.build_config(pick.Config, {"study": "toy", **budget})


def test_the_command_shows_a_table_or_one_object(study, monkeypatch, capsys):
    def say(*words):
        monkeypatch.setattr("sys.argv", ["destila", "pick", study(), *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, capsys.readouterr()

    code, told = say("--max-ms", "5", "--max-mb", "15", "--min-score", "0.75", "--out", "mine")
    assert code == 0
    assert "within budget, 1.2 points lower" in told.out
    assert "model folder: mine" in told.out
    code, told = say("--no-copy", "--json")
    assert (code, json.loads(told.out)["winner"]["model"], told.out.count("\n")) == (0, "big", 1)
    code, told = say("--max-ms", "0.1", "--json")
    assert (code, json.loads(told.out)["error"]["kind"]) == (1, "ConfigError")
    code, told = say("--min-score", "75")
    assert (code, told.err.count("\n")) == (1, 1)
    assert "min_score" in told.err
