"""What terms over inner states share: which layers meet, where, and how their widths are made equal."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import torch
from torch import Tensor, nn

from destila.errors import ConfigError
from destila.losses.term import LossContext, ModelShape, Term

Layers = Literal["uniform", "last"] | tuple[tuple[int, int], ...]
"""Which layers meet: spread evenly, the teacher's last ones, or pairs (student, teacher); 0 is the embedding output."""

Pool = Literal["auto", "token", "first", "mean"]
"""Where states meet: at tokens, or at units by their first token or the mean of their tokens; auto: tokens if equal."""


def unbound(name: str) -> Term:
    """The term while a recipe is only read: its options are checked, the models are not there yet."""

    def fn(*_: Any) -> Tensor:
        raise AssertionError(f"term '{name}' was built without models")

    return Term(name=name, needs="states", fn=fn)


def models(setting: LossContext, name: str, *kinds: str) -> tuple[ModelShape, ModelShape] | None:
    """Student and teacher, None while there are none; raises ConfigError when one cannot show a kind of state."""
    if setting.student is None or setting.teacher is None:
        return None
    for role, shape in (("student", setting.student), ("teacher", setting.teacher)):
        if lacks := [kind for kind in kinds if kind not in shape.kinds]:
            raise ConfigError(
                f"term '{name}' compares {' and '.join(kinds)}, and the {role} '{shape.name}' does not show {lacks[0]} "
                "(only BERT, RoBERTa, ALBERT and DistilBERT do): use 'hidden', or attention with what = \"probabilities\""
            )
    return setting.student, setting.teacher


def pairs(
    name: str, layers: Layers, student: ModelShape, teacher: ModelShape, *, embeddings: bool
) -> list[tuple[int, int]]:
    """(student layer, teacher layer) of every comparison; raises ConfigError for a layer that is not there.

    uniform: student layer m meets teacher layer m N / M, rounded up (TinyBERT, Jiao et al. 2020, section 3.1).
    last: it meets N - M + m (PKD-Last, Sun et al. 2019). embeddings: the embedding outputs meet too.
    """
    mine, theirs = student.layers, teacher.layers
    if layers == "last" and mine > theirs:
        raise ConfigError(
            f'term \'{name}\': layers = "last", but the student has {mine} layers and the teacher {theirs}: use "uniform"'
        )
    if layers == "uniform":
        found = [(m, -(-m * theirs // mine)) for m in range(1, mine + 1)]
    elif layers == "last":
        found = [(m, theirs - mine + m) for m in range(1, mine + 1)]
    else:
        found = list(layers)
        lowest = 0 if embeddings else 1
        for s, t in found:
            if not (lowest <= s <= mine and lowest <= t <= theirs):
                raise ConfigError(
                    f"term '{name}': layers has [{s}, {t}], but the student's are {lowest} to {mine} and the "
                    f"teacher's {lowest} to {theirs}"
                )
        if not found:
            raise ConfigError(
                f'term \'{name}\': layers is empty: give pairs [student, teacher], "uniform" or "last"'
            )
        return found
    return [(0, 0)] * embeddings + found


def pool_of(name: str, pool: Pool, pads: bool, setting: LossContext) -> str:
    """The Term's pool; raises ConfigError where pads are to count and positions are units."""
    if pads and pool not in ("auto", "token"):
        raise ConfigError(
            f"term '{name}': pads = true counts tokens and pool = \"{pool}\" counts units: leave one out"
        )
    if pads:
        return "padded"
    return pool if pool != "auto" else "token" if setting.same_tokens else "first"


def projections(
    name: str, setting: LossContext, count: int, *, project: str, shared: bool = False, bias: bool
) -> nn.ModuleList | None:
    """Linear maps from the student's width to the teacher's, one per pair or one for all; None: no map.

    project: "auto" (where widths differ), "always" or "never". New weights are normal(0, 1 / sqrt(H)), so that the
    size of a normalised state is kept, each from its own generator keyed by (seed, term, position).
    """
    assert setting.student is not None
    assert setting.teacher is not None
    mine, theirs = setting.student.hidden, setting.teacher.hidden
    if project == "never" and mine != theirs:
        raise ConfigError(
            f'term \'{name}\': the student is {mine} wide and the teacher {theirs}, and project = "never": use "auto"'
        )
    if project == "never" or (project == "auto" and mine == theirs):
        return None
    maps = nn.ModuleList(
        nn.Linear(mine, theirs, bias=bias, device="meta") for _ in range(1 if shared else count)
    )
    maps = maps.to_empty(device="cpu")  # without drawing from the global generator
    with torch.no_grad():
        for i, each in enumerate(maps):
            assert isinstance(each, nn.Linear)
            digest = hashlib.blake2b(f"{setting.seed}:{name}:{i}".encode(), digest_size=7).digest()
            each.weight.normal_(
                0.0, mine**-0.5, generator=torch.Generator().manual_seed(int.from_bytes(digest))
            )
            if bias:
                each.bias.zero_()
    return maps


def projected(maps: nn.ModuleList | None, number: int, values: Tensor) -> Tensor:
    """Values [N, H] of pair `number` in the teacher's width, float32."""
    values = values.float()
    if maps is None:
        return values
    found: Tensor = maps[min(number, len(maps) - 1)](values)
    return found
