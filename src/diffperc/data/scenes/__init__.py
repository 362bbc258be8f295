"""Procedural pictures of furnished rooms with exact depth, class and instance masks, and captions."""

from .camera import Camera
from .captions import caption, visible
from .palette import COLOURS
from .render import CLASSES, Rendered, render
from .rooms import ROOMS
from .textures import TEXTURES
from .world import MAX_DEPTH, SIZES, Light, Room, Scene, SceneObject, sample_scene

__all__ = [
    "CLASSES",
    "COLOURS",
    "MAX_DEPTH",
    "ROOMS",
    "SIZES",
    "TEXTURES",
    "Camera",
    "Light",
    "Rendered",
    "Room",
    "Scene",
    "SceneObject",
    "caption",
    "render",
    "sample_scene",
    "visible",
]
