"""NYUv2's labelled frames (MATLAB) and parquet shards, converted to images and 16-bit depth maps in the published layout."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from diffperc.errors import DataError
from diffperc.prepare import archives
from diffperc.prepare.download import progress

# by part, train or test, the lines of its list: image and depth, relative to the data set's root
Lines = dict[str, list[str]]
# where the frames of a part are
HOMES = {"train": "sync", "test": "official_splits/test"}
# a part of the file names of its shards
_SHARDS = {"train": "train", "test": "val"}


def from_mat(files: Sequence[Path], out: Path) -> tuple[int, Lines]:
    """Convert the labelled frames, one at a time: all 1449 are 2.8 GB.

    Depth is the field rawDepths, the sensor's measurement registered to the image. The field depths fills its holes with
    guesses based on colours; the published numbers are on rawDepths, where a hole is 0 and not counted.

    Returns:
        How many files were written, and the lines of the lists.

    Raises:
        DataError: the files are not the two that belong together, are damaged, or h5py or scipy is not installed.
    """
    h5py, scipy = _library("h5py"), _library("scipy.io")
    large = [file for file in files if h5py.is_hdf5(file)]
    small = [file for file in files if file not in large]
    if len(large) != 1 or len(small) != 1:
        raise DataError("nyu_depth_v2_labeled.mat and splits.mat belong together; give just these two with --archive.")
    numbers = _numbers(scipy, small[0])
    if (out / "sync").is_dir():
        del numbers["train"]  # these few are used only without others
    try:
        # a compressed block holds pieces of many images: the cache keeps it for the next one
        with h5py.File(large[0], rdcc_nbytes=1 << 27, rdcc_nslots=100_003) as mat:
            return _labelled(mat, large[0].name, numbers, out)
    except (KeyError, IndexError, ValueError, OSError, RuntimeError) as error:
        _raise_if_writing_failed(error)
        raise DataError(
            f"{large[0]}: is damaged, or not nyu_depth_v2_labeled.mat ({error}). Fetch it again and run the same command."
        ) from error


def _numbers(scipy: Any, file: Path) -> dict[str, list[int]]:
    """The numbers of the frames of each part, from one, sorted."""
    try:
        splits = scipy.loadmat(file)
        return {part: sorted(splits[f"{part}Ndxs"].reshape(-1).tolist()) for part in HOMES}
    except Exception as error:  # scipy raises nearly anything for other files
        raise DataError(f"{file}: is not splits.mat with trainNdxs and testNdxs ({error}). Fetch it again.") from error


def _labelled(mat: Any, name: str, numbers: dict[str, list[int]], out: Path) -> tuple[int, Lines]:
    images, depths = mat["images"], mat["rawDepths"]
    scenes = mat["sceneTypes" if "sceneTypes" in mat else "scenes"][()].reshape(-1)
    part_of: dict[int, str] = {}
    for part, members in numbers.items():
        part_of |= dict.fromkeys(members, part)
    written, lines = 0, Lines((part, []) for part in numbers)
    with progress(f"converting {name}", len(part_of), frames=True) as count:
        for number, part in sorted(part_of.items()):
            i = number - 1  # MATLAB counts from one
            scene = "".join(map(chr, mat[scenes[i]][()].reshape(-1)))
            folder = Path(f"official_splits/{part}") / re.sub(r"_\d+\w*$|\W", "", scene)
            image, depth = folder / f"rgb_{i:05d}.jpg", folder / f"sync_depth_{i:05d}.png"
            written += _save(out / image, _jpeg, images, i)
            written += _save(out / depth, _png, depths, i)
            lines[part].append(line(image, depth))
            count(1)
    return written, lines


def from_parquet(files: Sequence[Path], out: Path) -> tuple[int, Lines]:
    """Convert rows of {image, depth_map}, each of them {bytes, path}; numbered through all shards of a part.

    Returns:
        How many files were written, and the lines of the lists.

    Raises:
        DataError: a shard is damaged or has other columns, depth is cut to 8 bits, or pyarrow is not installed.
    """
    arrow, parquet = _library("pyarrow"), _library("pyarrow.parquet")
    written, lines = 0, Lines()
    for part, word in _SHARDS.items():
        frames: list[str] = []
        for shard in sorted(file for file in files if word in file.name):
            try:
                written += _shard(parquet.ParquetFile(shard), shard.name, out, HOMES[part], frames)
            except (arrow.ArrowException, KeyError, TypeError, AttributeError, OSError) as error:
                _raise_if_writing_failed(error)
                raise DataError(
                    f"{shard}: is damaged, or has no images in columns image and depth_map ({error}). Fetch it again "
                    "and run the same command."
                ) from error
        if frames:
            lines[part] = frames
    return written, lines


def _shard(table: Any, name: str, out: Path, home: str, frames: list[str]) -> int:
    """Convert one shard and append to the frames of its part; returns how many files were written."""
    written = 0
    with progress(f"converting {name}", table.metadata.num_rows, frames=True) as count:
        for batch in table.iter_batches(8, columns=["image", "depth_map"]):
            for row in batch.to_pylist():
                image, depth = _names(row["image"], home, len(frames))
                written += _save(out / image, bytes, row["image"]["bytes"])
                written += _save(out / depth, _depth, row["depth_map"]["bytes"])
                frames.append(line(image, depth))
                count(1)
    return written


def line(image: Path, depth: Path) -> str:
    """One line of a list."""
    return f"{image.as_posix()} {depth.as_posix()}"


def _library(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{module.partition('.')[0]} is not installed; pip install 'diffperc[prepare]'.") from error


def _raise_if_writing_failed(error: Exception) -> None:
    """An error with a number comes from the system, such as a full disk, and not from damage of the file that is read."""
    if getattr(error, "errno", None):
        raise error


def _names(image: dict[str, Any], home: str, number: int) -> tuple[Path, Path]:
    """Image and depth of a row, in the folder of the scene if the image's path names one."""
    scene = PurePosixPath(image["path"] or "").parent.name
    folder = Path(home) / (scene if re.fullmatch(r"\w+", scene) else "frames")
    suffix = "png" if image["bytes"].startswith(b"\x89PNG") else "jpg"
    return folder / f"rgb_{number:05d}.{suffix}", folder / f"sync_depth_{number:05d}.png"


