"""Our folders in the pipelines of transformers: the same labels and probabilities as ours.

All our architectures are those of transformers, so every folder of weights is loaded there; an
export, which has no weights, is not.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import destila
from destila.model_folder import read_folder
from destila.models import hf, store
from destila.tokenizer.split_words import split_words
from destila.training.predict import window_logits
from destila.types import Example

PAIRS = (
    ("bert", "wordpiece"),
    ("roberta", "bytelevel"),
    ("albert", "unigram"),
    ("albert", "bpe"),
    ("distilbert", "wordpiece"),
)
LABELS = {
    "classify": ("no", "quizás", "sí"),
    "multilabel": ("no", "quizás", "sí"),
    "tag": ("NOUN", "VERB", "PUNCT"),
    "span": ("start", "end"),
}
CLOSE = 1e-5


@pytest.fixture(params=PAIRS, ids="-".join)
def folder_of(request, tmp_path, monkeypatch):
    """Makes the folder of an untrained model of each architecture, with the tokenizer it usually has."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    kind, name = request.param
    tokenizer = request.getfixturevalue(name)

    def make(task: str):
        shape = {"kind": kind, "layers": 1, "hidden": 16, "positions": 64, "init_range": 0.3}
        loaded = hf.load(shape, tokenizer=tokenizer, task=task, labels=LABELS[task], seed=1)
        store.save_model(loaded.model, tokenizer, tmp_path / task, extra={"max_length": 60})
        return tmp_path / task

    return make


def pipeline(task, folder, **options):
    return transformers.pipeline(task, model=str(folder), device="cpu", **options)


@pytest.mark.parametrize("task", ["classify", "multilabel"])
def test_texts_and_pairs_are_classified_alike(folder_of, lines, task):
    folder = folder_of(task)
    texts = [" ".join(line.split()[:4]) for line in lines]  # pipelines cut no text: all fit
    rows = [{"text": a, "pair": b} for a, b in zip(texts[:6], texts[6:12], strict=True)]
    theirs = pipeline("text-classification", folder, top_k=None)
    theirs_of_pairs = [theirs({"text": row["text"], "text_pair": row["pair"]}) for row in rows]
    ours = destila.load(folder).predict([*texts, *rows])
    for answer, scores in zip(ours, [*theirs(texts), *theirs_of_pairs], strict=True):
        said = {each["label"]: each["score"] for each in scores}
        assert said == pytest.approx(answer.probabilities, abs=CLOSE)


def test_words_are_tagged_alike(folder_of, lines):
    """The first token of each word has the word's label, with its probability.

    Words parted by blanks, as taggers learn them: in running text a pipeline has other tokens. Of
    RoBERTa's kind every word has a blank before it, the first one too.
    """
    folder = folder_of("tag")
    texts = [" ".join(line[a:b] for a, b in split_words(line)[:7]) for line in lines]
    model = destila.load(folder)
    predictor = model.labeller.predictor
    blank = " " * (read_folder(folder).config["model_type"] == "roberta")
    read = pipeline("token-classification", folder, ignore_labels=[])
    theirs = [read(blank + text) for text in texts]
    seen = 0
    for text, answer, tokens in zip(texts, model.predict(texts), theirs, strict=True):
        (window,) = predictor.encode([Example("0", text, words=split_words(text))]).features
        places = {token["index"]: token for token in tokens}
        for word, span in enumerate(answer.spans):
            first = places[int(np.flatnonzero(window.unit == word)[0])]
            assert first["entity"] == span.label
            assert first["score"] == pytest.approx(span.probability, abs=CLOSE)
            seen += 1
    assert seen > 100


def test_questions_have_the_same_logits(folder_of, lines):
    """Transformers has no pipeline for questions any more; its model and tokenizer are loaded."""
    folder = folder_of("span")
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for question, context in zip(lines[:5], lines[5:10], strict=True):
        rows = tokenizer(question[:12], context[:20], return_tensors="pt")
        with torch.no_grad():
            answer = model(**rows)
        logits = np.stack([answer.start_logits[0], answer.end_logits[0]], -1)  # [L, 2]

        predictor = destila.load(folder).labeller.predictor
        (window,) = predictor.encode([Example("0", question[:12], context[:20])]).features
        assert window.input_ids.tolist() == rows["input_ids"][0].tolist()
        (ours,) = window_logits(predictor.model, [window], pad_id=tokenizer.pad_token_id)
        np.testing.assert_allclose(ours[: len(logits)], logits, atol=CLOSE)
