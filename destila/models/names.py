"""Our parameter names beside those of Hugging Face state dicts, one table per architecture. No torch.

Every architecture names the same parts differently and stores a shared block once, so reading and writing its
folders is a renaming: `pairs(config, task)` gives our module name -> theirs, and `.weight` / `.bias` carry over.
"""

from __future__ import annotations

from destila.models.config import EncoderConfig

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


def pairs(config: EncoderConfig, task: str) -> dict[str, str]:
    """Module names of a `heads.Model` -> module names in a Hugging Face model of the same task."""
    kind = config.kind
    found = {
        "encoder.embeddings.word": f"{kind}.embeddings.word_embeddings",
        "encoder.embeddings.position": f"{kind}.embeddings.position_embeddings",
        "encoder.embeddings.norm": f"{kind}.embeddings.LayerNorm",
    }
    if config.types:
        found["encoder.embeddings.type"] = f"{kind}.embeddings.token_type_embeddings"
    if config.kind == "albert":
        found["encoder.project"] = f"{kind}.encoder.embedding_hidden_mapping_in"
    for layer in range(1 if config.shared else config.layers):
        theirs = f"{kind}.{_LAYER[kind].format(layer)}"
        found |= {f"encoder.blocks.{layer}.{a}": f"{theirs}.{b}" for a, b in _BLOCK[kind].items()}
    if task == "classify":
        found |= {f"head.{a}": b for a, b in _HEAD[kind].items()}
    else:
        found["head.classifier"] = "classifier"
    return found


def theirs(config: EncoderConfig, task: str, name: str) -> str:
    """The Hugging Face name of one parameter, such as `encoder.blocks.0.query.weight`."""
    module, _, leaf = name.rpartition(".")
    return f"{pairs(config, task)[module]}.{leaf}"


def layer_prefix(config: EncoderConfig, layer: int) -> str:
    """The prefix of an unshared layer's parameters in a Hugging Face state dict."""
    return f"{config.kind}.{_LAYER[config.kind].format(layer)}."
