"""``diffperc <command>``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from diffperc.__main__ import COMMANDS, main


def diffperc(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "diffperc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_commands_are_listed(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["diffperc", *arguments])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in COMMANDS.items():
        assert f"  {name:10}{command.line}" in lines


def test_an_unknown_command_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["diffperc", "trian", "task=depth"])
    assert main() == 2
    assert capsys.readouterr().err.startswith("error: there is no command 'trian'; did you mean 'train'? Known: ")


def test_every_command_is_a_module() -> None:
    for name in COMMANDS.keys() - {"prepare"}:
        assert importlib.util.find_spec(COMMANDS[name].module) is not None


def test_a_command_is_its_module(tmp_path: Path) -> None:
    """The same composition, from the arguments behind the name, and the same sentences."""
    typed = ["task=segmentation", "strategy=vpd", "seed=3", "--cfg", "job"]
    module = [sys.executable, "-m", "diffperc.train", *typed]
    usual = subprocess.run(module, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=True)
    assert diffperc("train", *typed, cwd=tmp_path).stdout == usual.stdout
    wrong = diffperc("train", "strategy=vdp", cwd=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: strategy=vdp: there is no such strategy; did you mean 'vpd'?")


def test_missing_values_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom diffperc.__main__ import main\nsys.argv = ['diffperc', 'export']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.stdout == "2 False\n"
    assert done.stderr == "error: ckpt has no value; set ckpt=...\nto has no value; set to=...\n"


def test_classes_in_the_current_folder_are_found(tmp_path: Path) -> None:
    """By the console command too, which Python starts with its own folder in the path."""
    (tmp_path / "mine.py").write_text(
        "from diffperc.strategies import Unconditional\n\n\nclass Mine(Unconditional):\n    pass\n"
    )
    script = [sys.executable, "-P", "-c", "import sys; from diffperc.__main__ import main; sys.exit(main())"]
    options = ["strategy=unconditional", "strategy._target_=mine.Mine", "num_workers=0", "hydra.run.dir=run"]
    small = ["dataset.train_size=2", "dataset.val_size=1", "recipe.batch_size=1", "recipe.steps=1", "recipe.epochs=-1"]
    trained = subprocess.run(
        [*script, "train", *options, *small], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert trained.returncode == 0, trained.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    refused = diffperc("evaluate", "ckpt=run", cwd=tmp_path)
    assert refused.returncode == 2
    assert "its strategy is mine.Mine, which is no part of diffperc" in refused.stderr
    assert "add trust=[mine]" in refused.stderr
    lost = diffperc("evaluate", "ckpt=../run", "trust=[mine]", cwd=elsewhere)
    assert lost.returncode == 2
    assert "its strategy is mine.Mine, which cannot be imported; run this in the folder that holds it" in lost.stderr
