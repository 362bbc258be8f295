"""Pages about what a model looked at in images."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.progress import track

from diffperc.commands.predict import check_free, check_names, input_files
from diffperc.commands.predictors import given_options, loaded
from diffperc.errors import DataError

_ENDING = "_explained.html"
_OWN = ("ckpt", "input", "output", "overwrite", "leave_out", "max_side", "device", "precision", "trust", "hydra")
"""Keys of ``conf/explain.yaml`` for this command; all others are options of predictors."""


def explain_files(cfg: DictConfig) -> None:
    """Write a page for each file; what is wrong with one is reported at the end and does not stop the others.

    Raises:
        DataError: files could not be read or written; the message names each. Or pages would replace files that exist.
        ConfigError: the checkpoint's task does not have an option.
    """
    files = input_files(cfg.input)
    check_names(files)
    given = given_options(cfg, _OWN)
    predictor = loaded(cfg, given)
    output = Path(cfg.output).expanduser()
    check_free(files, output, (_ENDING,), bool(cfg.overwrite))
    from diffperc.files.write import write_string
    from diffperc.inference.images import picture
    from diffperc.reports.explanation import explanation

    failed: list[str] = []
    for file in track(files, description="explaining", disable=len(files) == 1):
        try:
            image = picture(file)
            result = predictor(image, **given)
            content = explanation(predictor, image, result, file.name, given, int(cfg.leave_out))
            output.mkdir(parents=True, exist_ok=True)
            target = output / f"{file.stem}{_ENDING}"
            write_string(target, content)
            print(f"{file}: {result.summary} -> {target}")
        except DataError as error:
            failed.append(error.sentence)
        except OSError as error:
            failed.append(f"{file}: its page cannot be written to {output} ({error.strerror}).")
    if failed:
        raise DataError("\n".join(failed))
