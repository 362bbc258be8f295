"""Walking through the nodes of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

PATHS = (
    *("ckpt", "input", "output", "out", "root", "runs", "images", "pretrained", "classifier", "captioner", "captions"),
    *("class_embeddings", "text_encoder", "keypoints", "annotations", "detections", "dir", "detector", "run"),
)
"""Last parts of keys whose value is a path; some may also be the name of something else, such as of a hub repository."""


def with_absolute_paths(cfg: DictConfig) -> DictConfig:
    """A copy in which files and folders that exist have absolute paths: a checkpoint may be used in another folder."""
    copy = cfg.copy()
    for key, value in nodes_of(OmegaConf.to_container(cfg), ""):
        if isinstance(value, str) and value and key.rpartition(".")[2] in PATHS:
            place = Path(value).expanduser()
            if place.exists():
                OmegaConf.update(copy, key, str(place.absolute()))
    return copy


def nodes_of(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every node with its dotted path, the root first."""
    yield path, node
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    for key, child in children:
        yield from nodes_of(child, f"{path}.{key}" if path else str(key))
