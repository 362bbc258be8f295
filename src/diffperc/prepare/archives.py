"""From the official archives to a data set's folder: find, unpack, report; what all scripts/prepare_*.py share.

All of it goes on where it was interrupted, and does nothing the second time.
"""

from __future__ import annotations

import argparse
import errno
import gzip
import importlib
import io
import lzma
import re
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

from diffperc.errors import DataError, DiffPercError
from diffperc.prepare.download import CHUNK, Source, fetch, part_of, progress, size_of

# what zipfile and tarfile raise on a file that is cut short, changed, encrypted or compressed in another way
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def arguments(doc: str | None, out: str, download: bool) -> argparse.ArgumentParser:
    """What all scripts take: ``--out``, ``--archive``, ``--archives`` and, where it is allowed, ``--download``."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path(out), metavar="FOLDER", help="the data set's root (%(default)s)"
    )
    parser.add_argument("--archive", type=Path, nargs="+", default=[], metavar="FILE", help="the official archives")
    parser.add_argument("--archives", type=Path, metavar="FOLDER", help="a folder with them (archives/ in --out)")
    if download:
        parser.add_argument(
            "--download", action="store_true", help="fetch those that are missing; see the licence above"
        )
    return parser


def script(main: Callable[[], None]) -> NoReturn:
    """Run a script: what a user can mend is a sentence and exit code 2."""
    try:
        main()
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on.", file=sys.stderr)
        raise SystemExit(130) from None
    except DiffPercError as error:
        _give_up(error.sentence)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = error.filename or "writing"
        _give_up(f"{where}: {error.strerror}. Mend that and run the same command again to go on.")
    raise SystemExit(0)


def _give_up(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def find(options: argparse.Namespace, patterns: Sequence[str], sources: Sequence[Source], hint: str) -> list[Path]:
    """The archives: those given, those in the folder whose name fits a pattern, those that are downloaded.

    Args:
        options: of `arguments`.
        patterns: such as ``*_sync.zip``.
        sources: what ``--download`` fetches, unless a file of that name is there.
        hint: for the sentence when there is none: where to get them.

    Raises:
        DataError: a file or folder does not exist, there is no archive and none is to be fetched, or one cannot be.
    """
    files: list[Path] = list(options.archive)
    for file in files:
        if not file.is_file():
            raise DataError(f"--archive: there is no file '{file}'.")
    download = getattr(options, "download", False)
    folder = options.archives or options.out / "archives"
    if options.archives and not options.archives.is_dir() and not download:
        raise DataError(f"--archives: there is no folder '{options.archives}'.")
    files += sorted({path for pattern in patterns for path in folder.glob(pattern)} - set(files))
    for source in sources if download else ():
        if source.name not in {file.name for file in files}:
            fetch(source, folder)
            files.append(folder / source.name)
    if not files and not download:
        raise DataError(f"there is no archive: neither --archive nor {folder} has {' or '.join(patterns)}. {hint}")
    return files


def reader(module: str) -> Any:
    """A library that only some archives need.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{module.partition('.')[0]} is not installed; pip install 'diffperc[prepare]'.") from error


def unpack(archive: Path, target: Path, choose: Callable[[str], str | None], holds: str | None = None) -> int:
    """Write members of a zip or tar below a folder; those that are there with the same size are left alone.

    What a zip says of its members' checksums, and gzip of the whole, is verified while reading.

    Args:
        choose: from a member's name to its path below the folder, None: not wanted.
        holds: what the archive should hold; None: it may hold nothing that is wanted.

    Returns:
        How many files were written.

    Raises:
        DataError: the archive is damaged, holds nothing that is wanted, or would write elsewhere.
    """
    zipped = archive.suffix == ".zip" or zipfile.is_zipfile(archive)
    written: list[Path] = []
    try:
        if zipped:
            with zipfile.ZipFile(archive) as z:
                infos = [i for i in z.infolist() if not i.is_dir() and choose(i.filename) is not None]
                members = ((i.filename, i.file_size, partial(z.open, i)) for i in infos)
                wanted = _write_members(archive, target, choose, members, sum(i.file_size for i in infos), written)
        else:
            with tarfile.open(archive) as t:  # one after the other: a tar.gz cannot be read at will
                wanted = _write_members(archive, target, choose, _packed(t), None, written)
    except _DAMAGE as error:
        for file in () if zipped else written:  # a tar.gz has a checksum of the whole only: any of them may be bad
            file.unlink()
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{archive}: is damaged or incomplete ({reason}). Fetch it again and run the same command to go on."
        ) from error
    if holds and not wanted:
        raise DataError(f"{archive}: holds no {holds}. Give the official archive.")
    return len(written)


