"""The network without any framework: backbone, strategy and head put together, and images fitted to them."""

from diffperc.models.perception import PerceptionModel

__all__ = ["PerceptionModel"]
