"""Any trained classifier or tagger as a teacher: one of our folders, or any model of transformers.

BERT, RoBERTa, ALBERT and DistilBERT run in our own encoder; every other architecture (ELECTRA,
XLM-RoBERTa, DeBERTa...) runs in transformers behind the same `forward(batch) -> Output`. Its logits
come out in **our** label order, matched by name: two models that call class 0 something else would
teach nonsense without an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from destila import hub
from destila.config import fingerprint
from destila.errors import ModelError, require
from destila.model_folder import HEADS, FolderInfo, read_folder
from destila.models import hf
from destila.models.architecture import ArchitectureKind
from destila.plugins import nearest
from destila.reading.blame import Blaming
from destila.teachers import cache
from destila.tokenizer import tokenizer as tokenizers
from destila.tokenizer.tokenizer import Tokenizer
from destila.types import Batch, Output, State

_UNIMPORTANT = ("_name_or_path", "transformers_version")
_USUAL_LENGTH = 512  # where neither the model nor the tokenizer states a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A trained model in evaluation mode, whose logits are in the order of `labels`.

    model: `forward(batch, *, states=()) -> Output`.
    task, labels: e.g. "tag" and ("O", "B-PER", "I-PER").
    fingerprint: of weights, configuration and label order.
    max_length: most tokens it reads, specials included, e.g. 512.
    params: number of weights, e.g. 109_859_331.
    source: its folder or hub name, for people, e.g. "dccuchile/bert-base-spanish-wwm-cased".
    """

    model: nn.Module
    tokenizer: Tokenizer
    task: str
    labels: tuple[str, ...]
    fingerprint: str
    max_length: int
    params: int
    source: str

    def spec(self, max_length: int | None, unit: str, *, precision: str = "fp32") -> dict[str, Any]:
        """Return what its cached rows depend on beside the text, for `Cache.open`.

        Args:
            max_length: most tokens of a window; None: as many as the teacher reads.
            unit: rule from tokens to units, and windows where they are planned.
            precision: of its products; rows of another one than fp32 are kept apart.
        """
        apart = {} if precision == "fp32" else {"precision": precision}
        return apart | cache.cache_spec(
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
    """Load the teacher in a folder or under a hub name.

    Args:
        source: the folder or name.
        task: what it must be trained for.
        labels: ours, in our order.
        mapping: {teacher's label: ours}, for labels whose names differ; None: all are equal.

    Raises:
        ModelError: another task, a missing head, labels that do not match, or weights that are
            missing, do not fit or are not finite.
    """
    info = read_folder(hub.resolve(source, what="teacher"))
    _check_task(info, task)
    permutation = match_labels(info.labels or (), labels, mapping=mapping, where=str(source))

    # our own encoder where it knows the architecture, else transformers
    if info.config.get("model_type") in get_args(ArchitectureKind):
        in_our_order = [(info.labels or ())[i] for i in permutation]
        loaded = hf.load(info.path, task=task, labels=in_our_order, head_required=True)
        model: nn.Module = loaded.model
        tokenizer, limit = loaded.tokenizer, loaded.model.config.max_length
    else:
        tokenizer = tokenizers.load_tokenizer(info.path)
        model = _Transformers(_load_transformers(info, task), permutation)
        limit = _max_tokens(model, tokenizer, str(source))

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
    teacher: Sequence[str],
    ours: Sequence[str],
    *,
    mapping: Mapping[str, str] | None = None,
    where: str = "the teacher",
) -> list[int]:
    """Return for each of our labels its position among the teacher's.

    So `teacher_logits[..., match_labels(teacher, ours)]` is in our order. Names match exactly, else
    without regard to case.

    Args:
        teacher: its labels, in its order.
        ours: those of the data.
        mapping: {teacher's: ours}; a label it leaves out keeps its name.
        where: the teacher, for errors.

    Raises:
        ModelError: one side has a label that the other lacks; it names both lists.
    """
    mapping = mapping or {}
    for side, known, named in (
        ("teacher", teacher, mapping.keys()),
        ("data", ours, mapping.values()),
    ):
        unknown = [name for name in named if name not in known]
        if unknown:
            raise ModelError(
                f"label map of {where}: the {side} has no label '{unknown[0]}'."
                f"{nearest(unknown[0], list(known))}"
            )

    # exact names first: two labels may differ in case alone
    renamed = [mapping.get(label, label) for label in teacher]
    for spell in (str, str.casefold):
        left, right = [spell(name) for name in renamed], [spell(name) for name in ours]
        distinct = len(set(left)) == len(left) and len(set(right)) == len(right)
        if distinct and set(left) == set(right):
            return [left.index(name) for name in right]

    numbered = bool(teacher) and all(label.startswith("LABEL_") for label in teacher)
    what = "numbers its labels instead of naming them" if numbered else "has other labels"
    raise ModelError(
        f"{where} {what}: teacher {', '.join(teacher) or '(none)'}; data {', '.join(ours)}. "
        "Give a map {theirs = ours} if they mean the same, or another teacher"
    )


