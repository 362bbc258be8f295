"""Imported checkpoints give the authors' numbers: outputs, losses and gradients, in float32 and float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from diffperc.checkpoints import import_official
from diffperc.losses import silog_loss
from tests.parity.adapter import batch_of
from tests.parity.cases import GOLDENS, INPUTS, TOLERANCE, deviations, filler, gradients, inputs, state_dict

pytestmark = pytest.mark.skipif(not GOLDENS.is_dir(), reason="the reference outputs are not on this machine")
# double precision takes three times as long
PRECISIONS = [
    pytest.param(torch.float32, id="float32"),
    pytest.param(torch.float64, id="float64", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("case", INPUTS)
def test_outputs(case: str, dtype: torch.dtype) -> None:
    for name, deviation in deviations(case, dtype).items():
        assert deviation <= TOLERANCE[dtype], name


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", ["vpd_depth_small", "mp_depth_r3_small"])
def test_losses_and_gradients(case: str, dtype: torch.dtype) -> None:
    """In evaluation and in training mode, where batch norm uses the batch; the aliases of one tensor have one gradient."""
    imported = import_official(state_dict(case))
    model = imported.task.model.to(dtype)
    batch = batch_of(inputs(case, dtype), dtype)
    side = batch.image.shape[-1]
    draw = filler()
    truth = (draw.uniform(777, 2, side, side) * 10).to(dtype)
    truth[draw.uniform(778, 2, side, side) < 0.2] = 0
    # in float32 sums that cancel are rounded as the processor likes: theirs are up to 2e-3 (norms) and 4e-2 (single
    # numbers) from their own float64 ones, ours up to 7e-3 (norms), by the vector instructions that are used
    exact = dtype == torch.float64
    rtol, single_rtol = (1e-6, 1e-6) if exact else (2e-2, 5e-2)
    buffers = {k: v.clone() for k, v in model.named_buffers()}
    for mode, reference in gradients(case, dtype).items():
        for k, v in model.named_buffers():
            v.copy_(buffers[k])
        model.zero_grad()
        model.train(mode == "train")
        loss = silog_loss(model(batch).dense, truth[:, None])
        loss.backward()
        assert loss.item() == pytest.approx(reference["loss"], rel=1e-6 if exact else 1e-4)
        found = _by_their_names(imported.names, dict(model.named_parameters()))
        total = torch.stack([g.double().norm() for g in found.values()]).norm().item()
        assert total == pytest.approx(reference["total_grad_norm"], rel=rtol)
        # of what batch norm makes zero, rounding is left
        _compare(found, reference, rtol, single_rtol, atol=0.1 * torch.finfo(dtype).eps * total)


def _by_their_names(names: Any, parameters: dict[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    """Gradients by the authors' names; no name of ours is left out."""
    gradients = {k: p.grad for k, p in parameters.items() if p.grad is not None}
    return {names[f"model.{k}"]: g for k, g in gradients.items()}


def _compare(found: dict[str, Tensor], reference: dict[str, Any], rtol: float, single_rtol: float, atol: float) -> None:
    for alias, norm in reference["norms"].items():
        name = alias.replace("cross_unet_conv2", "unet.unet.diffusion_model.out")
        if norm == 0:  # a score over one token: frozen here, of no effect there
            assert name not in found
            continue
        gradient = found[name]
        assert gradient.norm().item() == pytest.approx(norm, rel=rtol, abs=atol), name
        if alias in reference["first8"]:
            first = torch.tensor(reference["first8"][alias], dtype=gradient.dtype)
            error = (gradient.flatten()[:8] - first).abs().max().item()
            assert error <= single_rtol * gradient.abs().max().item() + atol, name
