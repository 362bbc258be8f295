"""The authors' released checkpoints: which one a file is, and the model it becomes here."""

from diffperc.checkpoints.official.identify import identify
from diffperc.checkpoints.official.importer import Imported, import_official

__all__ = ["Imported", "identify", "import_official"]
