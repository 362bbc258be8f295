"""The page to try models on, clicked through in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffperc.checkpoints import trained_models
from diffperc.commands.demo import loaders
from diffperc.config.compose import composed
from diffperc.errors import CheckpointError, ConfigError

gradio = pytest.importorskip("gradio", reason="gradio is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_boxes_are_between_opposite_corners() -> None:
    from diffperc.deploy.demo import boxes_of, with_boxes

    assert boxes_of([(10, 20), (4, 50), (7, 7)]) == [[4, 20, 6, 30]]
    drawn = with_boxes(np.zeros((60, 60, 3), np.uint8), [(10, 20), (4, 50)])
    assert drawn[20, 4].any()
    assert not drawn[35, 7].any()


def test_words_are_escaped_on_the_page() -> None:
    from diffperc.deploy.demo import hovered

    page = hovered({8: {"<script>alert(1)</script>": np.eye(4)}}, np.zeros((8, 8, 3), np.uint8))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_wrong_checkpoint_is_found_before_the_page() -> None:
    with pytest.raises((CheckpointError, ConfigError), match="gone"):
        loaders(composed("demo", ["ckpt=gone"]))
    assert list(loaders(composed("demo"))) == sorted(trained_models())


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A browser's page at the running demo; requests to other hosts are kept in `others`."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    command = [sys.executable, "-m", "diffperc.demo", "ckpt=[tiny-referring,tiny-segmentation]"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        lines = iter(server.stdout.readline, "")
        found = next((match for line in lines if (match := re.search(r"(http://127\.0\.0\.1:\d+/)", line))), None)
        assert found is not None
        with playwright.sync_playwright() as p:
            browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            opened = browser.new_page(viewport={"width": 390, "height": 900})
            opened.others = []
            local = ("data:", "blob:", found[1])
            opened.on("request", lambda r: None if r.url.startswith(local) else opened.others.append(r.url))
            opened.goto(found[1])
            opened.wait_for_selector("#expression", timeout=60000)
            yield opened
            browser.close()
        server.terminate()


def test_an_example_a_sentence_and_a_word(page: Any, tmp_path: Path) -> None:
    page.locator("#examples img").first.click()
    page.locator("#expression textarea, #expression input").first.fill("the red box")
    page.wait_for_selector("#image img")
    page.locator("#run").click()
    page.wait_for_selector("#attention .word", timeout=60000)
    assert [word.inner_text() for word in page.locator("#attention .word").all()] == [
        "(start)",
        "the",
        "red",
        "box",
        "(end)",
    ]
    assert '"the red box" is' in page.locator("#summary textarea, #summary input").first.input_value()
    hidden = page.locator("#attention .word").nth(2).locator("img")
    assert not hidden.is_visible()
    page.locator("#attention .word").nth(2).hover()
    assert hidden.is_visible()
    with page.expect_download() as download:
        page.locator("#files a").first.click()
    download.value.save_as(tmp_path / "file.png")
    assert (tmp_path / "file.png").read_bytes()[:4] == b"\x89PNG"


def test_it_fits_a_telephone_and_asks_no_other_host(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.others == []
