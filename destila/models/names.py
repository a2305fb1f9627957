"""Our parameter names beside those of Hugging Face state dicts, one table per architecture. No torch.

Every architecture names the same parts differently and stores a shared block once, so reading and writing its
folders is a renaming: `pairs(config, task)` gives our module name -> theirs, and `.weight` / `.bias` carry over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from destila.model_folder import HEADS
from destila.models.architecture import EncoderConfig

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
_LAYER = {
    "bert": "encoder.layer.{}",
    "roberta": "encoder.layer.{}",
    "albert": "encoder.albert_layer_groups.0.albert_layers.0",
    "distilbert": "transformer.layer.{}",
}
_HEAD = {
    "bert": {"dense": "bert.pooler.dense", "classifier": "classifier"},
    "roberta": {"dense": "classifier.dense", "classifier": "classifier.out_proj"},
    "albert": {"dense": "albert.pooler", "classifier": "classifier"},
    "distilbert": {"dense": "pre_classifier", "classifier": "classifier"},
}

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
"""What a masked-language-model head multiplies with, where a folder stores it beside the token table it is tied to."""


def module_names(
    config: EncoderConfig, task: str, picks: Sequence[int] | None = None
) -> dict[str, str]:
    """Module names of a `heads.Model` or `mlm.MaskedModel` -> module names in a Hugging Face model of the same task.

    picks: their layer behind each of ours; None: the same.
    """
    kind = config.kind
    found = {
        "encoder.embeddings.word": f"{kind}.embeddings.word_embeddings",
        "encoder.embeddings.position": f"{kind}.embeddings.position_embeddings",
        "encoder.embeddings.norm": f"{kind}.embeddings.LayerNorm",
    }
    if config.types:
        found["encoder.embeddings.token_type"] = f"{kind}.embeddings.token_type_embeddings"
    if kind == "albert":
        found["encoder.project"] = f"{kind}.encoder.embedding_hidden_mapping_in"
    picks = [0] if config.shared else range(config.layers) if picks is None else picks
    for ours, theirs in enumerate(picks):
        layer = layer_prefix(config, theirs)
        found |= {f"encoder.blocks.{ours}.{a}": f"{layer}{b}" for a, b in _BLOCK[kind].items()}
    if task in ("mlm", "pretrain"):
        found |= {f"head.{a}".rstrip("."): b for a, b in _MASKED[kind].items()}
        return found | {
            f"order.{a}": b for a, b in _ORDER.get(kind, {}).items() if task == "pretrain"
        }
    head = HEADS[task]
    if head.per_token:
        return found | {"head.classifier": head.classifier}
    return found | {f"head.{a}": b for a, b in _HEAD[kind].items()}


def weight_names(
    config: EncoderConfig, task: str, names: Iterable[str], picks: Sequence[int] | None = None
) -> dict[str, str]:
    """Our parameter names (`encoder.blocks.0.query.weight`) -> theirs, in the order given."""
    modules = module_names(config, task, picks)
    split = [(name, *name.rpartition(".")[::2]) for name in names]
    return {name: f"{modules[module]}.{leaf}" for name, module, leaf in split}


def layer_prefix(config: EncoderConfig, layer: int) -> str:
    """What the names of one layer's parameters start with in a Hugging Face state dict."""
    return f"{config.kind}.{_LAYER[config.kind].format(layer)}."
