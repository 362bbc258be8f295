"""The reference outputs of the authors' code, where the machine has them, and how far ours are from them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tests.parity.adapter import run

GOLDENS = Path(__file__).resolve().parents[3] / "shared" / "goldens"
SUFFIX = {torch.float32: "", torch.float64: "_fp64"}
# of an entry's standard deviation
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
# of each case: inputs from the seeded draws uniform(seed, *shape) and normal(seed, *shape)
INPUTS: dict[str, Callable[[Any, Any], dict[str, Tensor]]] = {
    "vpd_depth_small": lambda u, n: {"x": u(1234, 2, 3, 352, 352), "class_ids": torch.tensor([6, 17])},
    "vpd_seg_small": lambda u, n: {"img": u(1234, 2, 3, 256, 256) * 2 - 1},
    "vpd_refer_small": lambda u, n: {"img": u(1234, 2, 3, 256, 256) * 2 - 1, "l_feats": n(4321, 2, 40, 768)},
    "mp_depth_r1_small": lambda u, n: {"x": u(1234, 2, 3, 192, 192)},
    "mp_depth_r3_small": lambda u, n: {"x": u(1234, 2, 3, 192, 192)},
    "mp_seg_small": lambda u, n: {"img": u(1234, 2, 3, 256, 256) * 2 - 1},
}


def filler() -> ModuleType:
    """The module beside the references that draws weights and inputs."""
    spec = importlib.util.spec_from_file_location("fill", GOLDENS / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inputs(case: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Seeded inputs of a case."""
    draw = filler()
    found = INPUTS[case](draw.uniform, draw.normal)
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in found.items()}


def state_dict(case: str) -> dict[str, Tensor]:
    """The authors' state dict of a case, with synthetic values."""
    found: dict[str, Tensor] = filler().synth_state_dict(str(GOLDENS / f"{case}_manifest.json"))
    return found


def deviations(case: str, dtype: torch.dtype) -> dict[str, float]:
    """Of each entry that both have, the largest difference in units of the reference's standard deviation.

    Raises:
        AssertionError: a shape differs, or an entry that there must be is missing.
    """
    found = run(case, state_dict(case), inputs(case, dtype))
    references = torch.load(GOLDENS / f"{case}{SUFFIX[dtype]}.pt", weights_only=True)
    common = [name for name in references if name in found]
    assert {"latents", "output", *(f"unet.out.{i}" for i in range(4))} <= set(common)
    return {name: _deviation(found[name], references[name]) for name in common}


def _deviation(found: Tensor, reference: dict[str, Any]) -> float:
    assert list(found.shape) == list(reference["shape"])
    index = (torch.arange(64) * 1000003 + 7919) % found.numel()
    pairs = [(found.flatten()[index], reference["sample"])]
    if "full" in reference:
        pairs.append((found, reference["full"]))
    if "thin" in reference:
        pairs.append((found[tuple(slice(None, None, s) for s in reference["thin_stride"])], reference["thin"]))
    largest = max((a - b).abs().max().item() for a, b in pairs)
    # the whole tensor's figures as well: the samples see a part of it
    moments = [abs(found.double().mean().item() - reference["mean"])]
    moments.append(abs(found.double().std(unbiased=False).item() - reference["std"]))
    return float(max(largest, *moments) / reference["std"])


def gradients(case: str, dtype: torch.dtype) -> dict[str, Any]:
    """The reference's losses and gradients."""
    content = json.loads((GOLDENS / f"{case}{SUFFIX[dtype]}_grad.json").read_text())
    found: dict[str, Any] = content["grads"]
    return found
