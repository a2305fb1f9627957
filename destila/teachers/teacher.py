"""Any trained classifier or tagger as a teacher: one of our folders, or any transformers model of the same task.

BERT, RoBERTa, ALBERT and DistilBERT run in our own encoder; every other architecture (ELECTRA, XLM-RoBERTa,
DeBERTa...) runs in transformers behind the same `forward(batch) -> Output`. Its logits come out in **our** label
order, matched by name: two models that call class 0 something else would teach nonsense without an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from destila import hub
from destila.config import fingerprint
from destila.errors import ModelError, require
from destila.model_folder import HEADS, FolderInfo, read_folder
from destila.models import hf
from destila.models.architecture import ArchitectureKind
from destila.plugins import nearest
from destila.teachers import cache
from destila.tokenizer import tokenizer as tokenizers
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import Batch, Output, State

_UNIMPORTANT = ("_name_or_path", "transformers_version")
_USUAL_LENGTH = 512  # where neither the model nor the tokenizer states a limit


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained model in evaluation mode, whose logits are in the order of `labels`.

    model: `forward(batch, *, states=()) -> Output`. fingerprint: names weights, configuration and
    label order. max_length: most tokens it reads, specials included. params: number of weights.
    """

    model: nn.Module
    tokenizer: Tokenizer
    task: str
    labels: tuple[str, ...]
    fingerprint: str
    max_length: int
    params: int
    source: str

    def spec(self, max_length: int | None, unit: str) -> dict[str, Any]:
        """What its cached rows depend on beside the text, for `Cache.open`; None is the teacher's own length.

        unit: rule from tokens to units, and windows where they are planned; empty is the task's own.
        """
        return cache.cache_spec(
            teacher=self.fingerprint,
            tokenizer=self.tokenizer.fingerprint,
            max_length=min(max_length or self.max_length, self.max_length),
            task=self.task,
            labels=self.labels,
            unit=unit,
            source=self.source,
        )


def load_teacher(
    source: str | Path,
    task: str,
    labels: Sequence[str],
    *,
    mapping: Mapping[str, str] | None = None,
) -> Teacher:
    """The Teacher in a folder or under a hub name.

    mapping: {their label: ours}, for labels whose names differ. Raises ModelError for another task, a missing head,
    labels that do not match, weights that are missing, do not fit or are not finite.
    """
    info = read_folder(hub.resolve(source, what="teacher"))
    _check_task(info, task)
    permutation = match_labels(info.labels or (), labels, mapping=mapping, where=str(source))
    if info.config.get("model_type") in get_args(ArchitectureKind):
        theirs = [(info.labels or ())[i] for i in permutation]
        loaded = hf.load(info.path, task=task, labels=theirs, head_required=True)
        model: nn.Module = loaded.model
        tokenizer, limit = loaded.tokenizer, loaded.model.config.max_length
    else:
        tokenizer = tokenizers.load_tokenizer(info.path)
        model = _Transformers(_load_transformers(info, task), permutation)
        limit = _limit(model, tokenizer, str(source))
    model.eval().requires_grad_(False)
    return Teacher(
        model=model,
        tokenizer=tokenizer,
        task=task,
        labels=tuple(labels),
        fingerprint=_fingerprint(info, labels, permutation),
        max_length=min(limit, tokenizer.max_length or limit),
        params=sum(p.numel() for p in model.parameters()),
        source=str(source),
    )


def match_labels(
    theirs: Sequence[str],
    ours: Sequence[str],
    *,
    mapping: Mapping[str, str] | None = None,
    where: str = "the teacher",
) -> list[int]:
    """For each of our labels its position among theirs: `their_logits[..., match_labels(theirs, ours)]` is in our order.

    Names match exactly, else without regard to case. mapping: {theirs: ours}; a label it leaves out keeps its name.
    Raises ModelError with both lists when one side has a label that the other lacks.
    """
    mapping = mapping or {}
    for side, known, given in (
        ("teacher", theirs, mapping.keys()),
        ("data", ours, mapping.values()),
    ):
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ModelError(
                f"label map of {where}: the {side} has no label '{unknown[0]}'.{nearest(unknown[0], list(known))}"
            )
    named = [mapping.get(label, label) for label in theirs]
    for spell in (str, str.casefold):
        left, right = [spell(name) for name in named], [spell(name) for name in ours]
        if (
            len(set(left)) == len(left)
            and len(set(right)) == len(right)
            and set(left) == set(right)
        ):
            return [left.index(name) for name in right]
    numbered = bool(theirs) and all(label.startswith("LABEL_") for label in theirs)
    what = "numbers its labels instead of naming them" if numbered else "has other labels"
    raise ModelError(
        f"{where} {what}: teacher {', '.join(theirs) or '(none)'}; data {', '.join(ours)}. "
        "Give a map {theirs = ours} if they mean the same, or another teacher"
    )


