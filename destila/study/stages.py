"""Training in stages: each one a job that starts from the weights the one before it kept.

General before task-specific, or hidden states before answers (TinyBERT, Jiao et al. 2020, section 3). Only the last
stage is the student: its folder is the student's own, the others lie beside it, and a key names all before it.
"""

from __future__ import annotations

from dataclasses import replace

from destila.errors import ConfigError
from destila.losses.weighted import build_loss
from destila.study.data import Study
from destila.study.recipe import StudentSpec
from destila.study.training import Job


def staged(study: Study, student: StudentSpec, job: Job) -> Job:
    """The job of the last stage, which knows those before it; the given job when the recipe has no stages.

    job: the distillation without stages. Raises ConfigError for a stage on texts that are not there, or on texts
    without labels that wants labels.
    """
    last = job
    recipe = study.recipe
    stages = recipe.distil_of(student).stages
    for i, stage in enumerate(stages):
        terms = stage.terms or job.terms
        loss = build_loss(terms, class_counts=study.class_counts)
        # without a term that teaches answers, dev scores say nothing: the last weights are the ones to keep
        usual = {} if loss.answers else {"select": "last"}
        final = i + 1 == len(stages)
        last = replace(
            job,
            folder=job.folder if final else job.folder.with_name(f"{job.folder.name}-{stage.name}"),
            options=recipe.distil_options(student, usual, stage.train),
            terms=terms,
            start=last if i else None,
            labelled=stage.data != "unlabelled",
            unlabelled=() if stage.data == "labelled" else job.unlabelled,
            made=None if stage.data == "labelled" else job.made,
        )
        where = f"stage '{stage.name}': data = 'unlabelled'"
        if not last.size(study):
            raise ConfigError(
                f"{where}, and there are no such texts: give distil.unlabelled or distil.augment"
            )
        if not last.labelled and not loss.needs_teacher:
            raise ConfigError(
                f"{where}, but none of its terms asks a teacher, so there is nothing to learn"
            )
    return last
