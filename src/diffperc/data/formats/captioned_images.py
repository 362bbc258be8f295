"""Images of a folder with a caption each, from its tables."""

from __future__ import annotations

from pathlib import Path

from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.image_folder import CAPTIONS, image_folder, table_columns
from diffperc.data.formats.tables import TABLES, read_rows, tables_in, texts_of
from diffperc.errors import DataError
from diffperc.files.read import Listing


def captioned_images(root: Path, diagnostics: Diagnostics = STOP) -> list[tuple[Path, str]]:
    """The images for which a folder's tables have a caption; the others are left out.

    Raises:
        DataError: there is no such folder or image, or an image is missing.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder.")
    listing = Listing()
    columns = table_columns()
    found = []
    for table in tables_in(root, image_folder(root), TABLES):
        for row in read_rows(table, diagnostics, columns):
            image = row.base / row.values["file_name"]
            captions = texts_of(row, CAPTIONS, diagnostics)
            if not captions:
                continue
            if image not in listing:
                diagnostics.problem(f"{row.where}there is no image '{image}'. Add it, or remove the line.")
                continue
            found.append((image, captions[0]))
    if not found:
        raise DataError(f"{root}: no {' or '.join(TABLES)} with captions of images is in it.")
    return found