def _check_task(info: FolderInfo, task: str) -> None:
    """Raise ModelError when a folder's model is not trained for a task."""
    if info.task == task:
        return
    if info.task is None:
        raise ModelError(
            f"teacher {info.path} ({info.architecture or 'no architecture named'}) "
            f"has no head for '{task}': fine-tune it first, then give the fine-tuned folder"
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
        """Return the model's Output for a batch.

        Args:
            batch: padded windows.
            states: those to keep, hidden and attention alone.
        """
        kinds = {kind for kind, _ in states}
        if "attention" in kinds:
            self.inner.set_attn_implementation("eager")  # fused attention never holds its weights

        types = {"token_type_ids": batch.type_ids} if self._takes_types else {}
        answer = self.inner(
            input_ids=batch.input_ids,
            attention_mask=batch.mask.long(),
            output_hidden_states="hidden" in kinds,
            output_attentions="attention" in kinds,
            **types,
        )

        logits = _logits_of(answer)  # [B, C] or [B, L, C]

        kept = {}
        for kind, layer in states:
            if kind == "hidden":
                kept[kind, layer] = answer.hidden_states[layer]  # [B, L, H]
            elif kind != "logits":
                kept[kind, layer] = answer.attentions[layer - 1]  # [B, A, L, L]
        return Output(logits.float()[..., self.permutation], kept)


def _logits_of(answer: Any) -> Tensor:
    """Return the logits of a transformers answer; start and end [B, L] become [B, L, 2]."""
    if "start_logits" in answer:
        return torch.stack([answer.start_logits, answer.end_logits], dim=-1)
    logits: Tensor = answer.logits
    return logits


def _load_transformers(info: FolderInfo, task: str) -> Any:
    """Return the transformers model of a folder with all its weights; raise ModelError without."""
    transformers = require("transformers", "train")
    auto_class = getattr(transformers, f"AutoModel{HEADS[task].architecture}")

    # without a progress bar of its own
    logging = transformers.utils.logging
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        # Whatever a folder says, no code of its own is run: transformers would ask at a prompt.
        with Blaming(ModelError, f"teacher {info.path}: transformers cannot load it"):
            model, report = auto_class.from_pretrained(
                info.path,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                trust_remote_code=False,
            )
    finally:
        if bars:
            logging.enable_progress_bar()

    # transformers fills what is missing with random numbers
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:5])
        raise ModelError(f"teacher {info.path} lacks weights: {missing}")
    for name, value in model.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"teacher {info.path}: weight '{name}' holds NaN or infinite values: get it again"
            )
    return model


def _max_tokens(model: _Transformers, tokenizer: Tokenizer, source: str) -> int:
    """Return the most tokens that a transformers model reads.

    Models that number positions from the padding id (RoBERTa and its kin) have that many less.

    Raises:
        ModelError: the tokenizer does not belong to the model.
    """
    rows = model.inner.get_input_embeddings().num_embeddings
    if tokenizer.vocab_size > rows:
        raise ModelError(
            f"teacher {source}: its tokenizer has {tokenizer.vocab_size} pieces, "
            f"its embedding {rows} rows"
        )

    # what the config promises, and what each position table holds
    limits = [getattr(model.inner.config, "max_position_embeddings", None) or 0]
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings"):
            pad = module.padding_idx
            if pad is not None and pad != tokenizer.pad_id:
                raise ModelError(
                    f"teacher {source}: padding id {pad} in the model, "
                    f"{tokenizer.pad_id} in the tokenizer"
                )
            limits.append(module.num_embeddings - (0 if pad is None else pad + 1))

    known = [limit for limit in limits if limit > 0]
    return min(known, default=tokenizer.max_length or _USUAL_LENGTH)


def _fingerprint(info: FolderInfo, labels: Sequence[str], permutation: Sequence[int]) -> str:
    """Return a digest of the weights' bytes, the configuration and the label order."""
    files = sorted(info.path.glob("model*.safetensors"))
    files = files or sorted(info.path.glob("pytorch_model*.bin"))

    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)

    config = {key: value for key, value in info.config.items() if key not in _UNIMPORTANT}
    return fingerprint(digest.hexdigest(), config, list(labels), list(permutation))
