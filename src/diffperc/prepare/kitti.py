"""KITTI, the Eigen split: from the raw drives and the annotated depth to the folder that diffperc.data.KITTI reads.

    python scripts/prepare_kitti.py --lists FOLDER --archives FOLDER
    python scripts/prepare_kitti.py --lists FOLDER --download

Licence: CC BY-NC-SA 3.0 (www.cvlibs.net/datasets/kitti). The lists are those that monocular depth papers publish: a line a
frame, image and depth, such as eigen_train_list.txt and eigen_test_list.txt. Of 2011_*_sync.zip and data_depth_annotated.zip
only the frames that the lists name are unpacked, and only the drives that they name are downloaded; unless --archives names
a folder for them, they are removed again one by one. Nobody publishes checksums; those inside the zips are verified.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from diffperc.errors import DataError
from diffperc.prepare import archives
from diffperc.prepare.download import Source, fetch

BUCKET = "https://s3.eu-central-1.amazonaws.com/avg-kitti"
_LISTS = {
    "eigen_train_list.txt": ["eigen_train_list.txt", "*eigen*train*.txt", "*train*.txt"],
    "eigen_test_list.txt": ["eigen_test_list.txt", "*eigen*test*.txt", "*test*.txt"],
}
_HINT = "Get the drives and data_depth_annotated.zip from https://www.cvlibs.net/datasets/kitti, or add --download."
_IMAGE = re.compile(r"(?:^|/)(\d{4}_\d\d_\d\d/(\w+_sync)/image_02/data/\d+\.png)$")
_DEPTH = re.compile(r"(?:^|/)(?:(train|val)/)?((\w+_sync)/proj_depth/groundtruth/image_02/\d+\.png)$")


def main() -> None:
    """Read the lists, unpack what they name from what is given, fetch the rest, open."""
    parser = archives.arguments(__doc__, "data/kitti", download=True)
    parser.add_argument("--lists", type=Path, metavar="FOLDER", help="a folder with the lists (--out)")
    parser.add_argument("--train-list", metavar="NAME", help="of the list of training frames in it")
    parser.add_argument("--test-list", metavar="NAME", help="of the list of test frames in it")
    options = parser.parse_args()
    given = [options.train_list, options.test_list]
    lists = {
        name: _read(options.lists or options.out, chosen, patterns)
        for chosen, (name, patterns) in zip(given, _LISTS.items(), strict=True)
    }
    lines = [words for found in lists.values() for words in found]
    images = {_part(_IMAGE, words[0], 1): _part(_IMAGE, words[0], 2) for words in lines}
    depths = {_part(_DEPTH, words[1], 2) for words in lines}

    def choose(member: str) -> str | None:
        if (image := _IMAGE.search(member)) and image[1] in images:
            return f"raw/{image[1]}"
        if (depth := _DEPTH.search(member)) and depth[1] and depth[2] in depths:
            return f"data_depth_annotated/{depth[1]}/{depth[2]}"
        return None

    def missing() -> list[Source]:
        """The archives that are still needed."""
        raw, annotated = options.out / "raw", options.out / "data_depth_annotated"
        drives = sorted({drive for image, drive in images.items() if not (raw / image).is_file()})
        whole = all((annotated / "train" / d).is_file() or (annotated / "val" / d).is_file() for d in depths)
        urls = [f"{BUCKET}/raw_data/{drive.removesuffix('_sync')}/{drive}.zip" for drive in drives]
        return [Source(url) for url in urls + [f"{BUCKET}/data_depth_annotated.zip"] * (not whole)]

    written = 0
    if missing():
        files = archives.find(options, ["*_sync.zip", "data_depth_annotated.zip"], [], _HINT)
        written += sum(archives.unpack(file, options.out, choose) for file in files)
    for source in missing() if options.download else ():
        folder = options.archives or options.out / "archives"
        fetch(source, folder)
        written += archives.unpack(folder / source.name, options.out, choose)
        if not options.archives:
            (folder / source.name).unlink()
    if rest := missing():
        raise DataError(
            f"frames that the lists name are in none of the archives; missing or incomplete are {len(rest)}, such as "
            f"{rest[0].name}. Give them with --archive, add --download, or take their lines out of the lists."
        )
    for name, found in lists.items():
        written += archives.write(options.out / name, "".join(f"{' '.join(words)}\n" for words in found).encode())

    from diffperc.data import KITTI

    train, test = (len(KITTI(split, str(options.out), {})) for split in ("train", "val"))
    archives.report(written, options.out, {"training": train, "test frames": test})


def _read(folder: Path, name: str | None, patterns: Sequence[str]) -> list[list[str]]:
    """Of a list, the frames that have a depth."""
    lines = archives.read_frames(folder, name, patterns)
    frames = [words for words in lines if words[1] != "None"]
    if len(frames) < len(lines):
        print(f"left out: {len(lines) - len(frames)} of {len(lines)} frames of {name or patterns[0]} have no depth.")
    return frames


def _part(pattern: re.Pattern[str], name: str, group: int) -> str:
    match = pattern.search(name)
    if not match:
        raise DataError(
            f"the lists name '{name}', which is no file of KITTI's image_02; give Eigen's lists with --lists."
        )
    return str(match[group])


if __name__ == "__main__":
    archives.script(main)
