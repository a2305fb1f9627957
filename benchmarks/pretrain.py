"""Tokens per second of pre-training ALBETO tiny, paired with transformers' AlbertForMaskedLM and its own collator in one run.

The same shape with 31,000 rows of vocabulary, the same text and tokenizer, as many rows of as many
tokens per step, bf16, masking at 15 % while training; contestants run in turn A B A B and are
compared by the median of paired ratios. Theirs learns masked words alone, of blocks that are cut
anywhere (no padding, as transformers' own example has it), with AdamW; ours masked words and
sentence order, of packed pairs, with LAMB. Only real tokens count. The first steps of every turn
are not timed; evaluation, checkpoints and logging are off on both sides.

    python benchmarks/pretrain.py [--rounds 3] [--steps 12] [--rows 64] [--length 128] [--threads 2]
        [--optimizer lamb] [--heap kept]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from destila.corpus.build_corpus import CorpusOptions, build_corpus
from destila.corpus.shards import Shards, open_shards
from destila.cpu import available as threads_available
from destila.losses.weighted import build_loss
from destila.measuring import machine
from destila.models import hf_config, mlm
from destila.models.presets import PRESETS
from destila.pretraining.data.batch_stream import BatchStream, FeedOptions
from destila.pretraining.objective import OBJECTIVE
from destila.pretraining.packed import Batches
from destila.pretraining.pretrain_loop import pretrain
from destila.pretraining.pretrain_options import PretrainOptions
from destila.tokenizer import tokenizer as tokenizers
from destila.training import kept_memory

WARM = 3
"""Steps of every turn that are not timed."""


def _unseen(_step: int) -> dict[str, float]:
    return {}


def ours(shards: Shards, tokenizer: tokenizers.Tokenizer, asked: argparse.Namespace) -> float:
    """Real tokens per second of `destila pretrain`'s loop."""
    config = PRESETS["albeto-tiny"]
    model = mlm.build_masked_model(config, seed=0, order=True)
    source = Batches(BatchStream([shards], tokenizer, FeedOptions(), seed=0))
    stage = {"steps": asked.steps + WARM, "length": asked.length, "rows": asked.rows}
    options = PretrainOptions(
        stages=(stage,),
        optimizer=asked.optimizer,
        precision="bf16",
        evaluate_every=10**9,
        save_minutes=10**9,
    )
    terms = build_loss([{"use": "hard"}, {"use": "order"}])
    began, before = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for step in pretrain(
            model, OBJECTIVE, terms, source, _unseen, options, seed=0, folder=Path(folder)
        ):
            if step.step == WARM:
                began, before = time.perf_counter(), step.tokens
            if step.step == options.steps:
                return (step.tokens - before) / (time.perf_counter() - began)
    raise AssertionError("a run ends with its last step")


class Clock(TrainerCallback):
    """The time after the warm-up and after the last step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Notes the time."""
        self.times.append(time.perf_counter())


def theirs(blocks: list[dict[str, list[int]]], folder: Path, asked: argparse.Namespace) -> float:
    """Real tokens per second of transformers' Trainer."""
    torch.manual_seed(0)
    model = AlbertForMaskedLM(
        AlbertConfig.from_dict(hf_config.hf_config_of(PRESETS["albeto-tiny"], "mlm", ()))
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            max_steps=asked.steps + WARM,
            per_device_train_batch_size=asked.rows,
            bf16=True,
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
        trainer = Trainer(
            model, arguments, train_dataset=blocks, data_collator=collator, callbacks=[clock]
        )
        trainer.remove_callback(PrinterCallback)  # standard output is for the result
        trainer.train()
    return asked.steps * asked.rows * asked.length / (clock.times[-1] - clock.times[WARM - 1])


def blocks_of(
    shards: Shards, length: int, count: int, cls: int, sep: int
) -> list[dict[str, list[int]]]:
    """The corpus cut into rows of one length, as transformers' example does; more than enough for a turn."""
    tokens = np.concatenate([np.asarray(shards[i].tokens, np.int64) for i in range(len(shards))])
    body = tokens[: len(tokens) // (length - 2) * (length - 2)].reshape(-1, length - 2)[:count]
    return [
        {"input_ids": [cls, *row.tolist(), sep], "attention_mask": [1] * length} for row in body
    ]


def main() -> None:
    """Run the contestants in turn and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=threads_available())
    parser.add_argument(
        "--heap",
        default="kept",
        choices=["kept", "returned"],
        help="freed memory, both contestants'",
    )
    parser.add_argument("--optimizer", default="lamb", choices=["lamb", "adamw"])
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(asked.threads)
    if asked.heap == "kept":
        kept_memory.keep_heap()
    models = Path(os.environ["DESTILA_MODELS"])
    tokenizer = tokenizers.load_tokenizer(models / "mini-es")
    speeds: dict[str, list[float]] = {"destila": [], "transformers": []}
    with tempfile.TemporaryDirectory() as folder:
        made = CorpusOptions(
            files=("corpus_es/misc.txt.zst",),
            out=str(Path(folder) / "corpus"),
            tokenizer=str(models / "mini-es"),
        )
        build_corpus(made)
        shards = open_shards(made.out, tokenizer)
        count = (asked.steps + WARM) * asked.rows
        blocks = blocks_of(shards, asked.length, count, tokenizer.cls_id, tokenizer.sep_id)
        short = argparse.Namespace(**{**vars(asked), "steps": 1})
        for turn in [short] + [
            asked
        ] * asked.rounds:  # the first one warms thread pools and kernels
            AcceleratorState._reset_state()
            one = ours(shards, tokenizer, turn)
            AcceleratorState._reset_state()  # one process, several precisions: accelerate remembers the first
            other = theirs(blocks, models / "mini-es", turn)
            if turn is asked:
                speeds["destila"].append(one)
                speeds["transformers"].append(other)
    ratio = median(a / b for a, b in zip(speeds["destila"], speeds["transformers"], strict=True))
    result = {
        "tokens_per_second": {name: round(median(values)) for name, values in speeds.items()},
        "destila_over_transformers": round(ratio, 2),
        **vars(asked),
        "cpu": machine.cpu(),
        "instructions": machine.instructions(),
        "versions": machine.versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
