"""Whole studies on a GPU: teachers label there, caches are shared, a live teacher is timed, records say where."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from destila.inference.labeller import Labeller
from destila.measuring.torch_targets import predictor_target
from destila.study import testing
from destila.study.planning.open_models import load_for_study, predictor_of
from destila.study.planning.recipe import read_recipe
from destila.study.run import run_study
from destila.training.devices import device_label
from tests.fixtures.studies import study_of

TERMS = {
    "logits": "[distil]\n",
    "live": '[distil]\nstates = "live"\nterms = [{ use = "hidden" }, { use = "kl" }]\n',
    "cached": '[distil]\nterms = [{ use = "hidden" }, { use = "kl" }]\n',
}


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("data", ["demo_intents", "demo_tags"])
def test_a_study_runs_and_its_records_say_where(tiny, data, terms, fast_testing, device):
    """Teacher on the device, students, tests there, times on the CPU, as the recipe says."""
    path = tiny(data, TERMS[terms])
    result = run_study(read_recipe(str(path), ["measure.texts=2", "measure.repeats=1"]))
    assert "failed" not in result
    records = study_of(path).recorded.values()
    by_torch = [record for record in records if record.conditions.backend == "torch"]
    assert {record.role for record in by_torch} >= {"teacher", "distilled"}
    for record in by_torch:
        assert record.conditions.device == "cpu"
        assert {each.conditions.device for each in record.latency} == {"cpu"}
        where = record.details.get("scored", "cpu")
        assert where.startswith(device_label(device))


def test_models_are_timed_on_the_gpu_where_the_recipe_says_so(tiny, untrained, device):
    study = study_of(tiny(), f"measure.device='{device.type}'", "measure.texts=3")
    folder = untrained("classify", study.labels, positions=64)
    loaded = load_for_study(study, folder)
    predictor = predictor_of(study, loaded, device=torch.device("cpu"))
    tested = testing.TestedModel(
        key="", run="r", role="evaluated", model="m", seed=0, seconds=0.0, predictor=predictor,
        params=1, size_bytes=1, macs={}, config={}, details={},
    )  # fmt: skip
    times = testing.time_together(study, [tested], study.dataset.splits["test"])
    assert {each.conditions.device for each in times.latency[0]} == {device_label(device)}
    # and it predicts where it did before
    list(predictor.predict(study.dataset.splits["test"][:2]))
    assert next(predictor.model.parameters()).device.type == "cpu"


def test_a_model_that_went_elsewhere_is_brought_back(tiny, untrained, device):
    """As a live teacher leaves it: on the student's device, whatever its predictor's is."""
    study = study_of(tiny())
    loaded = load_for_study(study, untrained("classify", study.labels))
    predictor = predictor_of(study, loaded, device=torch.device("cpu"))
    texts = study.dataset.splits["test"][:3]
    before = predictor.logits(texts)
    loaded.model.to(device)
    after = predictor.logits(texts)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_teacher_labels_on_the_gpu_what_it_labels_on_a_cpu(tiny, untrained, device, precision):
    study = study_of(tiny("demo_tags"))
    loaded = load_for_study(study, untrained("tag", study.labels, positions=64))
    texts = study.dataset.splits["train"]
    here = predictor_of(study, loaded, device=torch.device("cpu")).logits(texts)
    there = predictor_of(study, loaded, device=device, precision=precision).logits(texts)
    most = max(np.abs(row).max() for row in here)
    for a, b in zip(here, there, strict=True):
        assert np.abs(a - b).max() < (1e-3 if precision == "fp32" else 0.05) * most


def test_rows_of_another_precision_are_another_cache(tiny, untrained):
    study = study_of(tiny())
    teacher = load_for_study(study, untrained("classify", study.labels))
    plain = teacher.spec(32, "text")
    assert teacher.spec(32, "text", precision="fp32") == plain
    assert teacher.spec(32, "text", precision="bf16") == {**plain, "precision": "bf16"}


def test_texts_are_labelled_on_the_device_that_is_named(untrained, device):
    folder = untrained("classify", ("no", "sí"))
    texts = ["Hola.", "¿Cuándo llega el tren?", "Muy bien, gracias."] * 20
    here = [answer.label for answer in Labeller(folder).answers(texts)]
    labeller = Labeller(folder, device=device.type)
    there = [answer.label for answer in labeller.answers(texts)]
    assert here == there
    assert next(labeller.predictor.model.parameters()).device.type == device.type


def test_a_target_on_a_gpu_is_named_and_waited_for(tiny, untrained, device):
    study = study_of(tiny())
    loaded = load_for_study(study, untrained("classify", study.labels))
    predictor = predictor_of(study, loaded, device=device)
    predictor.model.to(device)
    target = predictor_target(
        predictor, study.task, name="m", params=1, size_bytes=1, dtype="float32"
    )
    assert target.device == device_label(device)
    assert (target.synchronize is None) is (device.type == "cpu")
    ids = np.arange(5, 12)
    call = target.forward([(ids, np.zeros_like(ids))])
    assert call().logits.device.type == device.type