def _depth(data: bytes) -> bytes:
    """16-bit png in millimetres, from such a png or from a TIFF in metres."""
    import numpy as np
    from PIL import Image

    image = Image.open(BytesIO(data), formats=("PNG", "TIFF"))
    if image.mode == "F":
        millimetres = np.round(np.nan_to_num(np.asarray(image)) * 1000)
    elif image.mode.startswith("I"):
        millimetres = np.asarray(image)
    else:
        raise DataError(
            f"depth_map is an image of mode {image.mode}, which holds no metres: an early version was cut to 8 bits. Get "
            "shards with depth as float TIFF or 16-bit png."
        )
    return _encoded(np.clip(millimetres, 0, 65535).astype(np.uint16), "png")


def _png(depths: Any, i: int) -> bytes:
    """16-bit png in millimetres, from (W, H) in metres; fractions are cut off, as in the published files."""
    return _encoded((depths[i].T * 1000).astype("uint16"), "png")


def _jpeg(images: Any, i: int) -> bytes:
    """From (3, W, H), as MATLAB stores it."""
    pixels = images[i].transpose(2, 1, 0)
    # rectified images have white edges; in the published test frames these are black
    pixels[:7], pixels[-6:], pixels[:, :7], pixels[:, -8:] = 0, 0, 0, 0
    return _encoded(pixels, "jpeg", quality=95)  # the published quality


def _encoded(pixels: Any, kind: str, **options: int) -> bytes:
    from PIL import Image

    data = BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def _save(file: Path, make: Callable[..., bytes], *arguments: Any) -> bool:
    """Make and write a file unless it is there; returns whether it was written."""
    return not file.is_file() and archives.write(file, make(*arguments))
