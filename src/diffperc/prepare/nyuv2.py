"""NYU Depth v2: from what is published of it to the folder that diffperc.data.NYUv2 reads.

    python scripts/prepare_nyuv2.py --archive sync.zip nyu_depth_v2_labeled.mat splits.mat --lists FOLDER
    python scripts/prepare_nyuv2.py --download                    the labelled frames alone: 795 to train on, 654 to test
    python scripts/prepare_nyuv2.py --archive train-*.parquet val-*.parquet

Licence: none is stated; published for research (cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html). What there is:

- sync.zip, the training frames that papers on depth share, with their lists train_list.txt and test_list.txt (--lists);
- nyu_depth_v2_labeled.mat (3 GB, --download) with splits.mat: the official test frames, and training frames that are used
  where there are no others;
- parquet shards whose names hold train or val, with the columns image and depth_map. They may not say which scene a frame
  shows, which strategies with a text for each scene need.

All but sync.zip need pip install 'diffperc[prepare]'. None of the files is needed afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from diffperc.errors import DataError
from diffperc.prepare import archives
from diffperc.prepare.download import Source, progress

# of the large one several projects publish size and md5, of splits.mat one does
SOURCES = [
    Source(
        "http://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/nyu_depth_v2_labeled.mat",
        "md5:520609c519fba3ba5ac58c8fefcc3530",
        2972037809,
    ),
    Source("http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat", "md5:08e3c3aea27130ac7c01ffd739a4535f"),
]
Lines = dict[str, list[str]]
_LISTS = {
    "train": ["train_list.txt", "*nyu*train*.txt", "*train*.txt"],
    "test": ["test_list.txt", "*nyu*test*.txt", "*test*.txt"],
}
_HOMES = {"train": "sync", "test": "official_splits/test"}
_FRAME = re.compile(r"[^/]+/(?:rgb|sync_depth)_\d+\.(?:jpg|png)$")
_HINT = "Give sync.zip, nyu_depth_v2_labeled.mat with splits.mat, or parquet shards; or add --download."


def main() -> None:
    """Find or fetch, unpack and convert, write the lists, open."""
    parser = archives.arguments(__doc__, "data/nyuv2", download=True)
    parser.add_argument("--lists", type=Path, metavar="FOLDER", help="a folder with the published lists")
    parser.add_argument("--train-list", metavar="NAME", help="of the list of training frames in it")
    parser.add_argument("--test-list", metavar="NAME", help="of the list of test frames in it")
    options = parser.parse_args()
    lists: Lines = {}
    for part, chosen in (("train", options.train_list), ("test", options.test_list)):
        if options.lists:
            lists[part] = [" ".join(words) for words in archives.read_frames(options.lists, chosen, _LISTS[part])]
    files = archives.find(options, ["*sync*.zip", "*sync*.tar*", "*.mat", "*.parquet"], SOURCES, _HINT)
    kinds = {".mat": _from_mat, ".parquet": _from_parquet}
    written, found = 0, Lines()
    for convert in (_unpack, _from_parquet, _from_mat):  # the first that has frames of a part is the one to take
        if some := [file for file in files if kinds.get(file.suffix, _unpack) == convert]:
            count, lines = convert(some, options.out)
            written, found = written + count, lines | found
    for part in found | lists:
        file = options.out / f"{part}_list.txt"
        wanted = lists.get(part) or _kept(file, len(found[part])) or found[part]
        _check(options.out, part, wanted)
        written += archives.write(file, "".join(f"{line}\n" for line in wanted).encode())

    from diffperc.data import NYUv2

    train, test = (len(NYUv2(split, str(options.out), {})) for split in ("train", "val"))
    archives.report(written, options.out, {"training": train, "test frames": test}, (24231, 654))


def _kept(file: Path, count: int) -> list[str]:
    """The lines of a list that an earlier run wrote: a published one is not to be replaced by one of all frames."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    if lines and len(lines) != count:
        print(f"kept: {file} names {len(lines)} frames, {count} are there; remove it to have it made anew.")
    return lines


