"""The network without any framework: backbone, strategy and head put together, and images fitted to them."""

from diffperc.models.fast import keep_freed_memory, make_fast
from diffperc.models.latent_cache import LatentCache
from diffperc.models.perception import PerceptionModel, parameter_counts

__all__ = ["LatentCache", "PerceptionModel", "keep_freed_memory", "make_fast", "parameter_counts"]
