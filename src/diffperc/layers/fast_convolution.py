"""Convolutions of a network that is only run, on a CPU: the same function with weights arranged once, in less time."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CELLS = 4
_READ = _CELLS + 2
_POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))
_TILES_AT_ONCE = 192
# measured with two threads of a CPU with AVX-512, 64 to 1280 channels, 8 x 8 to 512 x 512
_LEAST_TILES, _LEAST_CHANNELS, _MOST_WEIGHTS = 64, 128, 12_000_000
_LEAST_WEIGHTS = 9 * _LEAST_CHANNELS**2
# larger ones cut an image into the patches of a transformer: they cost little, and transformers reads their weight's type
_KERNELS = ((1, 1), (3, 3))


class FastConvolution(nn.Module):
    """A convolution without gradient, with weights arranged at its first call for the size of that input.

    Where the input is large, 3 x 3 kernels use Winograd's algorithm F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308): blocks
    of 4 x 4 outputs cost 36 products per pair of channels instead of 144, and the weights take four times the memory. Its
    interpolation points, 0 and plus or minus the square roots of 1/2 and 2, keep the rounding error at 1e-5 of the outputs'
    standard deviation; the usual 0, 1, -1, 2, -2 give five times as much. Everywhere else oneDNN's own arrangement is used,
    which it would make anew at every call. The given convolution's weights are released.

    Args:
        conv: on a CPU, zero-padded, with one group, in float32 or bfloat16.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation = list(conv.stride), list(map(int, conv.padding)), list(conv.dilation)
        self._plain: Tensor | None = conv.weight.detach()
        self.bias = None if conv.bias is None else conv.bias.detach()
        self._packed: Tensor | None = None
        self._transformed: Tensor | None = None

    @staticmethod
    def can_replace(module: nn.Module) -> bool:
        """Whether this is a convolution that is computed here, and large enough to gain."""
        return (
            type(module) is nn.Conv2d
            and module.weight.numel() >= _LEAST_WEIGHTS
            and module.kernel_size in _KERNELS
            and module.groups == 1
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
            and module.weight.device.type == "cpu"
            and _is_fast_in(module.weight.dtype)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, H', W')."""
        if self._plain is not None:
            self._arrange(self._plain, x)
        if self._transformed is not None:
            return _winograd(x, self._transformed, self.bias)
        assert self._packed is not None
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, self.padding, self.stride, self.dilation, 1, "none", [], ""
        )

    def _arrange(self, weight: Tensor, x: Tensor) -> None:
        if self._is_for_winograd(weight, x):
            self._transformed = _transformed(weight)
        else:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight, self.padding, self.stride, self.dilation, 1, list(x.shape)
            )
        self._plain = None

    def _is_for_winograd(self, weight: Tensor, x: Tensor) -> bool:
        is_usual = weight.shape[2:] == (3, 3) and self.padding == self.stride == self.dilation == [1, 1]
        tiles = x.shape[0] * x.shape[2] * x.shape[3] / _CELLS**2
        wins = tiles >= _LEAST_TILES and min(weight.shape[:2]) >= _LEAST_CHANNELS and weight.numel() <= _MOST_WEIGHTS
        return weight.dtype == torch.float32 and is_usual and wins


@functools.cache
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """Winograd's transformations of a block of inputs (36, 36), of a kernel (36, 9) and to a block of outputs (16, 36).

    Those of one axis follow from the interpolation points p: rows of kernel (1, p, p^2) / prod(p - q), rows of inputs the
    coefficients of prod(x - q), over the other points q; the last of each is that of the point at infinity.
    """
    inputs = torch.zeros(_READ, _READ, dtype=torch.float64)
    kernel = torch.zeros(_READ, 3, dtype=torch.float64)
    outputs = torch.zeros(_CELLS, _READ, dtype=torch.float64)
    for i, p in enumerate(_POINTS):
        others = [q for q in _POINTS if q != p]
        inputs[i, :5] = _coefficients(others)
        kernel[i] = torch.tensor([1.0, p, p * p]).double() / torch.tensor([p - q for q in others]).double().prod()
        outputs[:, i] = torch.tensor([p**k for k in range(_CELLS)]).double()
    inputs[-1], kernel[-1, -1], outputs[-1, -1] = _coefficients(_POINTS), 1, 1
    return torch.kron(inputs, inputs).float(), torch.kron(kernel, kernel), torch.kron(outputs, outputs).float()


def _coefficients(roots: tuple[float, ...] | list[float]) -> Tensor:
    """Of the polynomial with these roots, the constant first."""
    polynomial = torch.ones(1, dtype=torch.float64)
    for root in roots:
        polynomial = F.pad(polynomial, (1, 0)) - root * F.pad(polynomial, (0, 1))
    return polynomial


def _is_fast_in(dtype: torch.dtype) -> bool:
    """Whether oneDNN has kernels for a precision on this CPU; it arranges no weights in bfloat16 where it has none."""
    has_bf16: bool = dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32 or has_bf16


def _transformed(weight: Tensor) -> Tensor:
    """Kernels (K, C, 3, 3) to (36, C, K)."""
    _, kernel, _ = _matrices()
    by_cell = weight.permute(2, 3, 1, 0).reshape(9, -1)
    parts = [(kernel @ part.double()).float() for part in by_cell.split(200_000, 1)]
    return torch.cat(parts, 1).view(_READ**2, weight.shape[1], weight.shape[0])


def _winograd(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The 3 x 3 convolution (B, C, H, W) to (B, K, H, W), some rows of blocks at a time so that they stay in the cache."""
    batch, _, height, width = x.shape
    channels = weight.shape[2]
    inputs, _, outputs = _matrices()
    right, bottom = -width % _CELLS, -height % _CELLS
    padded = F.pad(x, (1, 1 + right, 1, 1 + bottom)).permute(0, 2, 3, 1)
    result = x.new_empty(batch, height + bottom, width + right, channels)
    tall, wide = result.shape[1] // _CELLS, result.shape[2] // _CELLS
    step = max(1, _TILES_AT_ONCE // wide)
    blocks = padded.unfold(1, _READ, _CELLS).unfold(2, _READ, _CELLS)  # (B, tall, wide, C, 6, 6)
    for b in range(batch):
        for top in range(0, tall, step):
            part = blocks[b, top : top + step].permute(3, 4, 0, 1, 2)
            rows = part.shape[2]
            read = (inputs @ part.reshape(_READ**2, -1)).view(_READ**2, rows * wide, -1)
            dense = (outputs @ torch.bmm(read, weight).view(_READ**2, -1)).view(_CELLS, _CELLS, rows, wide, channels)
            place = result[b, top * _CELLS : (top + rows) * _CELLS].view(rows, _CELLS, wide, _CELLS, channels)
            place.copy_(dense.permute(2, 0, 3, 1, 4))
    if bias is not None:
        result += bias
    return result[:, :height, :width].permute(0, 3, 1, 2)
