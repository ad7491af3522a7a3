"""Shared attention maps against the plain formula, row by row."""

import pytest
import torch
from emerdiff.emerdiff_ops.attention import add_offset, base_rows, shared_attention, spread_rows
from torch.nn.functional import scaled_dot_product_attention


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def plain(query, key, value, heads):
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


@pytest.mark.parametrize(("groups", "rows", "heads"), [(1, 1, 1), (1, 5, 4), (2, 3, 2)])
@pytest.mark.parametrize("scores", [2**24, 40])
def test_shared_attention_is_attention_with_row_zeros_maps(groups, rows, heads, scores):
    query, key = random(groups, 20, heads * 8), random(groups, 30, heads * 8)
    value = random(groups * rows, 30, heads * 8)
    out = shared_attention(query, key, value, heads, scores)  # 40 forces blocks of one query
    for group in range(groups):
        for row in range(rows):
            at = group * rows + row
            expected = plain(query[group : group + 1], key[group : group + 1], value[at : at + 1], heads)[0]
            assert torch.allclose(out[at], expected, atol=1e-5)


def test_shared_attention_keeps_the_dtype():
    out = shared_attention(random(1, 4, 8).bfloat16(), random(1, 4, 8).bfloat16(), random(3, 4, 8).bfloat16(), 2)
    assert out.dtype == torch.bfloat16 and out.shape == (3, 4, 8)


def test_base_rows_are_the_first_of_every_group():
    stack = torch.arange(6)[:, None]
    assert base_rows(stack, 2).flatten().tolist() == [0, 3]
    assert base_rows(stack, 1).flatten().tolist() == [0]


def test_spread_rows_repeats_inside_its_group():
    assert spread_rows(torch.tensor([[1], [2]]), 2, 3).flatten().tolist() == [1, 1, 1, 2, 2, 2]
    full = torch.arange(6)[:, None]
    assert spread_rows(full, 2, 3) is full


def test_offset_reaches_every_channel_of_its_row_and_cell_alone():
    output, offsets = random(4, 6, 8), torch.zeros(2, 6)
    offsets[1, 2] = 5.0
    changed = add_offset(output, offsets) - output
    assert torch.allclose(changed[[1, 3], 2], torch.full((2, 8), 5.0), atol=1e-5)
    changed[[1, 3], 2] = 0
    assert changed.abs().max() == 0


def test_scores_in_a_wider_precision_do_not_overflow():
    """Scores beyond 65504, as SD2.x has them, are infinite in float16, and their softmax NaN."""
    query, key, value = (torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(n)) for n in range(3))
    query, key, value = (200 * query).half(), (200 * key).half(), value.half().repeat(3, 1, 1)
    scores = (query.double() @ key.double().mT) * 8**-0.5
    expected = scores.softmax(-1) @ value[0].double()
    assert scores.abs().max() > 65504
    found = shared_attention(query, key, value, 1, precision=torch.float32)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.double(), expected.expand(3, -1, -1), rtol=2e-3, atol=2e-3)
    assert not torch.isfinite(shared_attention(query, key, value, 1)).all()
