"""Write a sentence about every image of a folder, for `strategy=tadp strategy.captions=captions.json`.

Keys are paths below the folder. What the file already holds is left as it is, so that a stopped run resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import torch
from rich.progress import track

from diffperc.encoders.captioner import MAX_TOKENS, MIN_TOKENS, load_captioner
from diffperc.errors import DataError, DiffPercError
from diffperc.files.images import read_image
from diffperc.strategies.tadp import read_captions

# at the revision whose weights transformers reads
MODEL = "Salesforce/blip-image-captioning-base@82a37760796d32b1411fe092ab5d4e227313294b"
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def main(arguments: list[str] | None = None) -> int:
    """Caption what has no caption yet; returns 2 where something could not be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder; images in folders below it count too")
    parser.add_argument("out", type=Path, help="the json file")
    parser.add_argument(
        "--model", default=MODEL, help="BLIP: a hub id with @commit, or a folder (default: %(default)s)"
    )
    parser.add_argument("--pattern", default="**/*", help="such as '**/rgb_*.jpg' where depth maps lie beside images")
    parser.add_argument("--min-tokens", type=int, default=MIN_TOKENS, help="of a sentence (default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=MAX_TOKENS, help="of a sentence (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=100, help="images (default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    try:
        failed = caption(options)
    except DiffPercError as error:
        failed = [error.sentence]
    for sentence in failed:
        print(f"error: {sentence}", file=sys.stderr)
    return 2 if failed else 0


def caption(options: argparse.Namespace) -> list[str]:
    """Write the file; returns what is to be said of images that could not be read.

    Raises:
        DataError: there is no image, or the file that is there is none of captions.
        WeightsError: the model cannot be loaded.
    """
    files = {
        path.relative_to(options.images).as_posix(): path
        for path in sorted(options.images.glob(options.pattern))
        if path.suffix.lower() in ENDINGS
    }
    if not files:
        raise DataError(f"{options.images}: there is no image that matches '{options.pattern}'.")
    captions = read_captions(str(options.out)) if options.out.exists() else {}
    missing = [name for name in files if name not in captions]
    print(f"{len(files)} images, {len(files) - len(missing)} of them have a caption")
    if not missing:
        return []
    captioner = load_captioner(options.model, "--model", options.min_tokens, options.max_tokens)
    failed = []
    for count, name in enumerate(track(missing, description="captioning"), start=1):
        try:
            pixels = torch.from_numpy(read_image(files[name]).copy()).to(options.device)
        except DataError as error:
            failed.append(error.sentence)
            continue
        captions[name] = captioner(pixels.permute(2, 0, 1)[None].float() / 255)[0]
        if count % options.save_every == 0:
            save(captions, options.out)
    save(captions, options.out)
    print(f"{len(captions)} captions -> {options.out}")
    return failed


def save(captions: dict[str, str], file: Path) -> None:
    """All of it or nothing: a stopped run leaves the last whole file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_text(json.dumps(captions, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, file)


if __name__ == "__main__":
    sys.exit(main())
