"""Procedural images of furnished rooms with exact depth, normals, class and instance masks, keypoints and descriptions."""

from .camera import Camera
from .captions import caption, visible
from .expressions import Expression, expressions
from .keypoints import extent, keypoints
from .palette import COLOURS
from .people import Appearance, figure
from .placing import SIZES
from .poses import BodyPose
from .render import CLASSES, Rendered, render
from .rooms import ROOMS
from .sampling import sample_scene
from .textures import TEXTURES
from .world import MAX_DEPTH, Light, Room, Scene, SceneObject

__all__ = [
    "CLASSES",
    "COLOURS",
    "MAX_DEPTH",
    "ROOMS",
    "SIZES",
    "TEXTURES",
    "Appearance",
    "BodyPose",
    "Camera",
    "Expression",
    "Light",
    "Rendered",
    "Room",
    "Scene",
    "SceneObject",
    "caption",
    "expressions",
    "extent",
    "figure",
    "keypoints",
    "render",
    "sample_scene",
    "visible",
]
