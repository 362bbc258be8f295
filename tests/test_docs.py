"""The documentation: links lead somewhere, the site is built without a warning, and keys that pages name exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

import diffperc
from tests.helpers import composed

ROOT = Path(__file__).resolve().parents[1]
# of every folder that is committed
PAGES = sorted(
    path
    for pattern in ("*.md", ".github/**/*.md", "docs/**/*.md", "src/**/*.md", "results/**/*.md", "notebooks/**/*.md")
    for path in ROOT.glob(pattern)
)
SPAN = re.compile(r"`[^`]*`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# in the tables of the migration
CHOICES = {"experiment", "dataset", "fit", "head", "optimizer", "logger", "callbacks"}
PATHS = {"dataset.root", "strategy.class_embeddings"}
OTHER_COMMANDS = ("protocol=",)  # of evaluate
NO_KEYS = ("classes.yaml", "a.b=c", "hydra.run.dir")


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^( *)```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(path: Path) -> set[str]:
    """Names of a page's headings, as GitHub and mkdocs make them."""
    names = set()
    for heading in re.findall(r"^#+ (.+)$", prose(path), re.M):
        text = unicodedata.normalize("NFKD", re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading)).lower()
        names.add(re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip()))
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(SPAN.sub("", prose(page))):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page if not name else page.parent / name
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def keys_of(table: str) -> list[str]:
    """What the right side of a table of the migration names: keys of train, with values or without."""
    right = [row.partition(" | ")[2] for row in re.findall(r"^\|(.+)\|$", table, re.M)]
    found = [span for cells in right for span in re.findall(r"`([^`]+)`", cells)]
    keys = [span for span in found if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+|[a-z_.]+=\S.*", span)]
    return [key for key in keys if key not in NO_KEYS and not key.startswith(OTHER_COMMANDS)]


def sections_of_migration() -> list[tuple[str, str]]:
    """The choices that a table is about, and the table."""
    text = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    return [
        (choices, section)
        for section in text.split("\n## ")[1:]
        for choices in re.findall(r"^`((?:experiment|task)=[^`]+)`", section, re.M)
    ]


@pytest.mark.parametrize(("choices", "table"), sections_of_migration(), ids=[c for c, _ in sections_of_migration()])
def test_the_migration_names_keys_and_values_that_are_so(choices: str, table: str) -> None:
    cfg = composed(*choices.split())
    keys = keys_of(table)
    assert len(keys) > 5
    for key in keys:
        name, _, value = key.partition("=")
        if name in CHOICES:
            composed(*choices.split(), key)
            continue
        has = OmegaConf.select(cfg, name, default="no such key")
        assert has != "no such key", key
        if choices.startswith("experiment=") and value and name not in PATHS:
            assert has == OmegaConf.select(OmegaConf.from_dotlist([key]), name), key
        elif value:
            composed(*choices.split(), *key.split())


def test_recipes_are_those_of_the_experiments() -> None:
    """A row per experiment, with its batch, length and protocol, and the memory and work of docs/cost.md."""
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", (ROOT / "docs/recipes.md").read_text(encoding="utf-8"), re.M)
    assert sorted(name for name, _ in rows) == sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml"))
    cost = dict(re.findall(r"^\| (\w+) \|(.+)\|$", (ROOT / "docs/cost.md").read_text(encoding="utf-8"), re.M))
    for name, row in rows:
        _, length, protocol, memory, work = (cell.strip() for cell in row.split("|"))
        cfg = composed(f"experiment={name}")
        recipe = cfg.recipe
        duration = f"{recipe.epochs} epochs" if recipe.epochs > 0 else f"{recipe.steps:,} steps"
        assert length == f"{recipe.batch_size}, {duration}", name
        assert protocol.startswith(f"`{cfg.task.protocol.name}`"), name
        estimated = [cell.strip() for cell in cost[name].split("|")]
        assert (memory, work) == (estimated[4], estimated[6]), name


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert newest is not None
    assert newest[1] == citation["version"] == diffperc.__version__


def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        asked = re.findall(r'<(?:script|link|img|iframe|source)[^>]+(?:src|href)="?((?:https?:)?//[^">\s]+)', text)
        assert not asked, page
        assert 'data-md-component="source"' not in text  # its badge asks GitHub
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet
