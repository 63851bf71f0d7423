"""Coded layers at the edges: nothing in or out, weights replaced between the passes, and tracing."""

import copy

import pytest

import kofn
import torch
from torch import nn

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as pool:
        yield pool


def gradients(layer, x, between=lambda _: None):
    x = x.clone().requires_grad_()
    out = layer(x)
    between(layer)
    out.square().sum().backward()
    return [x.grad, *(value.grad for value in layer.parameters())]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("sizes", [(0, 4), (4, 0), (0, 0), (4, 2)])
def test_layers_without_inputs_outputs_or_samples(pool, sizes, shape, bias):
    layer = nn.Linear(*sizes, bias=bias).double()
    x = torch.randn(*shape, sizes[0], dtype=torch.float64)
    expected = gradients(copy.deepcopy(layer), x)
    found = gradients(kofn.torch.convert(layer, workers=pool), x)
    for one, two in zip(expected, found, strict=True):
        assert one.shape == two.shape and torch.allclose(one, two, rtol=1e-9)


def by_data(layer):
    layer.weight.data = 5 * layer.weight.data


def in_place(layer):
    with torch.no_grad():
        layer.weight.mul_(5)


@pytest.mark.parametrize(("made", "x"), [
    (lambda: nn.Linear(6, 4), torch.randn(5, 6)), (lambda: nn.Linear(6, 4), torch.randn(2, 5, 6)),
    (lambda: nn.Linear(6, 4), torch.randn(6)), (lambda: nn.Conv2d(2, 3, 3), torch.randn(2, 2, 6, 6)),
])  # fmt: skip
def test_a_weight_replaced_between_the_passes_counts_as_in_pytorch(pool, made, x):
    layer = made().double()
    expected = gradients(copy.deepcopy(layer), x.double(), by_data)
    coded = kofn.torch.convert(copy.deepcopy(layer), workers=pool)
    for one, two in zip(expected, gradients(coded, x.double(), by_data), strict=True):
        assert torch.allclose(one, two, rtol=1e-9)
    for one in (layer, kofn.torch.convert(copy.deepcopy(layer), workers=pool)):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            gradients(one, x.double(), in_place)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is:DeprecationWarning")
@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(2, 3, 3)])
def test_tracing_is_refused_in_a_sentence(pool, layer):
    model = nn.Sequential(kofn.torch.convert(layer, workers=pool), nn.ReLU())
    with pytest.raises(kofn.ArgumentError, match=r"must be given tensors, but got a Proxy; trace the model before"):
        torch.fx.symbolic_trace(model)
    with pytest.raises(kofn.ArgumentError, match=r"but got torch.jit.script; script the model before"):
        torch.jit.script(model)
