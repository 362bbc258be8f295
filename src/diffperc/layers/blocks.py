"""Small blocks that several strategies and heads use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from diffperc.layers.norm import BatchNorm2d


class TokenMLP(nn.Module):
    """Linear-GELU-Linear on the last axis, the "adapter" of methods.md 0.6 and the projector of methods.md 3.

    Args:
        inputs: channels before.
        width: channels after, and of the hidden layer.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., inputs) to (..., width)."""
        return self.fc(tokens)


class ResidualTokenMLP(nn.Module):
    """``tokens + gamma * mlp(tokens)``, gamma starting at 1e-4: VPD's text adapter (methods.md 0.6)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = TokenMLP(width, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-4))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        return tokens + self.gamma * self.mlp(tokens)


def deconvolutions(inputs: int, filters: int, steps: int, kernel: int) -> nn.Sequential:
    """`steps` times [transposed convolution of stride 2, batch norm, ReLU].

    Args:
        inputs: channels before.
        filters: channels after each step.
        steps: number of doublings of the size.
        kernel: 2 (depth head) or 4 (neck of Meta Prompts); both double the size exactly.
    """
    padding = {2: 0, 4: 1}[kernel]
    layers: list[nn.Module] = []
    for _ in range(steps):
        deconvolution = nn.ConvTranspose2d(inputs, filters, kernel, 2, padding, bias=False)
        layers += [deconvolution, BatchNorm2d(filters), nn.ReLU()]
        inputs = filters
    return nn.Sequential(*layers)


def convolution_norm_relu(inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    return nn.Sequential(convolution, BatchNorm2d(outputs), nn.ReLU())


def init_normal(module: nn.Module, std: float | None) -> None:
    """Weights of convolutions from N(0, std), biases zero, as in the released depth decoders (methods.md 1.3).

    Args:
        std: standard deviation, 0.001 as published. None keeps torch's own initialisation, which narrow layers need:
            with 16 channels 0.001 is so little that batch norm's epsilon dominates the signal.
    """
    if std is not None:
        _init_convolutions(module, partial(nn.init.normal_, std=std))


def init_truncated(module: nn.Module, std: float = 0.02) -> None:
    """Weights of convolutions from a truncated normal, biases zero, as in the released necks (methods.md 1.3)."""
    _init_convolutions(module, partial(nn.init.trunc_normal_, std=std))


def _init_convolutions(module: nn.Module, init_weight: Callable[[Tensor], Tensor]) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            init_weight(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
