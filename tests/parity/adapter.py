"""Runs an authors' state dict through the public importer, and names what comes out as the reference outputs do."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from diffperc.checkpoints import import_official
from diffperc.models.perception import PerceptionModel
from diffperc.types import Batch, Branch, Conditioning, Features


def model_of(case: str, state_dict: dict[str, Tensor], dtype: torch.dtype) -> PerceptionModel:
    """The imported model; NYUv2's and KITTI's depth models look the same, so that the case must say which it is."""
    dataset = "kitti" if "kitti" in case else None
    return import_official(state_dict, dataset).task.model.to(dtype)


def batch_of(inputs: dict[str, Tensor], dtype: torch.dtype) -> Batch:
    """``x`` (B, 3, H, W) in [0, 1] or ``img`` in [-1, 1]; ``class_ids`` of scenes; ``l_feats`` (B, T, D) of expressions."""
    image = inputs["x"].to(dtype) if "x" in inputs else (inputs["img"].to(dtype) + 1) / 2
    scene = inputs.get("class_ids")
    tokens = inputs.get("l_feats")
    return Batch(
        image,
        scene=None if scene is None else torch.as_tensor(scene),
        expression_tokens=None if tokens is None else tokens.to(dtype),
    )


class Recorder:
    """Notes what passes the borders between backbone and strategy; the n-th call's names end in ``#n``.

    Args:
        model: whose backbone's methods are wrapped.
    """

    def __init__(self, model: PerceptionModel) -> None:
        self.entries: dict[str, Tensor] = {}
        self._passes = 0
        backbone, self._extract = model.backbone, model.backbone.extract
        encode, to_latents = backbone.encode, backbone.to_latents

        def encoded(image: Tensor) -> Tensor:
            return self._note("latents", encode(image))

        def refined(features: Features) -> Tensor:
            return self._note(f"latents_refined{self._suffix()}", to_latents(features))

        backbone.encode, backbone.extract, backbone.to_latents = encoded, self._extracted, refined  # type: ignore[method-assign]
        model.strategy.register_forward_hook(lambda module, arguments, branches: self._handed_over(branches))

    def _note(self, name: str, tensor: Tensor) -> Tensor:
        self.entries[name] = tensor
        return tensor

    def _suffix(self) -> str:
        return f"#{self._passes}" if self._passes > 1 else ""

    def _extracted(self, latents: Tensor, conditioning: Conditioning, attention: Collection[int] = ()) -> Features:
        self._passes += 1
        features = self._extract(latents, conditioning, attention)
        self._note("context", conditioning.tokens)
        self._note(f"context{self._passes}", conditioning.tokens)
        for i, feature in enumerate(features.maps):
            self._note(f"unet.out.{i}{self._suffix()}", feature)
        for stride, maps in features.attention.items():
            # named by the side of the map of a square of 512 pixels
            self._note(f"attn{512 // stride}", maps)
        return features

    def _handed_over(self, branches: list[Branch]) -> None:
        """VPD hands the maps on, some with attention appended; of Meta Prompts the head reads another thing, the readout."""
        maps = branches[0].features.maps
        read_out = len(maps) != 4 or maps[0].shape[-2:] != self.entries["unet.out.0"].shape[-2:]
        for i, feature in enumerate(maps):
            self._note(f"{'readout' if read_out else 'unet.out'}.{i}", feature)


def run(case: str, state_dict: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Outputs of one case, in the precision of its inputs.

    Args:
        case: such as ``vpd_depth_small``; sizes come from the tensors.
        state_dict: in the authors' layout.
        inputs: ``x`` or ``img``, and ``class_ids`` or ``l_feats``, as the reference's README names them.

    Returns:
        ``latents``, ``context``, ``unet.out.0`` to ``unet.out.3``, ``output``, and further entries by their names there.
    """
    dtype = inputs["x" if "x" in inputs else "img"].dtype
    model = model_of(case, state_dict, dtype).eval()
    recorder = Recorder(model)
    with torch.no_grad():
        output = model(batch_of(inputs, dtype)).dense
    return {**recorder.entries, "output": output}