def _check_task(info: FolderInfo, task: str) -> None:
    if info.task == task:
        return
    if info.task is None:
        raise ModelError(
            f"teacher {info.path} ({info.architecture or 'no architecture named'}) has no head for '{task}': "
            "fine-tune it first, then give the fine-tuned folder"
        )
    raise ModelError(
        f"teacher {info.path} is for '{info.task}', the data are for '{task}': give another teacher"
    )


class _Transformers(nn.Module):
    """A transformers model behind our forward, its logits in our label order."""

    def __init__(self, inner: Any, permutation: Sequence[int]) -> None:
        super().__init__()
        self.inner = inner
        self._takes_types = (getattr(inner.config, "type_vocab_size", 0) or 0) > 1
        self.permutation: Tensor
        self.register_buffer("permutation", torch.tensor(list(permutation)), persistent=False)

    def forward(self, batch: Batch, *, states: Collection[State] = ()) -> Output:
        """The model's Output for a batch. states: those to keep, hidden and attention alone."""
        types = {"token_type_ids": batch.type_ids} if self._takes_types else {}
        kinds = {kind for kind, _ in states}
        if "attention" in kinds:
            self.inner.set_attn_implementation("eager")  # fused attention never holds its weights
        said = self.inner(
            input_ids=batch.input_ids,
            attention_mask=batch.mask.long(),
            output_hidden_states="hidden" in kinds,
            output_attentions="attention" in kinds,
            **types,
        )
        ends = "start_logits" in said
        logits = torch.stack([said.start_logits, said.end_logits], dim=-1) if ends else said.logits
        found = {}
        for kind, layer in states:
            if kind != "logits":
                found[kind, layer] = (
                    said.hidden_states[layer] if kind == "hidden" else said.attentions[layer - 1]
                )
        return Output(logits.float()[..., self.permutation], found)


def _load_transformers(info: FolderInfo, task: str) -> Any:
    """The transformers model of a folder with all its weights; raises ModelError."""
    transformers = require("transformers", "train")
    logging = transformers.utils.logging
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, report = getattr(
            transformers, f"AutoModel{HEADS[task].architecture}"
        ).from_pretrained(
            info.path, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"teacher {info.path}: transformers cannot load it ({reason})") from error
    finally:
        if bars:
            logging.enable_progress_bar()
    if report["missing_keys"]:
        raise ModelError(
            f"teacher {info.path} lacks weights: {', '.join(sorted(report['missing_keys'])[:5])}"
        )
    for name, value in model.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"teacher {info.path}: weight '{name}' holds NaN or infinite values: get it again"
            )
    return model


def _limit(model: _Transformers, tokenizer: Tokenizer, source: str) -> int:
    """Most tokens a transformers model reads; raises ModelError when the tokenizer does not belong to it.

    Models that number positions from the padding id (RoBERTa and its kin) have that many positions less.
    """
    config = model.inner.config
    rows = model.inner.get_input_embeddings().num_embeddings
    if tokenizer.vocab_size > rows:
        raise ModelError(
            f"teacher {source}: its tokenizer has {tokenizer.vocab_size} pieces, its embedding {rows} rows"
        )
    limits = [getattr(config, "max_position_embeddings", None) or 0]
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings"):
            pad = module.padding_idx
            if pad is not None and pad != tokenizer.pad_id:
                raise ModelError(
                    f"teacher {source}: padding id {pad} in the model, {tokenizer.pad_id} in the tokenizer"
                )
            limits.append(module.num_embeddings - (0 if pad is None else pad + 1))
    return min(
        (limit for limit in limits if limit > 0), default=tokenizer.max_length or _USUAL_LENGTH
    )


def _fingerprint(info: FolderInfo, labels: Sequence[str], permutation: Sequence[int]) -> str:
    """Names the weights' bytes, the configuration and the label order."""
    files = sorted(info.path.glob("model*.safetensors")) or sorted(
        info.path.glob("pytorch_model*.bin")
    )
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    config = {key: value for key, value in info.config.items() if key not in _UNIMPORTANT}
    return fingerprint(digest.hexdigest(), config, list(labels), list(permutation))
