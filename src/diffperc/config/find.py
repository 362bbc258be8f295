"""Finding ``conf/``: inside the installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def conf_dir() -> Path:
    """The absolute path of the configuration folder."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "conf"
    if (installed / "train.yaml").is_file():
        return installed
    return package.parent.parent / "conf"
