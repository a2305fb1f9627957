"""A multilingual vocabulary cut to the pieces of Spanish texts: minutes, memory, and equal states.

Bars: 250,000 pieces to 40,000 in under two minutes and 2 GB of resident memory, hidden states equal
to 1e-5 on text of which no piece was lost. The source is `me5-es` (DESTILA_MODELS) with its
vocabulary filled up to --pieces by made-up ones, letters of many alphabets and strings of them, and
random rows: as large as multilingual-e5-small, whose own text and weights are not needed for it.

    python benchmarks/trimming.py --texts FILE [--pieces 250000] [--size 40000]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from destila import hub
from destila.inference.user_texts import strings_of
from destila.models import hf

STATES = 200
"""Texts whose hidden states are compared."""


def multilingual(place: Path, pieces: int) -> Path:
    """A copy of me5-es with so many pieces, the new ones before its last, the mask."""
    source = hub.resolve("me5-es")
    shutil.copytree(source, place)
    for path in place.rglob("*"):
        path.chmod(0o644)

    # letters of other alphabets, one by one and joined, none of which the vocabulary has
    spec = json.loads((place / "tokenizer.json").read_text())
    known = {piece for piece, _ in spec["model"]["vocab"]}
    random = np.random.default_rng(0)
    letters = [chr(c) for c in (*range(0x391, 0x587), *range(0x905, 0xE5B), *range(0x4E00, 0x9FA5))]
    made: dict[str, None] = dict.fromkeys(c for c in letters if c.isalpha() and c not in known)
    while len(made) < pieces - len(known):
        made["▁" + "".join(random.choice(letters, random.integers(2, 6)))] = None
    added = [[piece, -12.0] for piece in islice(made, pieces - len(known))]
    spec["model"]["vocab"][-1:-1] = added
    mask = spec["model"]["vocab"][-1][0]
    for token in spec["added_tokens"]:
        token["id"] += len(added) if token["content"] == mask else 0
    (place / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False))

    # rows of random values for them
    tensors = load_file(place / "model.safetensors")
    (name,) = [name for name in tensors if name.endswith("word_embeddings.weight")]
    table = tensors[name]
    rows = torch.randn(len(added), table.shape[1], generator=torch.Generator().manual_seed(0))
    tensors[name] = torch.cat([table[:-1], (0.02 * rows).to(table.dtype), table[-1:]])
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "vocab_size": len(tensors[name])}))
    return place


def largest_difference(one: Path, other: Path, texts: list[str]) -> tuple[float, int]:
    """The largest difference of last states over texts that both cut alike, and how many those are."""
    (a, old, _), (b, new, _) = (hf.load_masked(f, head_required=False) for f in (one, other))
    names = [tokenizer.pieces_of(range(tokenizer.vocab_size)) for tokenizer in (old, new)]
    largest, alike = 0.0, 0
    with torch.no_grad():
        for before, after in zip(old.text(texts), new.text(texts), strict=True):
            if [names[0][i] for i in before.ids] != [names[1][i] for i in after.ids]:
                continue
            alike += 1
            states = [
                model.encoder(ids, torch.ones_like(ids, dtype=torch.bool))[0]
                for model, pieces in ((a, before), (b, after))
                for ids in [torch.tensor(pieces.ids[None, :128].astype(np.int64))]
            ]
            largest = max(largest, float((states[0] - states[1]).abs().max()))
    return largest, alike


def main() -> None:
    """Make the source, trim it in a process of its own, compare, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", required=True)
    parser.add_argument("--pieces", type=int, default=250_000)
    parser.add_argument("--size", type=int, default=40_000)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as place:
        source = multilingual(Path(place) / "whole", options.pieces)
        out = Path(place) / "small"
        wanted = ["--texts", options.texts, "--size", str(options.size)]
        wanted += ["--characters", "latin", "--out", str(out), "--json"]
        before = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "destila", "trim", str(source), *wanted],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.monotonic() - before
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        texts = list(islice(strings_of([options.texts]), STATES))
        largest, alike = largest_difference(source, out, texts)

    said = json.loads(done.stdout)
    print(
        json.dumps(
            {
                "pieces": said["pieces"],
                "tokens": said["tokens"],
                "seconds": round(seconds, 1),
                "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
                "memory_mb": round(used.ru_maxrss / 1024),
                "changed_share": said["changed_share"],
                "unknown_share": said["unknown_share"],
                "elsewhere_changed_share": said["elsewhere_changed_share"],
                "texts_cut_alike": [alike, len(texts)],
                "largest_difference": largest,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
