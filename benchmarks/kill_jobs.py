"""The commands that `kills.py` kills: what each needs, and which of its files are compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORDS = "la casa el niño come en España y vive con su madre cerca del mar azul todo año"

BEST = "runs/study/students/student-distilled-s0/best"

RECIPE = """
name = "study"
max_length = 48

[data]
use = "demo_intents"
train = 60
dev = 24
test = 24

[[teachers]]
name = "teacher"
shape = { kind = "bert", layers = 2, hidden = 32, heads = 2 }
tokenizer = { kind = "bpe", vocab_size = 400 }

[[students]]
name = "student"
shape = { kind = "albert", layers = 1, hidden = 16, heads = 2 }
tokenizer = { kind = "wordpiece", vocab_size = 400 }

[train]
epochs = 2
batch_size = 16
lr = 2e-3
precision = "fp32"
save_minutes = 0.0

[measure]
texts = 0
"""

SEARCH = """
[search]
space = { "train.lr" = [2e-3, 4e-3] }
"""

PRETRAIN = """
name = "pre"

[tokenizer]
vocab_size = 300
max_length = 64

[[corpora]]
files = ["text.txt"]
filters = { min_function_words = 0.0 }

[model]
shape = { kind = "albert", layers = 2, hidden = 24, heads = 2, embedding = 16, ffn = 48 }

[feed]
stretch = 64
block = 512
heldout = 0.2

[train]
stages = [{ steps = 9, length = 24, rows = 4 }, { steps = 9, length = 32, rows = 4 }]
evaluate_every = 5

[evaluation]
tokens = 500
length = 32
probe = { pos = "", ner = "" }
"""


@dataclass(frozen=True)
class Job:
    """A command in a folder that was prepared for it.

    Args:
        words: of the command, without `destila`.
        prepare: fills the folder before; None: nothing is needed.
        outputs: folders and files that are compared; the teacher cache is `cache`.
    """

    words: tuple[str, ...]
    prepare: Callable[[Path, Path], None]
    outputs: tuple[str, ...]


def bring(*names: str) -> Callable[[Path, Path], None]:
    """Return what copies some of the shared files into a job's folder."""

    def copy(folder: Path, shared: Path) -> None:
        for name in names:
            source = shared / name
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)

    return copy


def bring_teacher(folder: Path, shared: Path) -> None:
    """Copy a study that is trained up to its teacher: what is next is to fill the cache."""
    bring("study.toml", "runs/study/teachers")(folder, shared)


def bring_model(folder: Path, shared: Path) -> None:
    """Copy a trained model without its study: its export takes seconds."""
    shutil.copytree(shared / BEST, folder / "best")


def bring_search(folder: Path, shared: Path) -> None:
    """Write a recipe that tries two rates."""
    bring("runs/study/teachers")(folder, shared)
    (folder / "search.toml").write_text(RECIPE + SEARCH, encoding="utf-8")


def bring_pretraining(folder: Path, shared: Path) -> None:
    """Copy the texts and write a recipe of a pre-training of a few steps."""
    bring("text.txt", "tok")(folder, shared)
    (folder / "pre.toml").write_text(PRETRAIN, encoding="utf-8")


JOBS = {
    "run": Job(("run", "study.toml"), bring("study.toml"), ("runs", "cache")),
    "cache": Job(("distil", "study.toml"), bring_teacher, ("runs", "cache")),
    "export": Job(("export", "best", "--out", "out"), bring_model, ("out",)),
    "corpus": Job(
        (
            *("corpus", "text.txt", "--tokenizer", "tok", "--out", "corpus"),
            *("--set", "workers=2", "--set", "piece_characters=5000"),
        ),
        bring("text.txt", "tok"),
        ("corpus",),
    ),
    "pretrain": Job(("pretrain", "pre.toml"), bring_pretraining, ("runs", "cache")),
    "evaluate": Job(
        ("evaluate", "study.toml", "--model", BEST, "--out", "out"),
        bring("study.toml", BEST),
        ("out",),
    ),
    "verify": Job(("verify", "runs/study"), bring("runs/study"), ("runs",)),
    "search": Job(
        ("search", "search.toml"),
        bring_search,
        ("runs",),
    ),
    "tokenizer": Job(
        ("tokenizer", "text.txt", "--out", "tok", "--vocab-size", "500"),
        bring("text.txt"),
        ("tok",),
    ),
    "predict": Job(
        ("predict", BEST, "new.txt", "--out", "answers.jsonl"),
        bring("new.txt", BEST),
        ("answers.jsonl",),
    ),
}
