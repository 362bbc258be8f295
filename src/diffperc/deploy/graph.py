"""A model as a function of tensors alone, and its exported graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from diffperc.deploy.exported import MULTIPLE
from diffperc.errors import ConfigError, first_line
from diffperc.inference.predictor import Predictor
from diffperc.types import Batch

_MOST_IMAGES, _MOST_CELLS = 32, 64
_LENGTHS = ("expression", "caption")


class Graph(nn.Module):
    """What a predictor computes for images of one size, without windows and mirror images.

    Args:
        predictor: of the model, on the CPU in float32.
        inside: whether pixels become floats, and the network's output the task's result, within the graph.
    """

    def __init__(self, predictor: Predictor, inside: bool) -> None:
        super().__init__()
        self.model, self._predictor, self._inside = predictor.model, predictor, inside

    def forward(
        self,
        image: Tensor,
        scene: Tensor | None = None,
        expression: Tensor | None = None,
        caption: Tensor | None = None,
    ) -> Tensor:
        """The result for images.

        Args:
            image: (B, H, W, 3) uint8 RGB; not `inside`: (B, 3, H, W) float32 in [0, 1].
            scene: (B,) int64 index of the scene label; -1 = unknown.
            expression, caption: (B, T) int64 ids of tokens.

        Returns:
            See `Predictor.finish`; not `inside`: the network's output (B, K, h, w).
        """
        if self._inside:
            image = image.permute(0, 3, 1, 2).float() / 255
        encoder, captions = self.model.expression, self.model.strategy.caption_encoder
        words = None if expression is None or encoder is None else encoder(expression)
        told = None if caption is None or captions is None else captions(caption)
        batch = Batch(image, scene=scene, expression_tokens=words, caption_tokens=told)
        dense = self.model(batch).dense
        return self._predictor.finish(dense) if self._inside else dense


def inputs_of(predictor: Predictor, image: Tensor, sentences: Mapping[str, str]) -> dict[str, Tensor]:
    """The inputs of a graph for images, and for a sentence that is the same for each.

    Args:
        predictor: whose graph it is.
        image: see `Graph`.
        sentences: ``expression`` and ``caption``; missing ones are empty.
    """
    found = {"image": image}
    if "scene" in predictor.options and predictor.info.scenes:
        found["scene"] = torch.full((image.shape[0],), -1)
    encoders = {"expression": predictor.model.expression, "caption": predictor.model.strategy.caption_encoder}
    for name in _LENGTHS:
        encoder = encoders[name]
        if encoder is not None:
            found[name] = encoder.ids([sentences.get(name, "")]).expand(image.shape[0], -1).contiguous()
    return found


def export_graph(graph: Graph, inputs: dict[str, Tensor], fixed: bool) -> tuple[ExportedProgram, dict[str, Tensor]]:
    """The graph for any number of images, and inputs without those that it does not read.

    Args:
        graph: in evaluation mode.
        inputs: of two images, see `inputs_of`.
        fixed: whether the sides are those of the inputs, instead of any multiples of `MULTIPLE` from twice that on.

    Raises:
        ConfigError: the model cannot be exported for all sizes.
    """
    program = _exported(graph, inputs, fixed)
    unread = [name for name in inputs if name != "image" and not _is_read(program, name)]
    if not unread:
        return program, inputs
    inputs = {name: tensor for name, tensor in inputs.items() if name not in unread}
    return _exported(graph, inputs, fixed), inputs


def _exported(graph: Graph, inputs: dict[str, Tensor], fixed: bool) -> ExportedProgram:
    shapes = shapes_of(inputs, fixed)
    try:
        with torch.no_grad():
            return torch.export.export(graph, (), kwargs=inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # torch raises every kind for what it cannot trace
        instead = "" if fixed else "; give the size of the images, such as image_size=[480,640]"
        raise ConfigError(
            f"the model cannot be exported for all sizes of images ({first_line(error)}){instead}."
        ) from error


def shapes_of(inputs: Mapping[str, Tensor], fixed: bool) -> dict[str, dict[int, Any]]:
    """Which sides of inputs can have other sizes, as torch.export asks for them."""
    batch: Any = Dim("batch", min=1, max=_MOST_IMAGES)
    shapes: dict[str, dict[int, Any]] = {name: {0: batch} for name in inputs}
    if not fixed:
        sides: Sequence[int] = (1, 2) if inputs["image"].shape[-1] == 3 else (2, 3)
        for side, name in zip(sides, ("height", "width"), strict=True):
            shapes["image"][side] = MULTIPLE * Dim(name, min=2, max=_MOST_CELLS)
    return shapes


def _is_read(program: ExportedProgram, name: str) -> bool:
    return any(node.op == "placeholder" and node.name == name and node.users for node in program.graph.nodes)
