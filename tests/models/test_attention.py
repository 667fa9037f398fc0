import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from hrpro.models import attention as module
from hrpro.models.attention import Dropout, _random_signs, attention


def heads(length, size=8, count=2):
    torch.manual_seed(length)
    return [torch.randn(count, length, size, dtype=torch.float64, requires_grad=True) for _ in range(3)]


@pytest.mark.parametrize("length", [1, 5, 33])
@pytest.mark.parametrize("block", [7, 1 << 18])
def test_dropout_is_applied_and_gradients_are_exact(length, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    query, key, value = heads(length)
    torch.manual_seed(3)
    out = attention(query, key, value, .25)
    # With the identity matrix as values, attention returns the weights that were kept.
    torch.manual_seed(3)
    kept = attention(query, key, torch.eye(length, dtype=torch.float64).expand(2, -1, -1), .25) != 0
    weights = torch.softmax(query @ key.transpose(1, 2) / 8 ** .5, dim=-1) * kept / .75
    expected = weights @ value
    torch.testing.assert_close(out, expected)
    upstream = torch.randn_like(out)
    for ours, theirs in zip(torch.autograd.grad(out, (query, key, value), upstream),
                            torch.autograd.grad(expected, (query, key, value), upstream), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_attention_without_dropout_matches_torch():
    query, key, value = heads(12)
    torch.testing.assert_close(attention(query, key, value, 0.),
                               scaled_dot_product_attention(query[None], key[None], value[None])[0])


def test_same_seed_drops_the_same_weights():
    parts = heads(20)
    torch.manual_seed(5)
    first = attention(*parts, .1)
    second = attention(*parts, .1)
    torch.manual_seed(5)
    assert torch.equal(first, attention(*parts, .1))
    assert not torch.equal(first, second)


def test_signs_are_dropped_at_the_given_rate():
    for rate in (.1, .5):
        signs = _random_signs(np.random.SFC64(0), rate, torch.Size((1000, 1001)))
        lanes = (signs >= 0).double().view(-1)[:1000 * 1000].view(-1, 4).mean(dim=0)
        torch.testing.assert_close(lanes, torch.full((4,), rate, dtype=torch.float64), atol=.003, rtol=0)


def test_dropout_preserves_the_mean_and_has_exact_gradients():
    values = torch.ones(1000, 1000, requires_grad=True)
    dropout = Dropout(.3)
    out = dropout(values)
    assert out.detach().mean() == pytest.approx(1, abs=.005)
    assert out.detach().unique().tolist() == [0, pytest.approx(1 / .7)]
    out.sum().backward()
    assert torch.equal(values.grad, out.detach())
    assert torch.equal(dropout.eval()(values), values)
