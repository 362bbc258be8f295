"""The authors' checkpoints."""

from diffperc.checkpoints.official.importer import Imported, identify, import_official

__all__ = ["Imported", "identify", "import_official"]
