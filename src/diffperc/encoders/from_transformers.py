"""Loading models and tokenizers of transformers, with an error where the library would only warn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from diffperc.errors import WeightsError, first_line
from diffperc.weights.quiet import quiet_loading
from diffperc.weights.read import check_finite


def load_model(kind: Any, folder: Path) -> Any:
    """A model in float32, by the `from_pretrained` of its class.

    Raises:
        WeightsError: the folder is damaged, or tensors are missing or of another shape.
    """
    try:
        with quiet_loading():
            model, info = kind.from_pretrained(
                str(folder), output_loading_info=True, dtype=torch.float32, variant=_variant(folder)
            )
    except Exception as error:  # transformers raises every kind for a damaged folder
        raise WeightsError(f"{folder}: cannot be loaded ({first_line(error)}).") from error
    # a buffer of constant numbers, which older files hold and newer models do not
    missing = [name for name in info["missing_keys"] if not name.endswith("position_ids")]
    faulty = sorted(missing) or sorted(info["mismatched_keys"])
    if faulty:
        raise WeightsError(f"{folder}: incomplete: '{faulty[0]}' is missing or of another shape.")
    check_finite(model.state_dict(), str(folder))
    return model


def _variant(folder: Path) -> str | None:
    """``fp16`` where a folder holds its weights in half precision alone."""
    has_full = any(folder.glob("model.safetensors*")) or any(folder.glob("pytorch_model.bin*"))
    return "fp16" if not has_full and any(folder.glob("model*.fp16.*")) else None


def load_tokenizer(kind: Any, folder: Path) -> Any:
    """A tokenizer, by the `from_pretrained` of its class; whether it is complete is for the caller to check.

    Raises:
        WeightsError: the folder is missing or damaged.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder}: there is no such folder, and a text encoder needs its tokenizer.")
    try:
        return kind.from_pretrained(str(folder))
    except Exception as error:  # transformers raises every kind for a damaged folder
        raise WeightsError(f"{folder}: cannot be loaded as a tokenizer ({type(error).__name__}).") from error
