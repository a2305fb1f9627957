"""Every published size, every number written out, and the parameter count by formula. No torch.

Sizes: ALBETO and DistilBETO (Cañete et al. 2022), the reduced ALBETO base-n (Speedy Gonzales,
2024), BETO (2020), RoBERTa-BNE (2021), BERTIN (2022), SpanishTinyRoBERTa (2023). The published
count of BERTIN is that of a vocabulary of 50,262; a folder's own config.json decides when weights
are loaded. The base-n all have the parameters of base, because the layers are one shared block:
what shrinks is compute.
"""

from __future__ import annotations

from destila.model_folder import HEADS
from destila.models.architecture import EncoderConfig

# fmt: off
PRESETS: dict[str, EncoderConfig] = {
    # ALBETO: one block for all layers, embeddings of 128
    "albeto-tiny": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=312, layers=4, heads=12, ffn=1248, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    # ALBETO base-n: n times the block of ALBETO base
    "albeto-base-2": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=768, layers=2, heads=12, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    "albeto-base-4": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=768, layers=4, heads=12, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    "albeto-base-6": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=768, layers=6, heads=12, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    "albeto-base-8": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=768, layers=8, heads=12, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    "albeto-base-10": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=768, layers=10, heads=12, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    # the sizes of ALBERT
    "albeto-base": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=768, layers=12, heads=12, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    "albeto-large": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=1024, layers=24, heads=16, ffn=4096, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=0, bos_id=2, eos_id=3,
    ),
    "albeto-xlarge": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=2048, layers=24, heads=32, ffn=8192, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.01, pad_id=0, bos_id=2, eos_id=3,
    ),
    "albeto-xxlarge": EncoderConfig(
        kind="albert", vocab_size=31000, positions=512, types=2,
        embedding=128, hidden=4096, layers=12, heads=64, ffn=16384, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.1,
        eps=1e-12, init_range=0.01, pad_id=0, bos_id=2, eos_id=3,
    ),
    # BETO and what was distilled from it
    "beto-uncased": EncoderConfig(
        kind="bert", vocab_size=31002, positions=512, types=2,
        embedding=768, hidden=768, layers=12, heads=12, ffn=3072, activation="gelu",
        dropout=0.1, attention_dropout=0.1, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=1, bos_id=4, eos_id=5,
    ),
    "beto-cased": EncoderConfig(
        kind="bert", vocab_size=31002, positions=512, types=2,
        embedding=768, hidden=768, layers=12, heads=12, ffn=3072, activation="gelu",
        dropout=0.1, attention_dropout=0.1, classifier_dropout=0.1,
        eps=1e-12, init_range=0.02, pad_id=1, bos_id=4, eos_id=5,
    ),
    "distilbeto": EncoderConfig(
        kind="distilbert", vocab_size=31002, positions=512, types=0,
        embedding=768, hidden=768, layers=6, heads=12, ffn=3072, activation="gelu",
        dropout=0.1, attention_dropout=0.1, classifier_dropout=0.2,
        eps=1e-12, init_range=0.02, pad_id=1, bos_id=4, eos_id=5,
    ),
    # RoBERTa: two positions more than tokens, because they start behind the padding id
    "roberta-bne-base": EncoderConfig(
        kind="roberta", vocab_size=50262, positions=514, types=1,
        embedding=768, hidden=768, layers=12, heads=12, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.0,
        eps=1e-5, init_range=0.02, pad_id=1, bos_id=0, eos_id=2,
    ),
    "roberta-bne-large": EncoderConfig(
        kind="roberta", vocab_size=50262, positions=514, types=1,
        embedding=1024, hidden=1024, layers=24, heads=16, ffn=4096, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.0,
        eps=1e-5, init_range=0.02, pad_id=1, bos_id=0, eos_id=2,
    ),
    "bertin": EncoderConfig(
        kind="roberta", vocab_size=50262, positions=514, types=1,
        embedding=768, hidden=768, layers=12, heads=12, ffn=3072, activation="gelu",
        dropout=0.1, attention_dropout=0.1, classifier_dropout=0.1,
        eps=1e-5, init_range=0.02, pad_id=1, bos_id=0, eos_id=2,
    ),
    # 16 heads of 32, and a feed-forward part as wide as that of base
    "tiny-roberta": EncoderConfig(
        kind="roberta", vocab_size=50262, positions=514, types=1,
        embedding=512, hidden=512, layers=6, heads=16, ffn=3072, activation="gelu",
        dropout=0.0, attention_dropout=0.0, classifier_dropout=0.0,
        eps=1e-5, init_range=0.02, pad_id=1, bos_id=0, eos_id=2,
    ),
}
# fmt: on


HUB_NAMES = {
    "dccuchile/albert-tiny-spanish": "albeto-tiny",
    "dccuchile/albert-base-spanish": "albeto-base",
    "dccuchile/albert-large-spanish": "albeto-large",
    "dccuchile/albert-xlarge-spanish": "albeto-xlarge",
    "dccuchile/albert-xxlarge-spanish": "albeto-xxlarge",
    "dccuchile/albert-base-2-spanish": "albeto-base-2",
    "dccuchile/albert-base-4-spanish": "albeto-base-4",
    "dccuchile/albert-base-6-spanish": "albeto-base-6",
    "dccuchile/albert-base-8-spanish": "albeto-base-8",
    "dccuchile/albert-base-10-spanish": "albeto-base-10",
    "dccuchile/bert-base-spanish-wwm-uncased": "beto-uncased",
    "dccuchile/bert-base-spanish-wwm-cased": "beto-cased",
    "dccuchile/distilbert-base-spanish-uncased": "distilbeto",
    "dccuchile/bertin-roberta-base-spanish": "bertin",
    "bertin-project/bertin-roberta-base-spanish": "bertin",
    "dccuchile/roberta-base-bne": "roberta-bne-base",
    "PlanTL-GOB-ES/roberta-base-bne": "roberta-bne-base",
    "dccuchile/roberta-large-bne": "roberta-bne-large",
    "PlanTL-GOB-ES/roberta-large-bne": "roberta-bne-large",
    "stevemobs/roberta-large-fine-tuned-squad-es": "roberta-bne-large",
}
"""Hub names of published weights -> the preset of their shape; what was fine-tuned from them is
called `NAME-finetuned-...`."""


def preset_of(name: str) -> str | None:
    """Return the preset that has the shape of a model by its name; None where none is known."""
    if name in PRESETS:
        return name
    return HUB_NAMES.get(name.partition("-finetuned-")[0].partition("-distilled-")[0])


def count_parameters(config: EncoderConfig, labels: int = 3, task: str = "classify") -> int:
    """Return the number of trainable values of an encoder with its task head.

    Args:
        config: of the encoder.
        labels: of the head.
        task: the kind of head. One that reads the text has a pooler or dense layer too, one for
            every token is one linear layer.
    """
    e, h, i = config.embedding, config.hidden, config.ffn

    # the encoder, a shared block once
    tables = (
        config.vocab_size + config.positions + config.types
    ) * e + 2 * e  # and their LayerNorm
    projection = e * h + h if config.kind == "albert" else 0
    block = 4 * (h * h + h) + (2 * h * i + i + h) + 4 * h  # attention, feed-forward, two LayerNorms

    dense = 0 if HEADS[task].per_token else h * h + h
    classifier = h * labels + labels
    return (
        tables + projection + block * (1 if config.shared else config.layers) + dense + classifier
    )
