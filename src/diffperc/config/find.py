"""Where ``conf/`` is: inside the installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def conf_dir() -> Path:
    """The absolute path of the configuration folder."""
    package = Path(__file__).resolve().parent.parent
    places = (package / "conf", package.parent.parent / "conf")
    return next(p for p in places if (p / "train.yaml").is_file())
