from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from destila.models.heads import build_model
from destila.models.macs import count_macs
from destila.models.presets import PRESETS

PUBLISHED = {  # at 128, 256 and 512 tokens
    "beto-uncased": (10_882_058_496, 21_763_524_864, 43_526_457_600),
    "beto-cased": (10_882_058_496, 21_763_524_864, 43_526_457_600),
    "distilbeto": (5_441_521_920, 10_882_451_712, 21_764_311_296),
    "albeto-tiny": (604_635_112, 1_209_171_944, 2_418_245_608),
    "albeto-base-2": (1_826_752_768, 3_652_913_408, 7_305_234_688),
    "albeto-base-4": (3_640_264_960, 7_279_937_792, 14_559_283_456),
    "albeto-base-6": (5_453_777_152, 10_906_962_176, 21_813_332_224),
    "albeto-base-8": (7_267_289_344, 14_533_986_560, 29_067_380_992),
    "albeto-base-10": (9_080_801_536, 18_161_010_944, 36_321_429_760),
    "albeto-base": (10_894_313_728, 21_788_035_328, 43_575_478_528),
    "albeto-large": (38_697_765_888, 77_394_480_128, 154_787_908_608),
    "albeto-xlarge": (154_706_974_720, 309_409_748_992, 618_815_297_536),
    "albeto-xxlarge": (309_371_940_864, 618_727_092_224, 1_237_437_394_944),
    "bertin": (10_882_058_496, 21_763_524_864, 43_526_457_600),
    "roberta-bne-base": (10_882_058_496, 21_763_524_864, 43_526_457_600),
    "roberta-bne-large": (38_681_447_424, 77_361_843_200, 154_722_634_752),
}
DEEPER_TINY = {
    6: (904_314_856, 3_616_964_584),
    8: (1_203_994_600, 4_815_683_560),
    12: (1_803_354_088, 7_213_121_512),
}


@pytest.mark.parametrize(("name", "counts"), PUBLISHED.items())
def test_the_papers_counts_are_reproduced_to_the_digit(name: str, counts: tuple[int, int, int]):
    assert tuple(count_macs(PRESETS[name], length) for length in (128, 256, 512)) == counts


@pytest.mark.parametrize(("layers", "counts"), DEEPER_TINY.items())
def test_more_passes_of_the_tiny_block_count_as_published(layers: int, counts: tuple[int, int]):
    config = PRESETS["albeto-tiny"].with_values(layers=layers)
    assert (count_macs(config, 128), count_macs(config, 512)) == counts


def test_attention_products_add_eleven_percent_to_base_at_512():
    base = PRESETS["albeto-base"]
    added = count_macs(base, 512, attention=True) - count_macs(base, 512)
    assert added == 12 * 2 * 512 * 512 * 768
    assert 0.10 < added / count_macs(base, 512) < 0.12


def counted(model: nn.Module, length: int) -> int:
    """Multiply-accumulates of one forward pass: products by torch's counter, LayerNorm 4 per element by hooks."""
    norms = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal norms
        norms += 4 * output.numel()

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.LayerNorm)]
    ids = torch.full((1, length), 5)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.answer(
            ids, None, None, states=[("attention", n + 1) for n in range(model.config.layers)]
        )
    for hook in hooks:
        hook.remove()
    assert norms > 0
    return counter.get_total_flops() // 2 + norms


@pytest.mark.parametrize("kind", ["bert", "roberta", "albert", "distilbert"])
@pytest.mark.parametrize("task", ["classify", "tag"])
def test_the_total_equals_counting_what_runs(kind: str, task: str, small_config):
    config = small_config(kind)
    model = build_model(config, task, ("a", "b", "c", "d", "e"), seed=0)
    assert count_macs(config, 17, labels=5, task=task, attention=True) == counted(model, 17)


def test_the_total_of_tiny_equals_counting_what_runs():
    config = PRESETS["albeto-tiny"]
    model = build_model(config, "classify", ("a", "b", "c"), seed=0)
    assert count_macs(config, 128, attention=True) == counted(model, 128)
