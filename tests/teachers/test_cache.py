"""The teacher cache: found by text, kept through kills, refused when damaged."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from destila.errors import CacheError
from destila.teachers import cache as module
from destila.teachers.cache import Cache
from destila.teachers.cache_list import list_caches
from destila.types import Example

SPEC = module.cache_spec(
    teacher="t1",
    tokenizer="k1",
    max_length=128,
    task="tag",
    unit="first sub-token",
    labels=["A", "B", "C"],
    source="toy",
)


def example(i, words=None):
    """Example number i: `words` words of five letters (default: one to seven of them)."""
    count = words or i % 7 + 1
    text = " ".join(f"w{i:04d}" for _ in range(count))
    return Example(str(i), text, words=tuple((6 * j, 6 * j + 5) for j in range(count)))


def answer(e):
    """The toy teacher: numbers that name the example and the unit, exact in half precision."""
    number = float(e.text[1:5])
    return np.array([[number, unit, -1.0] for unit in range(len(e.words))], np.float32)


class Teacher:
    def __init__(self):
        self.asked = []

    def __call__(self, examples):
        self.asked += [e.id for e in examples]
        return [answer(e) for e in examples]


def filled(folder, count=50, chunk=10, dtype="float16"):
    cache = Cache.open(folder, SPEC, 3, dtype)
    cache.fill([example(i) for i in range(count)], Teacher(), chunk=chunk)
    return cache


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_come_back_by_text_in_any_order_after_a_new_open(tmp_path, dtype):
    filled(tmp_path / "c", dtype=dtype)
    shuffled = [example(int(i)) for i in np.random.default_rng(0).permutation(50)]
    view = Cache.open(tmp_path / "c", SPEC, 3, dtype).rows(shuffled)
    assert len(view) == 50
    assert view[0].dtype == dtype
    for row, e in zip(view, shuffled, strict=True):
        np.testing.assert_array_equal(row, answer(e))


def test_only_missing_examples_are_asked_about(tmp_path):
    cache = filled(tmp_path / "c", count=20)
    teacher = Teacher()
    assert cache.missing([example(5), example(30)]) == [1]
    assert cache.fill([example(i) for i in range(25)], teacher) == 5
    assert teacher.asked == ["20", "21", "22", "23", "24"]
    assert cache.fill([example(i) for i in range(25)], teacher) == 0


def test_equal_texts_are_stored_once(tmp_path):
    """Equal texts are stored once, whatever their id and target."""
    cache = Cache.open(tmp_path / "c", SPEC, 3)
    twin = Example("other id", example(3).text, words=example(3).words, target=("A",) * 4)
    assert cache.missing([example(3), twin, example(4)]) == [0, 2]
    assert cache.fill([example(3), twin, example(4)], Teacher()) == 2
    assert len(cache) == 2
    np.testing.assert_array_equal(cache.rows([twin])[0], answer(example(3)))


def test_text_pair_and_words_all_count_in_the_key():
    variants = [
        Example("", "ab", "c"),
        Example("", "a", "bc"),
        Example("", "abc"),
        Example("", "abc", ""),
        Example("", "abc", words=((0, 1), (1, 3))),
        Example("", "abc", words=((0, 2), (2, 3))),
        Example("", "ábc"),
    ]
    assert len({tuple(key) for key in module.example_keys(variants)}) == len(variants)


def test_rows_view_is_read_only_and_lies_on_the_file(tmp_path):
    view = filled(tmp_path / "c").rows([example(1)])
    assert not view[0].flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0][0, 0] = 1


def test_rows_never_filled_are_an_error_with_the_name(tmp_path):
    """Rows of an example never filled are an error that names it."""
    with pytest.raises(CacheError, match=r"1 of 2 examples \(first: '77'\)"):
        filled(tmp_path / "c").rows([example(1), example(77)])


def test_an_empty_cache_gives_no_rows_and_misses_everything(tmp_path):
    cache = Cache.open(tmp_path / "c", SPEC, 3)
    assert cache.missing([example(0), example(1)]) == [0, 1]
    assert len(cache.rows([])) == 0
    assert cache.fill([], Teacher()) == 0


def test_fill_sees_what_another_process_has_filled(tmp_path):
    """A cache opened before another process filled sees its rows when it fills."""
    early = Cache.open(tmp_path / "c", SPEC, 3)
    filled(tmp_path / "c")
    teacher = Teacher()
    assert early.fill([example(i) for i in range(50)], teacher) == 0
    assert teacher.asked == []
    np.testing.assert_array_equal(early.rows([example(9)])[0], answer(example(9)))


def test_progress_hears_of_every_chunk(tmp_path):
    seen = []
    cache = Cache.open(tmp_path / "c", SPEC, 3)
    cache.fill(
        [example(i) for i in range(25)], Teacher(), chunk=10, progress=lambda *a: seen.append(a)
    )
    assert seen == [(10, 25), (20, 25), (25, 25)]


# damage


def test_truncated_rows_are_refused_on_open_with_the_remedy(tmp_path):
    cache = filled(tmp_path / "c")
    os.truncate(cache.folder / "rows.bin", 100)
    with pytest.raises(CacheError, match=rf"damaged.*delete folder {cache.folder}"):
        Cache.open(cache.folder, SPEC, 3)


@pytest.mark.parametrize("at", [5, 40, 300])
def test_a_changed_byte_of_the_index_is_refused_on_open(tmp_path, at):
    index = filled(tmp_path / "c").folder / "index.bin"
    data = bytearray(index.read_bytes())
    data[at] ^= 1
    index.write_bytes(data)
    with pytest.raises(CacheError, match="delete folder"):
        Cache.open(tmp_path / "c", SPEC, 3)


def test_a_changed_byte_of_the_rows_is_refused(tmp_path):
    """A changed byte of the rows is refused before they are read."""
    rows = filled(tmp_path / "c").folder / "rows.bin"
    data = bytearray(rows.read_bytes())
    data[len(data) // 2] ^= 1
    rows.write_bytes(data)
    with pytest.raises(CacheError, match="delete folder"):
        Cache.open(tmp_path / "c", SPEC, 3).rows([example(0)])


@pytest.mark.parametrize("cut", [1, 30, 150])
def test_a_torn_tail_of_the_index_is_dropped_and_filled_again(tmp_path, cut):
    index = filled(tmp_path / "c").folder / "index.bin"
    os.truncate(index, index.stat().st_size - cut)
    teacher = Teacher()
    cache = Cache.open(tmp_path / "c", SPEC, 3)
    assert len(cache) == 40
    assert cache.fill([example(i) for i in range(50)], teacher) == 10
    again = Cache.open(tmp_path / "c", SPEC, 3)
    for i in range(50):
        np.testing.assert_array_equal(again.rows([example(i)])[0], answer(example(i)))
    assert (tmp_path / "c" / "rows.bin").stat().st_size == sum(
        answer(example(i)).size * 2 for i in range(50)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": "t2"},
        {"tokenizer": "k2"},
        {"max_length": 64},
        {"task": "classify"},
        {"labels": ["B", "A"]},
    ],
)
def test_a_folder_of_another_spec_is_refused(tmp_path, change):
    """A folder made with another spec is refused and says what differs."""
    filled(tmp_path / "c")
    plain = {
        "unit": "first sub-token",
        "teacher": "t1",
        "tokenizer": "k1",
        "max_length": 128,
        "task": "tag",
        "labels": ["A", "B", "C"],
    }
    with pytest.raises(CacheError, match=rf"another .*{next(iter(change))}.*delete folder"):
        Cache.open(tmp_path / "c", module.cache_spec(**(plain | change)), 3)


def test_another_dtype_is_another_cache(tmp_path):
    filled(tmp_path / "c", dtype="float16")
    with pytest.raises(CacheError, match="dtype"):
        Cache.open(tmp_path / "c", SPEC, 3, "float32")
    with pytest.raises(CacheError, match="float16 or float32"):
        Cache.open(tmp_path / "d", SPEC, 3, "int8")


def test_the_teachers_name_is_not_part_of_the_key(tmp_path):
    filled(tmp_path / "c")
    assert len(Cache.open(tmp_path / "c", SPEC | {"source": "elsewhere"}, 3)) == 50


def test_a_newer_format_is_refused(tmp_path):
    meta = filled(tmp_path / "c").folder / "meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"format": 99}))
    with pytest.raises(CacheError, match="format 99"):
        Cache.open(tmp_path / "c", SPEC, 3)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}'])
def test_an_unreadable_meta_file_is_refused(tmp_path, text):
    (filled(tmp_path / "c").folder / "meta.json").write_text(text)
    with pytest.raises(CacheError, match="delete folder"):
        Cache.open(tmp_path / "c", SPEC, 3)


def test_somebody_elses_folder_is_not_turned_into_a_cache(tmp_path):
    (tmp_path / "letter.txt").write_text("hola")
    with pytest.raises(CacheError, match=r"letter\.txt"):
        Cache.open(tmp_path, SPEC, 3)
    with pytest.raises(CacheError, match="is a file"):
        Cache.open(tmp_path / "letter.txt", SPEC, 3)


# teachers that misbehave


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_not_finite_keep_earlier_chunks(tmp_path, value):
    """Logits that are not finite name the example and keep earlier chunks."""

    def broken(examples):
        return [answer(e) if e.id != "13" else np.full_like(answer(e), value) for e in examples]

    cache = Cache.open(tmp_path / "c", SPEC, 3)
    with pytest.raises(CacheError, match="example '13' are not finite"):
        cache.fill([example(i) for i in range(30)], broken, chunk=10)
    assert len(Cache.open(tmp_path / "c", SPEC, 3)) == 10


def test_logits_too_large_for_half_precision_name_the_remedy(tmp_path):
    with pytest.raises(CacheError, match=r"1e\+05, too large for float16: use float32"):
        Cache.open(tmp_path / "c", SPEC, 3).fill([example(1)], lambda _: [np.full((2, 3), 1e5)])


def test_logits_of_another_shape_are_refused(tmp_path):
    with pytest.raises(CacheError, match=r"\[2, 4\], not \[units, 3\]"):
        Cache.open(tmp_path / "c", SPEC, 3).fill([example(1)], lambda _: [np.zeros((2, 4))])


def test_a_disk_too_small_is_refused_before_the_teacher_runs(tmp_path, monkeypatch):
    """A disk too small is refused before the teacher is asked."""
    usage = module.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    teacher = Teacher()
    with pytest.raises(CacheError, match="DESTILA_CACHE"):
        Cache.open(tmp_path / "c", SPEC, 3).fill([example(i) for i in range(50)], teacher)
    assert teacher.asked == []


# processes

CHILD = """
import sys, time
sys.path.insert(0, {here!r})
import importlib.util
spec = importlib.util.spec_from_file_location("toys", {file!r})
toys = importlib.util.module_from_spec(spec); spec.loader.exec_module(toys)
folder, first, last, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
def slow(examples):
    time.sleep(pause)
    return toys.Teacher()(examples)
