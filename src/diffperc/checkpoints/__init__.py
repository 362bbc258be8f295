"""Reading our own checkpoints: weights and everything needed to build the model again, no network, no code run."""

from diffperc.checkpoints.load import check_fits, load, load_task, read_checkpoint

__all__ = ["check_fits", "load", "load_task", "read_checkpoint"]
