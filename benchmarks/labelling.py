"""How fast a teacher labels in 8 bits against torch in fp32, and what it loses on dev.

Bar: 3 times the rate, the main dev score at most 0.2 points down. Both read the same texts of the
recipe's training split in turns A B A B, in the same run on the same threads; the result is the
median of the paired ratios. `distil.label_in = "int8"` fills a study's cache in the same way.

    python benchmarks/labelling.py RECIPE MODEL [--texts 256] [--turns 7]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from destila import cpu
from destila.measuring import machine
from destila.measuring.sample_texts import spread
from destila.study.planning.data import load_study
from destila.study.planning.labelling.int8_labels import label_in_int8
from destila.study.planning.open_models import load_for_study, predictor_of
from destila.study.planning.recipe import read_recipe
from destila.teachers.cache import PredictRows
from destila.types import Example


def seconds(answers: PredictRows, texts: list[Example]) -> float:
    """Seconds that the logits of some texts take."""
    start = time.perf_counter()
    assert len(list(answers(texts))) == len(texts)
    return time.perf_counter() - start


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("model")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()

    study = load_study(read_recipe(arguments.recipe, ()))
    teacher = load_for_study(study, Path(arguments.model))
    exact = predictor_of(study, teacher)
    dev = study.dataset.splits["dev"]
    predictions = study.task.decode(dev, exact.rows(dev), study.labels)
    score = study.task.score(dev, predictions, study.labels)[study.main]

    texts = list(spread(study.dataset.splits["train"], arguments.texts))
    with tempfile.TemporaryDirectory() as place:
        labeller = label_in_int8(study, teacher, Path(place) / "int8", dev=score)
        facts = json.loads((Path(place) / "int8" / "int8.json").read_text(encoding="utf-8"))
        if labeller is None:
            print(json.dumps({"refused": facts["score"] - score, **facts}, indent=1))
            return
        pairs = [
            (seconds(exact.logits, texts), seconds(labeller.logits, texts))
            for _ in range(arguments.turns)
        ]

    ratios = [one / other for one, other in pairs]
    low, _, high = quantiles(ratios, n=4)
    result = {
        "ratio": median(ratios),
        "quartiles": [low, high],
        "texts_per_second": {
            "torch fp32": len(texts) / median(one for one, _ in pairs),
            "int8": len(texts) / median(other for _, other in pairs),
        },
        "dev": {"torch fp32": score, "int8": facts["score"]},
        "threads": cpu.threads(),
        "cpu": machine.cpu(),
        "versions": machine.versions(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
