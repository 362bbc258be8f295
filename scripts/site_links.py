"""For mkdocs: links of a page to files beside docs/, which are right on GitHub, made right on the site.

A picture is copied into the site, anything else is opened in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?\[[^\]]*\]\()((?:\.\./)+[^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pictures beside docs/ that pages show."""
    shown = set()
    for page in files.documentation_pages():
        for mark, link in LINK.findall(page.content_string):
            path = _outside(page.src_uri, link)
            if path is not None and mark.startswith("!"):
                shown.add(path)
    for path in sorted(shown):
        files.append(File.generated(config, _copy_of(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite the links that lead out of docs/."""

    def rewritten(found: re.Match[str]) -> str:
        mark, link = found.groups()
        path = _outside(page.file.src_uri, link)
        if path is None:
            return found.group()
        if mark.startswith("!"):
            return mark + posixpath.relpath(_copy_of(path), posixpath.dirname(page.file.src_uri) or ".")
        return f"{mark}{config.extra['repository']}/{path}"

    return LINK.sub(rewritten, markdown)


def _outside(page: str, link: str) -> str | None:
    """The path in the repository that a link of a page leads to; None inside of docs/."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if path.startswith("docs/") else path


def _copy_of(path: str) -> str:
    return f"pictures/{path.replace('/', '-')}"