def _check(out: Path, part: str, lines: Sequence[str]) -> None:
    """What a list names must be there before the list is written: a list that is there is complete."""
    names = [name.lstrip("/") for line in lines for name in line.split()[:2]]
    missing = [n for n in names if not (out / n).is_file() and not (out / _HOMES[part] / n).is_file()]
    if missing:
        raise DataError(
            f"{out}: {len(missing)} of the {len(names)} files of {part}_list.txt are in none of the archives, such as "
            f"{missing[0]}. {_HINT}"
        )


def _unpack(files: Sequence[Path], out: Path) -> tuple[int, Lines]:
    """``.../<scene>/rgb_*.jpg`` and ``sync_depth_*.png``; the lists, if none are given, are of all pairs."""

    def choose(member: str) -> str | None:
        frame, test = _FRAME.search(member), "/official_splits/test/" in f"/{member}"
        if not frame or ("official_splits/" in member and not test):
            return None
        return f"{_HOMES['test' if test else 'train']}/{frame[0]}"

    written = sum(archives.unpack(file, out, choose, "<scene>/rgb_*.jpg and sync_depth_*.png") for file in files)
    lines = Lines()
    for part, home in _HOMES.items():
        images = sorted((out / home).glob("*/rgb_*"))
        depths = [i.with_name(f"sync_depth_{i.stem.removeprefix('rgb_')}.png") for i in images]
        pairs = [
            _line(i.relative_to(out), d.relative_to(out)) for i, d in zip(images, depths, strict=True) if d.is_file()
        ]
        if pairs:
            lines[part] = pairs
    return written, lines


def _from_mat(files: Sequence[Path], out: Path) -> tuple[int, Lines]:
    """The labelled frames, one by one: 1449 of them are 2.8 GB.

    Depth is the field rawDepths, what the sensor measured, brought to the image. The field depths has its holes filled
    with guesses from colours; the published numbers are on rawDepths, where a hole is 0 and not counted.
    """
    h5py, scipy = archives.reader("h5py"), archives.reader("scipy.io")
    large, small = ([f for f in files if h5py.is_hdf5(f) == is_large] for is_large in (True, False))
    if len(large) != 1 or len(small) != 1:
        raise DataError("nyu_depth_v2_labeled.mat and splits.mat belong together; give just these two with --archive.")
    try:
        splits = scipy.loadmat(small[0])
        numbers = {part: sorted(splits[f"{part}Ndxs"].reshape(-1).tolist()) for part in _HOMES}
    except Exception as error:  # scipy raises nearly anything on other files
        raise DataError(
            f"{small[0]}: is not splits.mat with trainNdxs and testNdxs ({error}). Fetch it again."
        ) from error
    if (out / "sync").is_dir():
        del numbers["train"]  # these few are for those who have no others
    part_of = {number: part for part, ones in numbers.items() for number in ones}
    written, lines = 0, Lines((part, []) for part in numbers)
    try:
        # compressed pieces hold some of each of many images: what is unpacked for one must stay for the next
        mat = h5py.File(large[0], rdcc_nbytes=1 << 27, rdcc_nslots=100_003)
        with mat, progress(f"converting {large[0].name}", len(part_of), frames=True) as count:
            images, depths = mat["images"], mat["rawDepths"]
            scenes = mat["sceneTypes" if "sceneTypes" in mat else "scenes"][()].reshape(-1)
            for number, part in sorted(part_of.items()):
                i = number - 1  # MATLAB counts from one
                scene = "".join(map(chr, mat[scenes[i]][()].reshape(-1)))
                folder = Path(f"official_splits/{part}") / re.sub(r"_\d+\w*$|\W", "", scene)
                image, depth = folder / f"rgb_{i:05d}.jpg", folder / f"sync_depth_{i:05d}.png"
                written += _save(out / image, _jpeg, images, i)
                written += _save(out / depth, _png, depths, i)
                lines[part].append(_line(image, depth))
                count(1)
    except (KeyError, IndexError, ValueError, OSError, RuntimeError) as error:
        _raise_unless_read(error)
        raise DataError(
            f"{large[0]}: is damaged, or not nyu_depth_v2_labeled.mat ({error}). Fetch it again and run the same command."
        ) from error
    return written, lines


