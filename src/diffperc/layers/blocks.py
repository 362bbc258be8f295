"""Small blocks that methods.md names more than once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffperc.layers.norm import BatchNorm2d


class TokenMLP(nn.Module):
    """Linear-GELU-Linear on the last axis, the "adapter" of methods.md 0.6 and the projector of methods.md 3.

    Args:
        inputs, width: channels before and after; the hidden layer is as wide as the output.
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
    """`steps` times [transposed convolution of stride 2, batch norm, ReLU]: size x 2^steps, `filters` channels.

    Args:
        kernel: 2 (depth head) or 4 (meta prompts' neck); both double the size exactly.
    """
    padding = {2: 0, 4: 1}[kernel]
    layers: list[nn.Module] = []
    for step in range(steps):
        deconv = nn.ConvTranspose2d(inputs if step == 0 else filters, filters, kernel, 2, padding, bias=False)
        layers += [deconv, BatchNorm2d(filters), nn.ReLU()]
    return nn.Sequential(*layers)


def convolution_norm_relu(inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    return nn.Sequential(convolution, BatchNorm2d(outputs), nn.ReLU())


def init_normal(module: nn.Module, std: float | None) -> None:
    """N(0, std) for convolutions and zero for their biases, as the released depth decoders (methods.md 1.3).

    Args:
        std: 0.001 as published; None keeps torch's own initialisation, which narrow layers need: with 16 channels 0.001
            is so little that batch norm's epsilon swallows the signal.
    """
    if std is None:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_truncated(module: nn.Module, std: float = 0.02) -> None:
    """Truncated normal for convolutions and zero for their biases, as the released necks (methods.md 1.3)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.trunc_normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
