"""config.json of Hugging Face folders <-> EncoderConfig, task and labels; no torch.

What a config.json leaves out has the default that transformers gives that architecture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from destila import config as toml
from destila.errors import ConfigError, ModelError
from destila.model_folder import HEADS
from destila.models.architecture import ArchitectureKind, EncoderConfig

# our fields -> the keys of config.json
_COMMON = {
    "vocab_size": "vocab_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "ffn": "intermediate_size",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "classifier_dropout": "classifier_dropout",
    "eps": "layer_norm_eps",
    "init_range": "initializer_range",
    "pad_id": "pad_token_id",
    "bos_id": "bos_token_id",
    "eos_id": "eos_token_id",
}
_FIELDS: dict[str, dict[str, str]] = {
    "bert": _COMMON,
    "roberta": _COMMON,
    "albert": _COMMON
    | {"embedding": "embedding_size", "classifier_dropout": "classifier_dropout_prob"},
    "distilbert": {
        "vocab_size": "vocab_size",
        "positions": "max_position_embeddings",
        "hidden": "dim",
        "layers": "n_layers",
        "heads": "n_heads",
        "ffn": "hidden_dim",
        "activation": "activation",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "classifier_dropout": "seq_classif_dropout",
        "init_range": "initializer_range",
        "pad_id": "pad_token_id",
        "bos_id": "bos_token_id",
        "eos_id": "eos_token_id",
    },
}

# what a config.json may leave out
_USUAL: dict[str, Any] = {
    "positions": 512,
    "types": 2,
    "activation": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "eps": 1e-12,
    "init_range": 0.02,
    "pad_id": 0,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "bert": _USUAL,
    "roberta": _USUAL | {"pad_id": 1},
    "albert": _USUAL
    | {
        "embedding": 128,
        "activation": "gelu_new",
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "classifier_dropout": 0.1,
    },
    "distilbert": _USUAL | {"types": 0, "classifier_dropout": 0.2},
}

# what a config.json calls an activation -> what we call it
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "relu": "relu",
}

# the name of a transformers class: architecture, then head
_CLASS = {"bert": "Bert", "roberta": "Roberta", "albert": "Albert", "distilbert": "DistilBert"}
_TASK = {
    **{kind: head.architecture for kind, head in HEADS.items()},
    "mlm": "ForMaskedLM",
    "pretrain": "ForPreTraining",
    "encoder": "Model",
}

# variants that this encoder does not have
_FIXED = {
    "inner_group_num": 1,
    "position_embedding_type": "absolute",
    "is_decoder": False,  # its tokens see only those before them
    "add_cross_attention": False,
}


def read_hf_config(data: Mapping[str, Any], *, where: str) -> EncoderConfig:
    """Return the encoder that a config.json describes.

    Args:
        data: what the file holds.
        where: the folder, for errors.

    Raises:
        ModelError: another architecture, a missing size, or a variant this encoder does not have.
    """
    kind = str(data.get("model_type"))
    if kind not in get_args(ArchitectureKind):
        known = ", ".join(get_args(ArchitectureKind))
        raise ModelError(f"{where}: model_type '{kind}' is not an encoder known here ({known})")
    for key, value in _FIXED.items():
        if data.get(key) not in (None, value):
            raise ModelError(
                f"{where}: config.json has {key} = {data[key]!r}, only {value!r} is supported"
            )

    # our fields, from the file or from the architecture's defaults
    fields = _FIELDS[kind]
    stated = {ours: data[key] for ours, key in fields.items() if data.get(key) is not None}
    values = {"kind": kind, **_DEFAULTS[kind], **stated}
    values["embedding"] = values.get("embedding", values.get("hidden"))
    values.setdefault("classifier_dropout", values["dropout"])

    if values["activation"] not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise ModelError(f"{where}: activation '{values['activation']}' is not known ({known})")
    values["activation"] = _ACTIVATIONS[values["activation"]]

    values["eos_id"] = _first(values.get("eos_id"))
    values["own_blocks"] = _own_blocks(data, values, where)

    missing = [
        key for ours, key in fields.items() if ours not in values and not ours.endswith("_id")
    ]
    if missing:
        raise ModelError(f"{where}: config.json lacks {', '.join(missing)}")
    try:
        return toml.build_config(EncoderConfig, values, where=f"{where}/config.json")
    except ConfigError as error:
        raise ModelError(str(error)) from error


def _own_blocks(data: Mapping[str, Any], values: Mapping[str, Any], where: str) -> bool:
    """Say whether an ALBERT has as many groups, here blocks, as layers.

    Args:
        data: what the config.json holds.
        values: our fields, as far as they are known.
        where: the folder, for errors.

    Raises:
        ModelError: several layers share each of several groups.
    """
    groups = data.get("num_hidden_groups") or 1
    if values["kind"] != "albert" or groups == 1:
        return False
    if groups != values.get("layers"):
        raise ModelError(
            f"{where}: config.json has num_hidden_groups = {groups}, "
            "only 1 or as many as layers are supported"
        )
    return True


def _first(value: Any) -> Any:
    """Return the first of several end tokens, as some files list them; else what is there."""
    return value[0] if isinstance(value, list) and value else value


def hf_config_of(config: EncoderConfig, task: str, labels: Sequence[str]) -> dict[str, Any]:
    """Return the config.json under which transformers' Auto classes load a model of ours.

    Args:
        config: of the encoder.
        task: of the model's head; "encoder": it is stored without one.
        labels: of the head.
    """
    data: dict[str, Any] = {
        "architectures": [_CLASS[config.kind] + _TASK[task]],
        "model_type": config.kind,
        **{key: getattr(config, ours) for ours, key in _FIELDS[config.kind].items()},
        "dtype": "float32",
    }

    # what the task adds
    if task in ("mlm", "pretrain"):
        data["tie_word_embeddings"] = True
    elif task != "encoder":
        data["id2label"] = {str(i): label for i, label in enumerate(labels)}
        data["label2id"] = {label: i for i, label in enumerate(labels)}

    # what the architecture adds
    if config.kind == "albert":
        groups = 1 if config.shared else config.layers
        data |= {"num_hidden_groups": groups, "inner_group_num": 1}
    if config.kind == "distilbert":
        data["sinusoidal_pos_embds"] = False

    if task in HEADS and HEADS[task].problem:
        data["problem_type"] = HEADS[task].problem
    return data
