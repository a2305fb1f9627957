"""Sinusoids to start a learned position table from.

    table[p, 2i] = s sin(p / 10000^(2i / E)),   table[p, 2i + 1] = s cos(p / 10000^(2i / E))

Vaswani et al. 2017, section 3.5, scaled by s to the spread of the token embeddings. A small encoder
whose positions start as noise may not find out for millions of tokens that words have an order (see
`pretraining/heldout.py`); from sinusoids, neighbours look alike from the first step on, and the
table is still learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor

from destila.models.encoder import Encoder


def sinusoid_table(positions: int, width: int, *, std: float) -> Tensor:
    """Return the table above, float32 [positions, width].

    Args:
        positions: rows P.
        width: of the embeddings, E.
        std: standard deviation over all values.
    """
    place = torch.arange(positions, dtype=torch.float64)[:, None]  # [P, 1]
    pace = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)  # [ceil(E / 2)]
    angle = place * pace  # [P, ceil(E / 2)]

    # sine and cosine in turn
    table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]  # [P, E]
    spread = table.std(correction=0)
    return (table * (std / spread)).float()


@torch.no_grad()
def start_as_sinusoids(encoder: Encoder) -> None:
    """Replace the position table by sinusoids with the spread that the token table has now.

    Rows before the first position (RoBERTa, see `EncoderConfig.first_position`) are not used and
    keep their values.
    """
    embeddings = encoder.embeddings
    used = embeddings.position.weight[embeddings.first_position :]
    used.copy_(sinusoid_table(*used.shape, std=float(embeddings.word.weight.std())))