cache = toys.Cache.open(toys.Path(folder), toys.SPEC, 3)
print(cache.fill([toys.example(i) for i in range(first, last)], slow, chunk=5))
"""


def child(*arguments, before=""):
    code = before + CHILD.format(here=str(Path(__file__).parent), file=__file__)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def holds_exactly(folder, numbers):
    cache = Cache.open(folder, SPEC, 3)
    view = cache.rows([example(i) for i in numbers])
    return len(cache) == len(numbers) and all(
        np.array_equal(view[j], answer(example(i))) for j, i in enumerate(numbers)
    )


def test_a_killed_filling_goes_on_where_it_stopped(tmp_path):
    """A killed filling keeps its chunks and goes on where it stopped."""
    folder = tmp_path / "c"
    process = child(folder, 0, 500, 0.01)
    deadline = time.monotonic() + 20
    while not ((folder / "index.bin").exists() and len(Cache.open(folder, SPEC, 3)) >= 20):
        assert time.monotonic() < deadline, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = len(Cache.open(folder, SPEC, 3))
    assert 20 <= kept < 500
    teacher = Teacher()
    assert Cache.open(folder, SPEC, 3).fill([example(i) for i in range(500)], teacher) == 500 - kept
    assert holds_exactly(folder, range(500))


def test_two_processes_that_fill_at_once_share_the_work(tmp_path):
    """Two processes that fill at once share the work without damage."""
    both = [child(tmp_path / "c", 0, 120, 0.002), child(tmp_path / "c", 60, 200, 0.002)]
    calls = []
    for process in both:
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        calls.append(int(out))
    assert sum(calls) == 200
    assert holds_exactly(tmp_path / "c", range(200))


def test_a_full_disk_is_one_clear_error_and_the_chunks_survive(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    out, err = (process := child(tmp_path / "c", 0, 200, 0, before=limit)).communicate(timeout=30)
    assert process.returncode == 1, out
    assert "CacheError" in err
    assert "rows are kept" in err
    kept = len(Cache.open(tmp_path / "c", SPEC, 3))
    assert kept >= 5
    assert kept % 5 == 0
    assert holds_exactly(tmp_path / "c", range(kept))


# sizes


def test_the_estimate_is_what_the_disk_then_holds(tmp_path):
    examples = [example(i) for i in range(200)]
    cost = module.estimate_cache(examples, 3, "float16", seconds_per_example=0.3)
    size = filled(tmp_path / "c", count=200, chunk=200).size_bytes
    assert cost["megabytes"] == pytest.approx(size / 1e6, rel=0.01)
    assert cost["minutes"] == pytest.approx(1.0)


def test_entries_lists_sizes_and_names_what_is_broken(tmp_path, monkeypatch):
    monkeypatch.setenv("DESTILA_CACHE", str(tmp_path))
    assert list_caches() == []
    good = Cache.open(None, SPEC, 3)
    good.fill([example(i) for i in range(30)], Teacher())
    (tmp_path / "teacher" / "junk").mkdir()
    first, second = list_caches()
    assert first["folder"] == str(good.folder)
    assert (first["rows"], first["source"], first["task"], first["problem"]) == (
        30,
        "toy",
        "tag",
        None,
    )
    assert first["megabytes"] > 0
    assert "junk" in second["problem"]
