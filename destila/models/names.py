"""Our parameter names beside those of Hugging Face state dicts, a table each; no torch.

Every architecture names the same parts differently and stores a shared block once, so reading and
writing its folders is a renaming: `module_names(config, task)` gives our module name -> the one
there, and `.weight` / `.bias` carry over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from destila.model_folder import HEADS
from destila.models.architecture import EncoderConfig

# the parts of a block: ours -> theirs
_BERT_BLOCK = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "ffn_norm": "output.LayerNorm",
}
_BLOCK = {
    "bert": _BERT_BLOCK,
    "roberta": _BERT_BLOCK,
    "albert": {
        "query": "attention.query",
        "key": "attention.key",
        "value": "attention.value",
        "out": "attention.dense",
        "attention_norm": "attention.LayerNorm",
        "up": "ffn",
        "down": "ffn_output",
        "ffn_norm": "full_layer_layer_norm",
    },
    "distilbert": {
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "out": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "up": "ffn.lin1",
        "down": "ffn.lin2",
        "ffn_norm": "output_layer_norm",
    },
}

# where a layer's block is
_LAYER = {
    "bert": "encoder.layer.{}",
    "roberta": "encoder.layer.{}",
    "albert": "encoder.albert_layer_groups.{}.albert_layers.0",
    "distilbert": "transformer.layer.{}",
}

# the parts of a classifier
_HEAD = {
    "bert": {"dense": "bert.pooler.dense", "classifier": "classifier"},
    "roberta": {"dense": "classifier.dense", "classifier": "classifier.out_proj"},
    "albert": {"dense": "albert.pooler", "classifier": "classifier"},
    "distilbert": {"dense": "pre_classifier", "classifier": "classifier"},
}

# the parts of a masked-language-model head; "" is the bias
_MASKED = {
    "bert": {
        "dense": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "": "cls.predictions",
    },
    "roberta": {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "": "lm_head"},
    "albert": {"dense": "predictions.dense", "norm": "predictions.LayerNorm", "": "predictions"},
    "distilbert": {"dense": "vocab_transform", "norm": "vocab_layer_norm", "": "vocab_projector"},
}

# the parts of a sentence-order head
_ORDER = {
    "bert": {"dense": "bert.pooler.dense", "classifier": "cls.seq_relationship"},
    "albert": {"dense": "albert.pooler", "classifier": "sop_classifier.classifier"},
}
DECODER = {
    "bert": "cls.predictions.decoder.weight",
    "roberta": "lm_head.decoder.weight",
    "albert": "predictions.decoder.weight",
    "distilbert": "vocab_projector.weight",
}
"""The output table of a masked-language-model head, for folders that store it too."""


def module_names(
    config: EncoderConfig, task: str, picks: Sequence[int] | None = None
) -> dict[str, str]:
    """Return our module names -> those in a Hugging Face model of the same task.

    Args:
        config: of a `heads.Model` or `mlm.MaskedModel`.
        task: of the model.
        picks: the other model's layer behind each of ours; None: the same.
    """
    kind = config.kind
    names = {
        "encoder.embeddings.word": f"{kind}.embeddings.word_embeddings",
        "encoder.embeddings.position": f"{kind}.embeddings.position_embeddings",
        "encoder.embeddings.norm": f"{kind}.embeddings.LayerNorm",
    }
    if config.types:
        names["encoder.embeddings.token_type"] = f"{kind}.embeddings.token_type_embeddings"
    if kind == "albert":
        names["encoder.project"] = f"{kind}.encoder.embedding_hidden_mapping_in"

    # a shared block is stored once
    if config.shared:
        picks = [0]
    elif picks is None:
        picks = range(config.layers)
    for layer, pick in enumerate(picks):
        prefix = layer_prefix(config, pick)
        for part, name in _BLOCK[kind].items():
            names[f"encoder.blocks.{layer}.{part}"] = f"{prefix}{name}"

    return names | _head_names(kind, task)


def _head_names(kind: str, task: str) -> dict[str, str]:
    """Return the module names of a task's head."""
    if task in ("mlm", "pretrain"):
        names = {f"head.{part}".rstrip("."): name for part, name in _MASKED[kind].items()}
        order = _ORDER.get(kind, {}) if task == "pretrain" else {}
        return names | {f"order.{part}": name for part, name in order.items()}

    head = HEADS[task]
    if head.per_token:
        return {"head.classifier": head.classifier}
    return {f"head.{part}": name for part, name in _HEAD[kind].items()}


def weight_names(
    config: EncoderConfig, task: str, names: Iterable[str], picks: Sequence[int] | None = None
) -> dict[str, str]:
    """Return our parameter names (`encoder.blocks.0.query.weight`) -> theirs, in the same order.

    Args:
        config: of our model.
        task: of our model.
        names: of its parameters.
        picks: the other model's layer behind each of ours; None: the same.
    """
    modules = module_names(config, task, picks)
    renamed = {}
    for name in names:
        module, _, leaf = name.rpartition(".")
        renamed[name] = f"{modules[module]}.{leaf}"
    return renamed


def layer_prefix(config: EncoderConfig, layer: int) -> str:
    """Return what the names of one layer's parameters start with in a Hugging Face state dict."""
    return f"{config.kind}.{_LAYER[config.kind].format(layer)}."
