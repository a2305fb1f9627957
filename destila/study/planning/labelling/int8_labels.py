"""A teacher that labels in 8 bits, where dev proves that its answers lose next to nothing.

Labelling is most of what a distillation with much unlabelled text costs on a machine without a GPU.
The teacher's int8 graph answers about as a student's does: each window a call of its own, without
padding. It is used only where the main dev score drops by MAX_DROP at most, else the model itself
labels. The verdict is kept beside the graph, so that a study that goes on labels as it began.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from destila import cpu
from destila.errors import CacheError
from destila.exporting.build import CandidateBuilder
from destila.exporting.kinds import CandidateName
from destila.files import write_json
from destila.inference.session import Session, feeds, open_session
from destila.measuring.sample_texts import spread
from destila.models.heads import Model
from destila.models.store import new_folder
from destila.reading.values import read_json_object
from destila.study.planning.data import Study
from destila.teachers.teacher import Teacher
from destila.types import Example, Features, UnitLogits

log = logging.getLogger(__name__)

MAX_DROP = 0.002
"""Most that the main dev score may drop for a teacher to label in 8 bits: 0.2 points."""

_KIND: CandidateName = "int8-dynamic"
_FACTS = "int8.json"
_CALIBRATIONS = 128  # training texts on which channels are evened out


@dataclass(frozen=True, slots=True)
class Int8Labeller:
    """A teacher's int8 graph, open on as many threads as there are.

    Args:
        study: whose task and lengths count.
        teacher: whose graph it is.
        session: the open graph.
        pool: of the threads that call it.
        name: what tells its rows from other ones of the same teacher, of the graph's bytes.
    """

    study: Study
    teacher: Teacher
    session: Session
    pool: ThreadPoolExecutor
    name: str

    @classmethod
    def open(cls, study: Study, teacher: Teacher, file: Path) -> Int8Labeller:
        """Open a graph that `label_in_int8` wrote."""
        threads = cpu.threads()
        session = open_session(file, threads=threads, callers=threads, kind=_KIND)
        pool = ThreadPoolExecutor(threads, thread_name_prefix="destila")
        digest = hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
        return cls(study, teacher, session, pool, f"{_KIND} {digest}")

    def logits(self, examples: Sequence[Example]) -> UnitLogits:
        """Return the logits per unit [U, C] of every example: what a teacher's cache keeps."""
        return self.study.task.unit_logits(*self._window_logits(examples))

    def main_score(self, examples: Sequence[Example]) -> float:
        """Return the main score of its answers."""
        task, labels = self.study.task, self.study.labels
        rows = task.join_windows(*self._window_logits(examples))
        return task.score(examples, task.decode(examples, rows, labels), labels)[self.study.main]

    def _window_logits(
        self, examples: Sequence[Example]
    ) -> tuple[Sequence[Features], list[np.ndarray]]:
        """Return the windows of some examples, and the logits [C] or [L, C] of each."""
        windows = _windows(self.study, self.teacher, examples)
        inputs = [feeds(window.input_ids, window.type_ids) for window in windows]
        return windows, [batch[0] for batch in self.pool.map(self.session, inputs)]


def label_in_int8(
    study: Study, teacher: Teacher, folder: Path, *, dev: float
) -> Int8Labeller | None:
    """Return a teacher's int8 graph as what labels; None where the model itself must.

    The graph and the verdict are written once, and read by the next process.

    Args:
        study: whose dev split judges.
        teacher: the model.
        folder: of the graph and the verdict.
        dev: main dev score of the model itself.
    """
    if not isinstance(teacher.model, Model):
        log.warning(
            "teacher %s labels as it is: int8 is for encoders of destila's own", teacher.source
        )
        return None

    # A verdict on another model, or on another dev split, is none.
    about = {"teacher": teacher.fingerprint, "data": study.key, "max_drop": MAX_DROP}
    facts = _read_facts(folder / _FACTS)
    if {key: facts.get(key) for key in about} != about:
        with new_folder(folder, what="int8 teacher") as place:
            facts = about | _judged(study, teacher, teacher.model, place, dev)
            write_json(place / _FACTS, facts)

    log.info(
        "teacher %s %s: its dev score is %.4f in 8 bits, %.4f as it is",
        teacher.source,
        "labels in 8 bits" if facts["used"] else "labels as it is",
        facts["score"],
        dev,
    )
    if not facts["used"]:
        return None
    return Int8Labeller.open(study, teacher, folder / facts["file"])


def _judged(
    study: Study, teacher: Teacher, model: Model, folder: Path, dev: float
) -> dict[str, Any]:
    """Build a teacher's int8 graph and return how it does on dev."""
    model.to("cpu")
    training = spread(study.dataset.splits["train"], _CALIBRATIONS)
    known = [(w.input_ids, w.type_ids) for w in _windows(study, teacher, training)]
    # Everything is evened out: a teacher of twelve layers lost 0.2 points so, 0.3 with the usual
    # choice, which spares a small student some nodes.
    candidate = CandidateBuilder(model, (), known[:_CALIBRATIONS], uneven=0).build(_KIND, folder)
    labeller = Int8Labeller.open(study, teacher, folder / candidate.file)
    score = labeller.main_score(study.dataset.splits["dev"])
    return {"file": candidate.file, "score": score, "used": dev - score <= MAX_DROP}


def _windows(study: Study, teacher: Teacher, examples: Sequence[Example]) -> Sequence[Features]:
    """Return the windows that a teacher reads of some examples, whose targets do not count."""
    plain = [Example(e.id, e.text, e.pair, e.words) for e in examples]
    longest = min(study.recipe.max_length, teacher.max_length)
    task, tokenizer = study.task, teacher.tokenizer
    return task.encode(plain, tokenizer, study.labels, max_length=longest).features


def _read_facts(file: Path) -> dict[str, Any]:
    """Return a verdict; nothing where there is none, or a damaged one."""
    if not file.is_file():
        return {}
    try:
        return read_json_object(file, CacheError, remedy="delete it")
    except CacheError:
        return {}
