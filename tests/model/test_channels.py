"""Norms over the kept channels of the residual stream."""

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from vitprune.model.channels import KeptChannels, detach, follow

KEEP = torch.tensor([True, False, True, True, False, True, True])
D = len(KEEP)


def norms(kind, **options):
    """Return a norm over all channels, and the same one of the kept channels alone."""
    torch.manual_seed(0)
    whole, sliced = kind(D, **options).double(), kind(int(KEEP.sum()), **options).double()
    with torch.no_grad():
        for name, parameter in whole.named_parameters():
            nn.init.normal_(parameter)[~KEEP] = 0
            sliced.get_parameter(name).copy_(parameter[KEEP])
    return whole, sliced


def stream():
    x = torch.randn(3, 5, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 2
    return x.masked_fill_(~KEEP, 0.0)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.LayerNorm, {"eps": 1e-2}),
        (nn.LayerNorm, {"bias": False}),
        (nn.RMSNorm, {"eps": 1e-2}),
    ],
)
def test_it_is_the_norm_of_the_sliced_tensor_with_its_gradients(kind, options):
    whole, sliced = norms(kind, **options)
    KeptChannels(KEEP).attach([whole])
    x = stream().requires_grad_()
    y = x.detach()[..., KEEP].requires_grad_()
    masked, expected = whole(x), sliced(y)
    assert not masked[..., ~KEEP].any()
    torch.testing.assert_close(masked[..., KEEP], expected, rtol=0, atol=1e-13)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    (masked[..., KEEP] * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad[..., KEEP], y.grad, rtol=0, atol=1e-13)
    assert not x.grad[..., ~KEEP].any()
    for name, parameter in whole.named_parameters():
        theirs = sliced.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad[KEEP], theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_changes_bit_for_bit_while_all_channels_are_kept(dtype):
    norm = norms(nn.LayerNorm)[0].to(dtype)
    x = stream().to(dtype).requires_grad_()
    results = []
    for hooked in (False, True):
        if hooked:
            KeptChannels(torch.ones(D, dtype=torch.bool)).attach([norm])
        output = norm(x)
        inputs = [x, norm.weight, norm.bias]
        results.append([output, *torch.autograd.grad(output.square().sum(), inputs)])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*results, strict=True))


def test_half_precision_is_as_exact_as_that_of_the_sliced_tensor():
    whole, sliced = (norm.bfloat16() for norm in norms(nn.LayerNorm))
    KeptChannels(KEEP).attach([whole])
    x = stream().bfloat16()
    torch.testing.assert_close(whole(x)[..., KEEP], sliced(x[..., KEEP]), rtol=2e-2, atol=2e-2)


def test_a_compiled_model_follows_the_channels_in_one_graph():
    norm = norms(nn.LayerNorm)[0]
    graphs = CompileCounterWithBackend("eager")
    compiled = torch.compile(norm, backend=graphs, fullgraph=True)
    compiled(stream())  # before there are hooks, which torch would not notice
    channels = KeptChannels(torch.ones(D, dtype=torch.bool))
    channels.attach([norm])
    for keep in (torch.ones_like(KEEP), KEEP, KEEP & (torch.arange(D) < 5)):
        channels.write(keep)
        x = stream() * keep
        torch.testing.assert_close(compiled(x), norm(x), rtol=0, atol=1e-13)
    assert graphs.frame_count == 2


def test_copies_share_channels_among_themselves_until_they_follow_another_module():
    model = nn.Sequential(norms(nn.LayerNorm)[0], norms(nn.LayerNorm)[0])
    channels = KeptChannels(torch.ones(D, dtype=torch.bool))
    channels.attach(model)
    copied = copy.deepcopy(model)
    channels.write(KEEP)
    first, second = (KeptChannels.of(norm) for norm in copied)
    assert first is second
    assert first.keep.all()
    follow(copied, model)
    assert all(KeptChannels.of(norm) is channels for norm in copied)
    assert torch.equal(copied(stream()), model(stream()))


def test_without_hooks_a_norm_is_over_all_channels_again():
    norm = norms(nn.LayerNorm)[0]
    before = norm(stream())
    KeptChannels(KEEP).attach([norm])
    assert not torch.equal(norm(stream()), before)
    detach(norm)
    assert torch.equal(norm(stream()), before)
    assert set(norm.state_dict()) == {"weight", "bias"}
