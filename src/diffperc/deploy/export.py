"""Exporting a model for programs without diffperc or torch: ONNX, or torch's own exported program."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

from diffperc.deploy.exported import FORMAT, KEY, RESULTS, session_of
from diffperc.deploy.graph import Graph, export_graph, inputs_of
from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor
from diffperc.types import Picture
from diffperc.version import __version__

SUFFIXES = (".onnx", ".pt2")
LARGEST_DEVIATION = 1e-3
"""From the model, as a share of the largest value, above which nothing is exported."""
_ONE_FILE = 1_800_000_000  # bytes of weights; protobuf ends at 2 GiB
_OPSET = 20


class Exported(NamedTuple):
    """What was written.

    Attributes:
        deviation: largest difference from the model on an image, as a share of the largest value.
        size: bytes on the disk.
        inputs: names of what the graph reads, the image first.
    """

    deviation: float
    size: int
    inputs: tuple[str, ...]


def export(
    predictor: Predictor,
    to: Path,
    image: Picture,
    inside: bool,
    size: tuple[int, int] | None,
    sentences: Mapping[str, str],
) -> Exported:
    """Write the model as a graph, after comparing both.

    Args:
        predictor: on the CPU, in float32, with weights as they were trained.
        to: the file, of one of `SUFFIXES`.
        image: the one for which graph and model are compared, at a size that the graph takes.
        inside: see `Graph`.
        size: (H, W) of all images; None: any multiples of 64 from 128 on.
        sentences: see `inputs_of`.

    Raises:
        ConfigError: see `export_graph`; or the graph computes something else than the model.
    """
    graph = Graph(predictor, inside).eval()
    pixels = torch.from_numpy(image.copy())[None]
    shown = pixels if inside else pixels.permute(0, 3, 1, 2).float() / 255
    inputs = inputs_of(predictor, shown, sentences)
    # two images: of one, the number would become a constant
    program, doubled = export_graph(graph, {k: torch.cat([v, v]) for k, v in inputs.items()}, size is not None)
    inputs = {name: inputs[name] for name in doubled}
    with torch.no_grad():
        expected = graph(**inputs).numpy()
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".export-") as folder:
        part = Path(folder) / to.name
        found = write_program(program, part, inputs) if to.suffix == ".pt2" else write_onnx(program, part, inputs)
        deviation = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
        if not deviation <= LARGEST_DEVIATION:
            raise ConfigError(
                f"to: the graph differs from the model by {deviation:.1e} of the largest value, more than "
                f"{LARGEST_DEVIATION:g}; nothing was written. This is a mistake of diffperc or of a library: report it."
            )
        about = described(predictor, inside, size, tuple(inputs), deviation)
        _describe(part, about)
        written = sum(file.stat().st_size for file in Path(folder).iterdir())
        for file in sorted(Path(folder).iterdir(), reverse=True):  # the weights beside a graph before the graph
            file.replace(to.parent / file.name)
    return Exported(deviation, written, tuple(inputs))


def write_program(program: ExportedProgram, part: Path, inputs: Mapping[str, Tensor]) -> NDArray[Any]:
    """Write torch's exported program; returns what the file computes."""
    torch.export.save(program, part)
    with torch.no_grad():
        found: Tensor = torch.export.load(part).module()(**inputs)
    return found.numpy()


def write_onnx(program: ExportedProgram, part: Path, inputs: Mapping[str, Tensor]) -> NDArray[Any]:
    """Write ONNX, what does not depend on the inputs folded in; returns what the file computes."""
    for library in ("onnx_ir", "onnxscript"):  # each of their passes would tell that it changed nothing
        logging.getLogger(library).setLevel(logging.WARNING)
    weights = sum(tensor.nbytes for tensor in program.state_dict.values())
    converted = torch.onnx.export(program, opset_version=_OPSET, output_names=["result"], verbose=False)
    assert converted is not None
    converted.optimize()
    converted.save(part, external_data=weights > _ONE_FILE)
    return run_onnx(part, inputs)


def run_onnx(file: Path, inputs: Mapping[str, Tensor]) -> NDArray[Any]:
    """What a graph computes."""
    session = session_of(file)
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    result: NDArray[Any] = found
    return result


def described(
    predictor: Predictor, inside: bool, size: tuple[int, int] | None, inputs: tuple[str, ...], deviation: float
) -> dict[str, Any]:
    """What `ExportedPredictor` needs to know of a graph, as plain values."""
    preprocess, crop = predictor.preprocess, predictor.preprocess.person_crop
    resize = {name: getattr(preprocess, name) for name in ("short_side", "size", "interpolation", "max_side")}
    encoders = {"expression": predictor.model.expression, "caption": predictor.model.strategy.caption_encoder}
    return {
        "format": FORMAT,
        "version": __version__,
        "task": next((name for name, result in RESULTS.items() if result is predictor.result), None),
        "inside": inside,
        "size": size,
        "inputs": inputs,
        "deviation": deviation,
        "info": predictor.info.to_dict(),
        "resize": resize,
        "person_crop": None if crop is None else {"size": crop.size, "stride": crop.stride, "padding": crop.padding},
        "visible": getattr(predictor.protocol, "visible", None),
        "tokenizers": {name: e.tokenizer_json() for name, e in encoders.items() if e is not None and name in inputs},
    }


def _describe(part: Path, about: Mapping[str, Any]) -> None:
    """Put a description into a file."""
    if part.suffix == ".onnx":
        model = onnx.load(part, load_external_data=False)
        onnx.helper.set_model_props(model, {KEY: json.dumps(about)})
        part.write_bytes(model.SerializeToString())
        return
    torch.export.save(torch.export.load(part), part, extra_files={KEY: json.dumps(about)})
