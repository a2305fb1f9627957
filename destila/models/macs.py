"""Multiply-accumulate counts of one forward pass, by formula from the config. No torch.

Two counts, because published ones leave half of attention out. `attention=False` is the papers'
(THOP's): a linear layer costs in x out per position, bias free; a LayerNorm four per element;
products of attention, softmax, GELU and embeddings nothing. With S tokens, L layers, H hidden, I
inner width, E embedding width, C labels:

    ALBERT   E H S + 4 S E + L [(4 H^2 + 2 H I) S + 8 S H] + H^2 + C H
    others   4 S H         + L [(4 H^2 + 2 H I) S + 8 S H] + H^2 + C H

`attention=True` adds the two products of queries with keys and of probabilities with values, 2 S^2
H per layer. A shared block is counted once per layer.
"""

from __future__ import annotations

from destila.model_folder import HEADS
from destila.models.architecture import EncoderConfig

_LENGTHS = (128, 512)


def count_macs(
    config: EncoderConfig,
    length: int,
    *,
    labels: int = 3,
    task: str = "classify",
    attention: bool = False,
) -> int:
    """Return the multiply-accumulates for one input.

    Args:
        config: of the encoder.
        length: tokens of the input.
        labels: of the head.
        task: the kind of head; one for every token has no pooler, one for the text works on the
            first token.
        attention: whether the products inside attention count.
    """
    s, e, h, i = length, config.embedding, config.hidden, config.ffn

    # the encoder: embeddings, then the linear layers and norms of every layer
    embeddings = 4 * s * e + (e * h * s if config.kind == "albert" else 0)
    layer = (4 * h * h + 2 * h * i) * s + 8 * s * h

    # queries with keys, probabilities with values
    products = 2 * s * s * h if attention else 0
    head = labels * h * s if HEADS[task].per_token else h * h + labels * h
    return embeddings + config.layers * (layer + products) + head


def macs_of(config: EncoderConfig, task: str, labels: int) -> dict[str, int]:
    """Return the MACs at 128 and 512 tokens, without ("linear") and with attention ("total")."""
    counts = {}
    for length in _LENGTHS:
        for kind, attention in (("linear", False), ("total", True)):
            counts[f"{kind}_{length}"] = count_macs(
                config, length, labels=labels, task=task, attention=attention
            )
    return counts
