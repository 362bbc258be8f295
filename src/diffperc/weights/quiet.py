"""Silencing transformers and diffusers while they load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Suppress what transformers and diffusers print while they load and save.

    They list what a file holds for other classes, such as CLIP's projections, show progress bars for milliseconds, and
    ask for torchvision and accelerate, which nothing here uses.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet(transformers_logging))
        stack.enter_context(_quiet(diffusers_logging))
        yield


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """One library's logging: errors only, and no progress bars."""
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()
