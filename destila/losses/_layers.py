"""What terms over inner states share: which layers meet, where, and how widths are made equal."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import torch
from torch import Tensor, nn

from destila.errors import ConfigError
from destila.losses.term import LossContext, ModelShape, Term

Layers = Literal["uniform", "last"] | tuple[tuple[int, int], ...]
"""Which layers meet: spread evenly, the teacher's last ones, or pairs (student, teacher).

Layer 0 is the embedding output.
"""

Pool = Literal["auto", "token", "first", "mean"]
"""Where states meet: at tokens, or at units, by their first token or the mean of their tokens.

auto: at tokens where both models read the same ones.
"""


def unbound(name: str) -> Term:
    """Build a stand-in for a term while a recipe is only read.

    Its options are checked by then; the models are not there yet.
    """

    def fn(*_: Any) -> Tensor:
        raise AssertionError(f"term '{name}' was built without models")

    return Term(name=name, needs="states", fn=fn)


def models(setting: LossContext, name: str, *kinds: str) -> tuple[ModelShape, ModelShape] | None:
    """Return student and teacher, None while there are none.

    Args:
        setting: what is known of the two.
        name: the term's, for the message.
        kinds: of State that both have to show.

    Raises:
        ConfigError: one of them cannot show a kind of state.
    """
    # a recipe that is only read
    if setting.student is None or setting.teacher is None:
        return None

    # queries, keys and attention maps cannot be had of every architecture
    for role, shape in (("student", setting.student), ("teacher", setting.teacher)):
        lacks = [kind for kind in kinds if kind not in shape.kinds]
        if lacks:
            raise ConfigError(
                f"term '{name}' compares {' and '.join(kinds)}, and the {role} '{shape.name}' does"
                f" not show {lacks[0]} (only BERT, RoBERTa, ALBERT and DistilBERT do): use"
                " 'hidden', or attention with what = \"probabilities\""
            )
    return setting.student, setting.teacher


def layer_pairs(
    name: str, layers: Layers, student: ModelShape, teacher: ModelShape, *, embeddings: bool
) -> list[tuple[int, int]]:
    """Return (student layer, teacher layer) of every comparison.

    Args:
        name: the term's, for messages.
        layers: "uniform": student layer m meets teacher layer m N / M, rounded up (TinyBERT, Jiao
            et al. 2020, section 3.1). "last": it meets N - M + m (PKD-Last, Sun et al. 2019). Else
            the pairs themselves.
        student: of M layers.
        teacher: of N layers.
        embeddings: the embedding outputs, layer 0, meet too.

    Raises:
        ConfigError: a layer is not there.
    """
    m_layers, n_layers = student.layers, teacher.layers
    first = [(0, 0)] if embeddings else []

    # spread evenly; the negations round up
    if layers == "uniform":
        return first + [(m, -(-m * n_layers // m_layers)) for m in range(1, m_layers + 1)]

    # the student's layers meet the teacher's uppermost ones
    if layers == "last":
        if m_layers > n_layers:
            raise ConfigError(
                f"term '{name}': layers = \"last\", but the student has {m_layers} layers and the"
                f' teacher {n_layers}: use "uniform"'
            )
        return first + [(m, n_layers - m_layers + m) for m in range(1, m_layers + 1)]

    # pairs that the recipe names
    pairs = list(layers)
    lowest = 0 if embeddings else 1
    for m, n in pairs:
        if not (lowest <= m <= m_layers and lowest <= n <= n_layers):
            raise ConfigError(
                f"term '{name}': layers has [{m}, {n}], but the student's are {lowest} to"
                f" {m_layers} and the teacher's {lowest} to {n_layers}"
            )
    if not pairs:
        raise ConfigError(
            f'term \'{name}\': layers is empty: give pairs [student, teacher], "uniform" or "last"'
        )
    return pairs


def pool_of(name: str, pool: Pool, pads: bool, setting: LossContext) -> str:
    """Decide what a position of a term is; see `Term.pool`.

    Args:
        name: the term's, for the message.
        pool: as the recipe says; "auto" is a token where both models read the same ones.
        pads: pads count as tokens.
        setting: says whether tokens are the same.

    Raises:
        ConfigError: pads are to count and positions are units.
    """
    # pads are tokens of no unit
    if pads and pool not in ("auto", "token"):
        raise ConfigError(
            f"term '{name}': pads = true counts tokens and pool = \"{pool}\" counts units:"
            " leave one out"
        )
    if pads:
        return "padded"

    # other tokens meet at units, each by what a head reads of it: its first token
    if pool != "auto":
        return pool
    return "token" if setting.same_tokens else "first"


def projections(
    name: str,
    setting: LossContext,
    count: int,
    *,
    project: str,
    shared: bool = False,
    bias: bool,
) -> nn.ModuleList | None:
    """Make linear maps from the student's width to the teacher's; None where none is needed.

    New weights are normal(0, 1 / sqrt(H)), so that the size of a normalised state is kept, each
    from its own generator keyed by (seed, term, position).

    Args:
        name: the term's.
        setting: the widths and the seed.
        count: pairs of layers.
        project: "auto" (where widths differ), "always" or "never".
        shared: one map for all pairs.
        bias: maps have a bias.

    Raises:
        ConfigError: widths differ and `project` is "never".
    """
    assert setting.student is not None
    assert setting.teacher is not None
    width, wanted = setting.student.hidden, setting.teacher.hidden

    # what the recipe allows, and what the widths need
    if project == "never" and width != wanted:
        raise ConfigError(
            f"term '{name}': the student is {width} wide and the teacher {wanted},"
            ' and project = "never": use "auto"'
        )
    if project == "never" or (project == "auto" and width == wanted):
        return None

    # allocated without drawing from the global generator
    number = 1 if shared else count
    maps = nn.ModuleList(
        nn.Linear(width, wanted, bias=bias, device="meta") for _ in range(number)
    ).to_empty(device="cpu")

    # the same start in every process and whatever else is built before
    with torch.no_grad():
        for i, each in enumerate(maps):
            assert isinstance(each, nn.Linear)
            digest = hashlib.blake2b(f"{setting.seed}:{name}:{i}".encode(), digest_size=7).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest))
            each.weight.normal_(0.0, width**-0.5, generator=generator)
            if bias:
                each.bias.zero_()
    return maps


def projected(maps: nn.ModuleList | None, number: int, values: Tensor) -> Tensor:
    """Map values [N, H] of pair `number` to the teacher's width, in float32."""
    values = values.float()
    if maps is None:
        return values

    # a shared map serves every pair
    mapped: Tensor = maps[min(number, len(maps) - 1)](values)
    return mapped
