"""Predicting with an exported model through onnxruntime. Imports no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from diffperc.errors import CheckpointError, ConfigError, DataError, did_you_mean, first_line
from diffperc.geometry.person_crop import PersonCrop
from diffperc.geometry.resize import Resize
from diffperc.inference.images import Image, images_of, picture
from diffperc.results.base import Result
from diffperc.results.depth import DepthResult
from diffperc.results.normals import NormalsResult
from diffperc.results.pose import Pose, PoseResult, boxes_in
from diffperc.results.referring import ReferringResult
from diffperc.results.segmentation import SegmentationResult
from diffperc.types import DatasetInfo, Person, Picture, Sample

FORMAT = 1
KEY = "diffperc"
MULTIPLE = 64
"""Sides of the images of an exported model are multiples of so many pixels."""
RESULTS: dict[str, type[Result]] = {
    "depth": DepthResult,
    "segmentation": SegmentationResult,
    "referring": ReferringResult,
    "pose": PoseResult,
    "normals": NormalsResult,
}
"""By task, what exported models return."""


def nearest_size(height: int, width: int) -> tuple[int, int]:
    """(H, W), the multiples of `MULTIPLE` that are nearest to a size, at least two of them."""
    tall, wide = (max(2, round(side / MULTIPLE)) * MULTIPLE for side in (height, width))
    return tall, wide


def exported_predictor(path: str | Path) -> ExportedPredictor:
    """See `ExportedPredictor`.

    Raises:
        CheckpointError: the file is of another kind, or see there.
    """
    if Path(path).suffix != ".onnx":
        raise CheckpointError(f"{path}: models are predicted with from .onnx files; a checkpoint is given as ckpt=...")
    return ExportedPredictor(path)


def session_of(file: Path) -> Any:
    """A session of onnxruntime on the CPU, with one thread per core.

    Raises:
        ConfigError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ConfigError("exported models need onnxruntime: pip install 'diffperc[export]'.") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: warnings are about its own optimisations
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class ExportedPredictor:
    """Predicts images with a graph that ``diffperc export`` wrote: one pass, without windows or mirror images.

    Args:
        path: an ``.onnx`` file.

    Attributes:
        options: keyword arguments of a call.
        result: what a call returns.
        preprocess: the sizes of images.
        deviation: from the model that was exported, see `Exported`.

    Raises:
        CheckpointError: there is no such file, or ``diffperc export`` did not write it.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path).expanduser()
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such file.")
        try:
            self._session = session_of(path)
            about = dict(json.loads(self._session.get_modelmeta().custom_metadata_map[KEY]))
        except KeyError:
            raise CheckpointError(f"{path}: is an ONNX file that `diffperc export` did not write.") from None
        except ConfigError:
            raise
        except Exception as error:  # onnxruntime raises kinds of its own
            raise CheckpointError(f"{path}: cannot be read as ONNX ({first_line(error)}).") from error
        if about.get("format") != FORMAT:
            raise CheckpointError(f"{path}: was exported by another version of diffperc ({about.get('version')}).")
        if not about.get("inside"):
            raise CheckpointError(
                f"{path}: was exported with inside=false, for other programs; export it with inside=true to predict with it."
            )
        if about.get("task") not in RESULTS:
            raise CheckpointError(
                f"{path}: its task is not one of {', '.join(RESULTS)}, which predict without their code."
            )
        try:
            self._read(about)
        except Exception as error:  # constructors raise every kind for values that an export has never written
            raise CheckpointError(f"{path}: what it says about its model is damaged ({first_line(error)}).") from error

    def _read(self, about: dict[str, Any]) -> None:
        self.result = RESULTS[about["task"]]
        self.info, self.deviation = DatasetInfo.from_dict(about["info"]), float(about["deviation"])
        self.preprocess = Resize(**about["resize"])
        if about["person_crop"] is not None:
            self.preprocess.person_crop = PersonCrop(**about["person_crop"])
        self._size, self._visible = about["size"], about["visible"]
        self._inputs = tuple(name for name in about["inputs"] if name != "image")
        self._tokenizers = {name: Tokenizer.from_str(text) for name, text in about["tokenizers"].items()}
        self.options = (*self._inputs, *(("boxes",) if self.preprocess.person_crop else ()))

    def __call__(self, image: Image | Sequence[Image], **options: Any) -> Any:
        """Predict an image, or each of a list.

        Args:
            image: see `Predictor.__call__`.
            options: those of `options`, see the predictor of the task.

        Raises:
            DataError: what was given is not an image.
            ConfigError: an option is unknown or has a value of another kind.
        """
        several = images_of(image)
        if several is not None:
            return [self(one, **options) for one in several]
        for name in options:
            if name not in self.options:
                raise ConfigError(f"{name}: this model has no such option{did_you_mean(name, self.options)}")
        pixels = picture(image)
        if self.preprocess.person_crop is not None:
            return self._persons(pixels, options)
        size = self._network_size(pixels)
        found = self._run(self.preprocess.resized(pixels, size)[None], options)[0]
        planes = [cv2.resize(plane, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR) for plane in found]
        return self._result(pixels, np.stack(planes), options)

    def _network_size(self, pixels: Picture) -> tuple[int, int]:
        """The nearest multiples of `MULTIPLE` to the size at which the model was evaluated."""
        if self._size is not None:
            return int(self._size[0]), int(self._size[1])
        (height, width), _ = self.preprocess.evaluation_size(pixels.shape[0], pixels.shape[1])
        return nearest_size(height, width)

    def _run(self, images: NDArray[np.uint8], options: dict[str, Any]) -> NDArray[np.float32]:
        feeds: dict[str, NDArray[Any]] = {"image": images}
        for name in self._inputs:
            row = self._scene(options.get(name)) if name == "scene" else self._ids(name, options.get(name))
            feeds[name] = np.repeat(row, len(images), 0)
        (found,) = self._session.run(None, feeds)
        result: NDArray[np.float32] = found
        if not np.isfinite(result).all():
            raise DataError("image: the network's output is not a number.")
        return result

    def _ids(self, name: str, sentence: str | None) -> NDArray[np.int64]:
        if not isinstance(sentence, str | None):
            raise ConfigError(f"{name}: must be a text, found {sentence!r}.")
        if name == "expression" and not (sentence or "").strip():
            raise ConfigError(
                'expression: this model finds what a sentence names; give one: expression="the red cube".'
            )
        return np.array([self._tokenizers[name].encode((sentence or "").strip()).ids], np.int64)

    def _scene(self, name: str | None) -> NDArray[np.int64]:
        if name is not None and name not in self.info.scenes:
            known = ", ".join(self.info.scenes)
            raise ConfigError(f"scene: '{name}' is not a label of {self.info.name}; known: {known}")
        return np.array([-1 if name is None else self.info.scenes.index(name)], np.int64)

    def _persons(self, pixels: Picture, options: dict[str, Any]) -> PoseResult:
        crop, spec = self.preprocess.person_crop, self.info.keypoints
        assert crop is not None
        assert spec is not None
        boxes = boxes_in(pixels, options.get("boxes"))
        poses = []
        for box in boxes:
            done = crop(Sample("image", pixels, person=Person(box)), spec, None)
            rows = self._run(done.image[None], options)[0]
            matrix = np.array(done.matrix, np.float32)
            points = rows[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            poses.append(Pose(points.astype(np.float32), rows[:, 2], box))
        return PoseResult(pixels, poses, spec, self._visible)

    def _result(self, pixels: Picture, found: NDArray[np.float32], options: dict[str, Any]) -> Result:
        """The result of planes (K, H, W) at the image's size."""
        if self.result is DepthResult:
            return DepthResult(pixels, found[0], _no_confidence)
        if self.result is NormalsResult:
            length = np.maximum(np.linalg.norm(found, axis=0), 1e-12)
            return NormalsResult(pixels, np.moveaxis(found / length, 0, -1), _no_confidence)
        if self.result is ReferringResult:
            return ReferringResult(pixels, found[0] > 0.5, found[0], options["expression"].strip())
        return SegmentationResult(pixels, found.argmax(0).astype(np.uint8), found.astype(np.float16), self.info.classes)


def _no_confidence() -> NDArray[np.float32]:
    raise ConfigError("confidence: is not computed by exported models of this task; load the checkpoint instead.")
