"""Graphs in whole numbers of 8 bits, and what that costs in the task's metric."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from diffperc.deploy.exported import nearest_size, session_of
from diffperc.layers.resize import resize_bilinear
from diffperc.tasks import PerceptionTask
from diffperc.types import Batch

Feeds = dict[str, NDArray[Any]]
_QUANTIZED = ["Conv", "Gemm", "MatMul"]  # what takes the time; norms and softmax lose most by 8 bits


def feeds_of(task: PerceptionTask, batch: Batch, names: Iterable[str], inside: bool) -> Feeds:
    """What a graph reads of a batch, at the nearest size that it takes.

    Args:
        task: whose graph it is.
        batch: of one image.
        names: of the inputs.
        inside: see `Graph`.
    """
    image = resize_bilinear(batch.image, nearest_size(*batch.size))
    found = {"image": (image.permute(0, 2, 3, 1) * 255).round().byte() if inside else image}
    if batch.scene is not None:
        found["scene"] = batch.scene
    encoders = {"expression": task.model.expression, "caption": task.model.strategy.caption_encoder}
    for name, encoder in encoders.items():
        if encoder is not None:
            found[name] = encoder.ids(getattr(batch, name) or [""] * len(batch))
    return {name: found[name].numpy() for name in names}


def quantize(file: Path, to: Path, feeds: Iterator[Feeds]) -> None:
    """Write a graph whose products are of whole numbers of 8 bits, with ranges seen on images.

    Args:
        file: an ``.onnx`` of float32.
        to: the new one.
        feeds: inputs by name.
    """

    class Reader(CalibrationDataReader):
        def get_next(self) -> Feeds | None:
            return next(feeds, None)

    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".export-") as folder:
        prepared, part = Path(folder) / "prepared.onnx", Path(folder) / to.name
        quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(part),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        model, plain = onnx.load(part), onnx.load(file, load_external_data=False)
        onnx.helper.set_model_props(model, {entry.key: entry.value for entry in plain.metadata_props})
        onnx.save(model, part)
        part.replace(to)


@torch.no_grad()
def scores_of(task: PerceptionTask, file: Path, batches: Iterable[Batch], names: Iterable[str]) -> dict[str, float]:
    """The task's metrics with a graph in place of its network, by the same windows and mirror images.

    Args:
        task: with its metrics prepared.
        file: a graph exported with ``inside=false``.
        batches: of one image each, with ground truth.
        names: of the inputs.
    """
    session = session_of(file)

    def dense(batch: Batch) -> Tensor:
        (found,) = session.run(None, feeds_of(task, batch, names, inside=False))
        stride = task.model.out_stride
        size = [-(-side // stride) for side in batch.size]
        return resize_bilinear(torch.from_numpy(found), size)

    plain, task.dense = task.dense, dense  # type: ignore[method-assign]
    try:
        task.scores.reset()
        for batch in batches:
            task.score(task.predict_batch(batch), batch)
        return {name: float(value) for name, value in task.scores.compute().items()}
    finally:
        task.dense = plain  # type: ignore[method-assign]
        task.scores.reset()
