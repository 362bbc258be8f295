"""The network without any framework: backbone, strategy and head put together, and images fitted to them."""

from diffperc.models.fast import keep_freed_memory, make_fast
from diffperc.models.latent_cache import LatentCache, LatentsInMemory, LatentsOnDisk
from diffperc.models.observe import Observation, ObservedBackbone, Pass, token_groups
from diffperc.models.perception import PerceptionModel, attention_by_name, parameter_counts

__all__ = [
    "LatentCache",
    "LatentsInMemory",
    "LatentsOnDisk",
    "Observation",
    "ObservedBackbone",
    "Pass",
    "PerceptionModel",
    "attention_by_name",
    "keep_freed_memory",
    "make_fast",
    "parameter_counts",
    "token_groups",
]
