"""NYU Depth v2, for depth: sync.zip, the labelled frames (3 GB) or parquet shards.

    diffperc prepare nyuv2 --archive sync.zip nyu_depth_v2_labeled.mat splits.mat --lists FOLDER
    diffperc prepare nyuv2 --download                    only the labelled frames: 795 for training, 654 for testing
    diffperc prepare nyuv2 --archive train-*.parquet val-*.parquet

Licence: none is stated; published for research (cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html). The archives are:

- sync.zip, the training frames that papers on depth share, with their lists train_list.txt and test_list.txt (--lists);
- nyu_depth_v2_labeled.mat (3 GB, --download) with splits.mat: the official test frames, and training frames that are used
  if there are no others;
- parquet shards whose names contain train or val, with the columns image and depth_map. They may not name the scene of a
  frame, which strategies with one text per scene need.

All but sync.zip need pip install 'diffperc[prepare]'. The folder is the one that diffperc.data.NYUv2 reads. The archives are
not needed afterwards.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from diffperc.errors import DataError
from diffperc.prepare import archives
from diffperc.prepare.download import Source
from diffperc.prepare.frame_lists import add_options, read_frames
from diffperc.prepare.nyuv2_convert import HOMES, Lines, from_mat, from_parquet, line

# several projects publish size and md5 of the large file, one that of splits.mat
SOURCES = [
    Source(
        "http://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/nyu_depth_v2_labeled.mat",
        "md5:520609c519fba3ba5ac58c8fefcc3530",
        2972037809,
    ),
    Source("http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat", "md5:08e3c3aea27130ac7c01ffd739a4535f"),
]
_LISTS = {
    "train": ["train_list.txt", "*nyu*train*.txt", "*train*.txt"],
    "test": ["test_list.txt", "*nyu*test*.txt", "*test*.txt"],
}
_FRAME = re.compile(r"[^/]+/(?:rgb|sync_depth)_\d+\.(?:jpg|png)$")
_HINT = "Give sync.zip, nyu_depth_v2_labeled.mat with splits.mat, or parquet shards; or add --download."


def main(arguments: list[str]) -> None:
    """Find or download the archives, unpack and convert them, write the lists, and print the counts.

    Args:
        arguments: the command line after the data set's name, such as ``["--download"]``.

    Raises:
        DataError: a list or an archive is missing or damaged, a list names frames that no archive has, or a library that
            reads the archive is not installed.
    """
    parser = archives.parser("nyuv2", __doc__, download=True)
    add_options(parser, "a folder with the published lists")
    options = parser.parse_args(arguments)
    published = _published_lists(options)
    files = archives.find(options, ["*sync*.zip", "*sync*.tar*", "*.mat", "*.parquet"], SOURCES, _HINT)
    written, found = _convert(files, options.out)
    for part in found | published:
        file = options.out / f"{part}_list.txt"
        wanted = published.get(part) or _kept(file, len(found[part])) or found[part]
        _check(options.out, part, wanted)
        written += archives.write(file, "\n".join([*wanted, ""]).encode())

    from diffperc.data import NYUv2

    train, test = NYUv2("train", str(options.out)), NYUv2("val", str(options.out))
    archives.report(written, options.out, {"training": len(train), "test frames": len(test)}, (24231, 654))


def _published_lists(options: argparse.Namespace) -> Lines:
    """The lists in ``--lists``; none without it."""
    lists: Lines = {}
    if options.lists:
        for part, patterns in _LISTS.items():
            frames = read_frames(options.lists, vars(options)[f"{part}_list"], patterns)
            lists[part] = [" ".join(words) for words in frames]
    return lists


def _convert(files: Sequence[Path], out: Path) -> tuple[int, Lines]:
    """The number of new files, and the frames; those of a part come from the first kind of archive that has any."""
    by_suffix = {".mat": from_mat, ".parquet": from_parquet}
    by_converter: dict[Callable[[Sequence[Path], Path], tuple[int, Lines]], list[Path]]
    by_converter = {_unpack: [], from_parquet: [], from_mat: []}
    for file in files:
        by_converter[by_suffix.get(file.suffix, _unpack)].append(file)
    written, found = 0, Lines()
    for convert, archives_of_kind in by_converter.items():
        if archives_of_kind:
            count, lines = convert(archives_of_kind, out)
            written += count
            found = lines | found
    return written, found


def _kept(file: Path, count: int) -> list[str]:
    """The lines of a list that an earlier run wrote: a published list is not replaced by one of all frames."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    if lines and len(lines) != count:
        print(f"kept: {file} names {len(lines)} frames, {count} are there; remove it to have it written again.")
    return lines


def _check(out: Path, part: str, lines: Sequence[str]) -> None:
    """A list is written only if all its files are there: a list that exists is complete."""
    home = out / HOMES[part]
    missing = []
    for frame in lines:
        for name in frame.split()[:2]:
            file = name.lstrip("/")
            if not (out / file).is_file() and not (home / file).is_file():
                missing.append(file)
    if missing:
        raise DataError(
            f"{out}: {len(missing)} of the {2 * len(lines)} files of {part}_list.txt are in none of the archives, such as "
            f"{missing[0]}. {_HINT}"
        )


def _unpack(files: Sequence[Path], out: Path) -> tuple[int, Lines]:
    """``.../<scene>/rgb_*.jpg`` and ``sync_depth_*.png``; returns all pairs of the folder."""
    written = archives.unpack(files, out, _choose, "<scene>/rgb_*.jpg and sync_depth_*.png")
    lines = Lines()
    for part, home in HOMES.items():
        pairs = _pairs(out, home)
        if pairs:
            lines[part] = pairs
    return written, lines


def _choose(member: str) -> str | None:
    frame = _FRAME.search(member)
    if not frame:
        return None
    if "/official_splits/test/" in f"/{member}":
        return f"{HOMES['test']}/{frame[0]}"
    if "official_splits/" in member:
        return None
    return f"{HOMES['train']}/{frame[0]}"


def _pairs(out: Path, home: str) -> list[str]:
    pairs = []
    for image in sorted((out / home).glob("*/rgb_*")):
        depth = image.with_name(f"sync_depth_{image.stem.removeprefix('rgb_')}.png")
        if depth.is_file():
            pairs.append(line(image.relative_to(out), depth.relative_to(out)))
    return pairs
