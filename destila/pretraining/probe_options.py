"""What a linear probe of an encoder looks at, and with how much; see `probe.py`. No torch."""

from __future__ import annotations

from destila.config import Options, opt


class ProbeOptions(Options):
    """What is probed, and with how much."""

    pos: str = opt(
        "cess_pos",
        "data set with parts of speech (dev: AnCora's), a name or path.py; empty = no probe",
    )
    ner: str = opt("conll2002", "data set with entities, a name or path.py; empty = no probe")
    train: int = opt(1500, "sentences that the softmax is fitted to", ge=1)
    dev: int = opt(500, "sentences that it is scored on", ge=1)
    length: int = opt(128, "tokens of a window, fewer where the model has no more positions", ge=8)
    iterations: int = opt(30, "of L-BFGS at most", ge=1)
    penalty: float = opt(1e-4, "L2 penalty of the softmax's weights, on standardised states", ge=0)