def _from_parquet(files: Sequence[Path], out: Path) -> tuple[int, Lines]:
    """Rows of {image, depth_map}, each of them {bytes, path}; numbered through all shards of a split."""
    arrow, parquet = archives.reader("pyarrow"), archives.reader("pyarrow.parquet")
    written, lines = 0, Lines()
    for part, word in (("train", "train"), ("test", "val")):
        number = 0
        for shard in sorted(f for f in files if word in f.name):
            try:
                table = parquet.ParquetFile(shard)
                with progress(f"converting {shard.name}", table.metadata.num_rows, frames=True) as count:
                    for batch in table.iter_batches(8, columns=["image", "depth_map"]):
                        for row in batch.to_pylist():
                            image, depth = _names(row["image"], _HOMES[part], number)
                            written += _save(out / image, bytes, row["image"]["bytes"])
                            written += _save(out / depth, _depth, row["depth_map"]["bytes"])
                            lines.setdefault(part, []).append(_line(image, depth))
                            number += 1
                            count(1)
            except (arrow.ArrowException, KeyError, TypeError, AttributeError, OSError) as error:
                _raise_unless_read(error)
                raise DataError(
                    f"{shard}: is damaged, or has no images in columns image and depth_map ({error}). Fetch it again "
                    "and run the same command."
                ) from error
    return written, lines


def _raise_unless_read(error: Exception) -> None:
    """A full disk, which has a number, is no damage of what is read."""
    if getattr(error, "errno", None):
        raise error


def _names(image: dict[str, Any], home: str, number: int) -> tuple[Path, Path]:
    """Image and depth of a row, in the folder of the scene if the image's path says one."""
    scene = PurePosixPath(image["path"] or "").parent.name
    folder = Path(home) / (scene if re.fullmatch(r"\w+", scene) else "frames")
    suffix = "png" if image["bytes"].startswith(b"\x89PNG") else "jpg"
    return folder / f"rgb_{number:05d}.{suffix}", folder / f"sync_depth_{number:05d}.png"


def _depth(data: bytes) -> bytes:
    """16-bit png in millimetres, from such a png or a TIFF in metres."""
    import numpy as np
    from PIL import Image

    image = Image.open(BytesIO(data))
    if image.mode == "F":
        counts = np.round(np.nan_to_num(np.asarray(image)) * 1000)
    elif image.mode.startswith("I"):
        counts = np.asarray(image)
    else:
        raise DataError(
            f"depth_map is an image of mode {image.mode}, which holds no metres: an early version was cut to 8 bits. Get "
            "shards with depth as float TIFF or 16-bit png."
        )
    return _encoded(np.clip(counts, 0, 65535).astype(np.uint16), "png")


def _png(depths: Any, i: int) -> bytes:
    """16-bit png in millimetres of (W, H) metres; fractions are cut off, as in the published files."""
    return _encoded((depths[i].T * 1000).astype("uint16"), "png")


def _jpeg(images: Any, i: int) -> bytes:
    """Of (3, W, H), as MATLAB stores it."""
    pixels = images[i].transpose(2, 1, 0)
    # straightened images have white edges; in the published test frames these are black
    pixels[:7], pixels[-6:], pixels[:, :7], pixels[:, -8:] = 0, 0, 0, 0
    return _encoded(pixels, "jpeg", quality=95)  # the published quality


def _encoded(pixels: Any, kind: str, **options: int) -> bytes:
    from PIL import Image

    data = BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def _save(file: Path, make: Callable[..., bytes], *arguments: Any) -> bool:
    """Only what is not there is read and made."""
    return not file.is_file() and archives.write(file, make(*arguments))


def _line(image: Path, depth: Path) -> str:
    return f"{image.as_posix()} {depth.as_posix()}"


if __name__ == "__main__":
    archives.script(main)
