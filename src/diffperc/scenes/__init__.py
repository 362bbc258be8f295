"""Procedural images of furnished rooms with exact depth, normals, class and instance masks, keypoints and descriptions."""

from diffperc.scenes.camera import Camera
from diffperc.scenes.captions import caption, visible
from diffperc.scenes.expressions import Expression, expressions
from diffperc.scenes.keypoints import extent, keypoints
from diffperc.scenes.palette import COLOURS
from diffperc.scenes.people import Appearance, figure
from diffperc.scenes.placing import SIZES
from diffperc.scenes.poses import BodyPose
from diffperc.scenes.render import CLASSES, Rendered, render
from diffperc.scenes.rooms import ROOMS
from diffperc.scenes.sampling import sample_scene
from diffperc.scenes.textures import TEXTURES
from diffperc.scenes.world import MAX_DEPTH, Light, Room, Scene, SceneObject

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
