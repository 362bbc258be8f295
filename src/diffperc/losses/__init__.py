"""Training losses."""

from diffperc.losses.silog import silog_loss

__all__ = ["silog_loss"]