def _packed(tar: tarfile.TarFile) -> Iterator[tuple[str, int, Callable[[], IO[bytes] | None]]]:
    for member in tar:
        if member.isfile():
            yield member.name, member.size, partial(tar.extractfile, member)
    # tarfile takes a damaged header for the end; the true end is a block of zeros
    if tar.fileobj is not None:
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("a header is missing or damaged")


def _write_members(
    archive: Path,
    target: Path,
    choose: Callable[[str], str | None],
    members: Iterable[tuple[str, int, Callable[[], IO[bytes] | None]]],
    total: int | None,
    written: list[Path],
) -> int:
    """How many members are wanted; appends those that are written."""
    wanted = 0
    with progress(f"unpacking {archive.name}", total) as count:
        for name, size, open_ in members:
            path = choose(name)
            if path is None:
                continue
            if ".." in re.split(r"[/\\]", path) or re.match(r"[/\\]|\w:", path):
                raise DataError(
                    f"{archive}: its member '{name}' would be written outside of {target}. Do not trust it; get the archive "
                    "from the official place."
                )
            wanted += 1
            file = target / path
            if size_of(file, missing=-1) != size:
                file.parent.mkdir(parents=True, exist_ok=True)
                with part_of(file).open("wb") as part, open_() or io.BytesIO() as member:
                    shutil.copyfileobj(member, part, CHUNK)
                if size_of(part_of(file)) != size:
                    raise EOFError(f"'{name}' ends too early")
                part_of(file).replace(file)
                written.append(file)
            count(size)
    return wanted


def write(file: Path, content: bytes) -> bool:
    """Write a file at once or not at all; False if it held just that."""
    if size_of(file) == len(content) and file.read_bytes() == content:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    part_of(file).write_bytes(content)
    part_of(file).replace(file)
    return True


def read_frames(folder: Path, name: str | None, patterns: Sequence[str]) -> list[list[str]]:
    """The words of each line of a published list of frames.

    Args:
        name: of the list, if the user gave it.
        patterns: else the first of these that fits a file of the folder.

    Raises:
        DataError: there is no such list, or several, or a line names less than an image and a depth.
    """
    found = [folder / name] if name else next((f for p in patterns if (f := sorted(folder.glob(p)))), [])
    if len(found) != 1 or not found[0].is_file():
        names = ", ".join(file.name for file in found) or "none"
        raise DataError(
            f"{folder}: one list that fits '{name or patterns[-1]}' is needed, found {names}. Correct --lists, or name the "
            "lists with --train-list and --test-list."
        )
    lines = [line.split() for line in found[0].read_text(encoding="utf-8").splitlines() if line.strip()]
    for line in lines:
        if len(line) < 2:
            raise DataError(f"{found[0]}: expected 'image depth [focal]', found '{line[0]}'.")
    return lines


def report(written: int, root: Path, counts: Mapping[str, int], published: tuple[int, ...] | None = None) -> None:
    """The last line of a script.

    Args:
        written: files; 0: there was nothing to do.
        counts: how many frames the data set's class finds, such as ``{"training": 20210, "validation frames": 2000}``.
        published: how many there should be, in the same order.
    """
    if not written:
        print("nothing to do: everything is there.")
    counted = ", ".join(f"{count} {what}" for what, count in counts.items())
    complete = published is None or published == tuple(counts.values())
    print(
        f"ready: {counted} in {root}"
        + ("" if complete else f"; published are {' and '.join(map(str, published or ()))}")
    )
