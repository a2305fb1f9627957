"""What a token sees, looked up once a batch; the GPU's ways computed on a CPU by a stand-in of its kernel."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch.nn import functional as F

from destila.models import attention
from destila.models.attention import Seen, attend_runs, find_runs, look_around, takes_runs
from destila.models.heads import build_model
from destila.training.batches import look_up

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def plain_kernel(q, k, v, starts, keys, longest, longest_key):
    """The kernel for runs of `torch.nn.attention.varlen`, run by run: [T, A, D], scaled by its own width."""
    assert starts is keys
    assert q.shape[-1] % 8 == 0
    assert longest == longest_key == max(b - a for a, b in itertools.pairwise(starts))
    parts = []
    for a, b in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        own = (each[a:b].transpose(0, 1)[None] for each in (q, k, v))
        parts.append(F.scaled_dot_product_attention(*own)[0].transpose(0, 1))
    return torch.cat(parts)


@pytest.fixture
def runs_taken(monkeypatch):
    """Take the kernel for runs on a CPU, by its stand-in; a list of how often."""
    calls = []

    def kernel(*given):
        calls.append(len(given[3]) - 1)
        return plain_kernel(*given)

    monkeypatch.setattr(attention, "_runs_kernel", lambda: kernel)
    monkeypatch.setattr("destila.models.encoder.takes_runs", lambda *_, dropout: not dropout)
    return calls


def test_runs_are_texts_and_the_pads_of_a_row():
    pair = torch.tensor([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
    runs = find_runs(pair > 0, pair)
    assert runs["starts"].tolist() == [0, 3, 5, 6, 12]
    assert (runs["starts"].dtype, int(runs["longest"])) == (torch.int32, 6)
    assert find_runs(pair > 0, None)["starts"].tolist() == [0, 5, 6, 12]


@pytest.mark.parametrize("width", [8, 26])
def test_runs_give_what_a_mask_gives(width, monkeypatch):
    """Heads of a width that the kernel lacks are filled up, and scaled as before."""
    monkeypatch.setattr(attention, "_runs_kernel", lambda: plain_kernel)
    pair = torch.tensor([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 6, 3, width, generator=generator) for _ in range(3))
    found = find_runs(pair > 0, pair)
    ours = attend_runs(q, k, v, look_around(None, pair, torch.float32, found))
    bias = look_around(None, pair, torch.float32).bias
    whole = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), attn_mask=bias)
    torch.testing.assert_close(ours, whole.transpose(1, 2))


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_a_padded_batch_answers_alike_by_runs(kind, small_config, ragged_batch, runs_taken):
    model = build_model(small_config(kind), "tag", ("a", "b"), seed=3).eval()
    batch = ragged_batch((9, 4, 13))
    masked = model(batch).logits
    assert not runs_taken
    by_runs = model(look_up(batch)).logits
    assert runs_taken == [5] * model.config.layers  # three texts and the pads of two
    torch.testing.assert_close(masked[batch.mask], by_runs[batch.mask], rtol=0, atol=1e-5)


def test_packed_rows_answer_and_learn_alike_by_runs(pretoy, runs_taken):
    net = pretoy.model(dropout=0.0)
    batch = pretoy.batch(range(6), 12, 0.3)
    pair = torch.where(torch.arange(12) < 6, batch.mask.long(), 2 * batch.mask.long())
    batch = dataclasses.replace(batch, pair=pair)
    found = []
    for given in (batch, look_up(batch)):
        net.zero_grad()
        output = net(given)
        (output.logits.square().sum() + output.order.square().sum()).backward()
        found.append((output.logits.detach(), [p.grad.clone() for p in net.parameters()]))
    assert len(runs_taken) == 2
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_runs_are_not_taken_where_weights_are_dropped_or_wanted(
    small_config, ragged_batch, runs_taken
):
    batch = look_up(ragged_batch((9, 4)))
    model = build_model(small_config("bert", attention_dropout=0.1), "tag", ("a", "b"), seed=3)
    model.train()(batch)
    model.eval()(batch, states=[("attention", 1)])
    assert not runs_taken
    model(batch, states=[("hidden", 1)])
    assert runs_taken


def test_a_batch_without_pads_needs_no_bias(small_config, ragged_batch, monkeypatch):
    model = build_model(small_config("bert"), "tag", ("a", "b"), seed=3)
    seen: list[Seen] = []
    model.encoder.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    model(look_up(ragged_batch((9, 9))))
    model(look_up(ragged_batch((9, 8))))
    assert [each.bias is None for each in seen] == [True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_bias_is_made_once_in_the_dtype_of_the_products(dtype):
    bias = look_around(torch.tensor([[True, False]]), None, dtype).bias
    assert bias.dtype == dtype
    assert bias.isfinite().all()
    assert bias.softmax(-1).tolist() == [[[[1.0, 0.0]]]]


@pytest.mark.parametrize(
    ("device", "dtype", "dropout", "capability", "taken"),
    [
        (GPU, torch.bfloat16, 0.0, (9, 0), True),
        (GPU, torch.bfloat16, 0.0, (7, 5), False),
        (GPU, torch.bfloat16, 0.1, (9, 0), False),
        (GPU, torch.float32, 0.0, (9, 0), False),
        (CPU, torch.bfloat16, 0.0, (9, 0), False),
    ],
)
def test_the_kernel_for_runs_is_for_gpus_in_sixteen_bits(
    device, dtype, dropout, capability, taken, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert takes_runs(device, dtype, dropout=dropout) is taken


def test_the_real_kernel_takes_what_it_is_given():
    """Shapes and dtypes go through torch's own description of the kernel, without a GPU."""
    starts = torch.tensor([0, 3, 6], dtype=torch.int32, device="meta")
    q, k, v = (torch.empty(2, 3, 4, 26, dtype=torch.bfloat16, device="meta") for _ in range(3))
    context = attend_runs(q, k, v, Seen(starts=starts, longest=3))
    assert (context.shape, context.dtype) == (q.shape, torch.bfloat16)


def test_positions_are_looked_up_where_an_index_is_slow(pretoy):
    """On another device than a CPU the table is read by a lookup, which gives the same."""
    embeddings = pretoy.model(dropout=0.0).encoder.embeddings
    position = torch.tensor([[0, 1, 0], [3, 2, 1]])
    table = embeddings.position.weight
    assert torch.equal(F.embedding(1 + position, table), table[1 + position])
    ids = torch.zeros(2, 3, dtype=torch.long, device="meta")
    assert embeddings.to("meta")(ids, None, ids).shape == (2, 3, 12)


def test_a_masked_model_reads_the_places_it_was_told(pretoy):
    """With the places looked up beforehand no mask is searched, and the logits are the same."""
    net, batch = pretoy.model(dropout=0.0), pretoy.batch(range(6), 12, 0.3)
    plain, told = net(batch), net(look_up(batch))
    assert torch.equal(plain.logits, told.logits)
    assert torch.equal(plain.order, told.order)
    poisoned = dataclasses.replace(look_up(batch), unit_mask=torch.zeros_like(batch.unit_mask))
    assert torch.equal(net(poisoned).logits, plain.logits)
