"""The files of a diffusers folder that belong to no stage: the scheduler's config and the index of the parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def complete_folder(folder: Path, schedule: Mapping[str, Any]) -> None:
    """Make a pipeline of the trained parts in a folder.

    Args:
        folder: with the parts that the index names.
        schedule: fields of diffusers' `DDIMScheduler`.
    """
    (folder / "scheduler").mkdir(exist_ok=True)
    _write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "DDIMScheduler", **schedule})
    _write_json(folder / "model_index.json", _INDEX)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
