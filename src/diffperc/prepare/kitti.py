"""KITTI, Eigen split, for depth: the raw drives that the lists name, and the annotated depth.

    diffperc prepare kitti --lists FOLDER --archives FOLDER
    diffperc prepare kitti --lists FOLDER --download

Licence: CC BY-NC-SA 3.0 (www.cvlibs.net/datasets/kitti). The lists are those that papers on monocular depth publish, such as
eigen_train_list.txt and eigen_test_list.txt: one line per frame, image and depth. Only the frames that the lists name are
unpacked from 2011_*_sync.zip and data_depth_annotated.zip, to the folder that diffperc.data.KITTI reads. Only the drives
that the lists name are downloaded; each is removed after unpacking, unless --archives names a folder to keep it in. Nobody
publishes checksums of the archives; those inside the zips are verified.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffperc.errors import DataError
from diffperc.prepare import archives
from diffperc.prepare.download import Source, fetch
from diffperc.prepare.frame_lists import add_options, read_frames

BUCKET = "https://s3.eu-central-1.amazonaws.com/avg-kitti"
# the first pattern is the name that diffperc.data.KITTI reads
_LISTS = {
    "train": ["eigen_train_list.txt", "*eigen*train*.txt", "*train*.txt"],
    "test": ["eigen_test_list.txt", "*eigen*test*.txt", "*test*.txt"],
}
_HINT = "Get the drives and data_depth_annotated.zip from https://www.cvlibs.net/datasets/kitti, or add --download."
_IMAGE = r"\d{4}_\d\d_\d\d/(?P<drive>\w+_sync)/image_02/data/\d+\.png"
_DEPTH = r"\w+_sync/proj_depth/groundtruth/image_02/\d+\.png"
# in a list; lists leave out the part in front of a depth map, or name it
_LISTED_IMAGE = re.compile(rf"(?:^|/)({_IMAGE})$")
_LISTED_DEPTH = re.compile(rf"(?:^|/)({_DEPTH})$")
# in an archive
_MEMBER = re.compile(rf"(?:^|/)({_IMAGE}|(?:train|val)/{_DEPTH})$")


def main(arguments: list[str]) -> None:
    """Read the lists, unpack the frames that they name, write the lists, and print the counts.

    Args:
        arguments: the command line after the data set's name, such as ``["--lists", "folder", "--download"]``.

    Raises:
        DataError: a list or an archive is missing, damaged or not an official one.
    """
    parser = archives.parser("kitti", __doc__, download=True)
    add_options(parser, "a folder with the lists (--out)")
    options = parser.parse_args(arguments)
    lists = {}
    for part, patterns in _LISTS.items():
        lists[patterns[0]] = _read(options.lists or options.out, vars(options)[f"{part}_list"], patterns)
    wanted = _Wanted.by(lists)
    written = _unpack_given(options, wanted)
    if options.download:
        written += _download(options, wanted)
    rest = wanted.missing(options.out)
    if rest:
        raise DataError(
            f"frames that the lists name are in none of the archives; {len(rest)} archives are missing or incomplete, such "
            f"as {rest[0].name}. Give them with --archive, add --download, or remove their lines from the lists."
        )
    for name, frames in lists.items():
        lines = [*map(" ".join, frames), ""]
        written += archives.write(options.out / name, "\n".join(lines).encode())

    from diffperc.data import KITTI

    train, test = KITTI("train", str(options.out)), KITTI("val", str(options.out))
    archives.report(written, options.out, {"training": len(train), "test frames": len(test)})


@dataclass
class _Wanted:
    """The frames that the lists name.

    Attributes:
        images: from the path of an image below ``raw/`` to the name of its drive.
        depths: paths of depth maps below ``data_depth_annotated/train/`` or ``val/``.
    """

    images: dict[str, str]
    depths: set[str]

    @classmethod
    def by(cls, lists: dict[str, list[list[str]]]) -> _Wanted:
        wanted = cls({}, set())
        for frames in lists.values():
            for image, depth, *_ in frames:
                match = _match(_LISTED_IMAGE, image)
                wanted.images[match[1]] = match["drive"]
                wanted.depths.add(_match(_LISTED_DEPTH, depth)[1])
        return wanted

    def choose(self, member: str) -> str | None:
        """For `archives.unpack`."""
        match = _MEMBER.search(member)
        if not match:
            return None
        path = match[1]
        if path in self.images:
            return f"raw/{path}"
        if path.partition("/")[2] in self.depths:
            return f"data_depth_annotated/{path}"
        return None

    def missing(self, out: Path) -> list[Source]:
        """The archives whose frames are not all unpacked."""
        drives = set()
        for image, drive in self.images.items():
            if not (out / "raw" / image).is_file():
                drives.add(drive)
        sources = []
        for drive in sorted(drives):
            recording = drive.removesuffix("_sync")
            sources.append(Source(f"{BUCKET}/raw_data/{recording}/{drive}.zip"))
        annotated = out / "data_depth_annotated"
        for depth in self.depths:
            if not (annotated / "train" / depth).is_file() and not (annotated / "val" / depth).is_file():
                sources.append(Source(f"{BUCKET}/data_depth_annotated.zip"))
                break
        return sources


def _unpack_given(options: argparse.Namespace, wanted: _Wanted) -> int:
    """Unpack the archives on the disk; none is needed if nothing is missing."""
    if not wanted.missing(options.out):
        return 0
    files = archives.find(options, ["*_sync.zip", "data_depth_annotated.zip"], [], _HINT)
    return archives.unpack(files, options.out, wanted.choose)


def _download(options: argparse.Namespace, wanted: _Wanted) -> int:
    """Download and unpack the missing archives one by one, so that the disk holds one at a time."""
    folder = options.archives or options.out / "archives"
    written = 0
    for source in wanted.missing(options.out):
        fetch(source, folder)
        archive = folder / source.name
        written += archives.unpack([archive], options.out, wanted.choose)
        if not options.archives:
            archive.unlink()
    return written


def _read(folder: Path, name: str | None, patterns: Sequence[str]) -> list[list[str]]:
    """The frames of a list that have depth; prints how many have none."""
    lines = read_frames(folder, name, patterns)
    frames = [words for words in lines if words[1] != "None"]
    without = len(lines) - len(frames)
    if without:
        print(f"left out: {without} of {len(lines)} frames of {name or patterns[0]} have no depth.")
    return frames


def _match(pattern: re.Pattern[str], name: str) -> re.Match[str]:
    match = pattern.search(name)
    if not match:
        raise DataError(
            f"the lists name '{name}', which is not a file of KITTI's image_02; give Eigen's lists with --lists."
        )
    return match
