"""Training losses."""

from diffperc.losses.cross_entropy import cross_entropy
from diffperc.losses.lovasz import lovasz_softmax
from diffperc.losses.silog import silog_loss

__all__ = ["cross_entropy", "lovasz_softmax", "silog_loss"]
