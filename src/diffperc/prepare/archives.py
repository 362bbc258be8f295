"""The parts that all data sets share: options, finding archives, unpacking them, the report.

Unpacking resumes where it was interrupted. It writes nothing if everything is in place.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import lzma
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import IO, cast

from diffperc.errors import DataError
from diffperc.prepare.download import CHUNK, Source, fetch, part_of, progress, size_of

# raised by zipfile and tarfile for a file that is truncated, changed, encrypted or compressed by another method
_LARGEST_FACTOR, _ALWAYS_ALLOWED = 50, 10**8
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
# from the name of a member to its path below the target folder; None: not wanted
Choose = Callable[[str], str | None]


def parser(name: str, doc: str | None, download: bool) -> argparse.ArgumentParser:
    """The options of every data set: ``--out``, ``--archive``, ``--archives`` and, if allowed, ``--download``.

    Args:
        name: of the data set's module; the default of ``--out`` is ``data/<name>``.
        doc: the module's docstring, which ``--help`` shows.
        download: whether the archives can be downloaded without a login.
    """
    parser = argparse.ArgumentParser(
        f"diffperc prepare {name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out = Path("data") / name
    parser.add_argument("--out", type=Path, default=out, metavar="FOLDER", help="the data set's root (%(default)s)")
    parser.add_argument("--archive", type=Path, nargs="+", default=[], metavar="FILE", help="the official archives")
    parser.add_argument(
        "--archives", type=Path, metavar="FOLDER", help="a folder that holds the archives (archives/ in --out)"
    )
    parser.set_defaults(download=False)
    if download:
        parser.add_argument(
            "--download", action="store_true", help="download missing archives; this accepts the licence above"
        )
    return parser


def find(options: argparse.Namespace, patterns: Sequence[str], sources: Sequence[Source], hint: str) -> list[Path]:
    """The archives to read: those given, those in the folder whose names match a pattern, those just downloaded.

    Args:
        options: from `parser`.
        patterns: such as ``*_sync.zip``.
        sources: what ``--download`` fetches, except files whose name is among those found.
        hint: where to get the archives; ends the message if there are none.

    Raises:
        DataError: a given file or folder does not exist, a download fails, or there are no archives and no
            ``--download``.
    """
    files: list[Path] = list(options.archive)
    for file in files:
        if not file.is_file():
            raise DataError(f"--archive: there is no file '{file}'.")
    folder = options.archives or options.out / "archives"
    found = set(itertools.chain.from_iterable(map(folder.glob, patterns)))
    files += sorted(found.difference(files))
    if options.download:
        return files + _fetch_missing(sources, files, folder)
    if options.archives and not folder.is_dir():
        raise DataError(f"--archives: there is no folder '{folder}'.")
    if not files:
        raise DataError(f"there is no archive: neither --archive nor {folder} has {' or '.join(patterns)}. {hint}")
    return files


def _fetch_missing(sources: Sequence[Source], files: Sequence[Path], folder: Path) -> list[Path]:
    names = {file.name for file in files}
    fetched = []
    for source in sources:
        if source.name not in names:
            fetch(source, folder)
            fetched.append(folder / source.name)
    return fetched


def matching(pattern: re.Pattern[str]) -> Choose:
    """For `unpack`: members whose name matches, under their name in the archive."""
    return lambda member: member if pattern.match(member) else None


def unpack(files: Sequence[Path], target: Path, choose: Choose, holds: str | None = None) -> int:
    """Write members of zip or tar archives to a folder; a file that is there with the same size is left alone.

    Reading verifies the checksums: a zip has one per member, a gzip one for the whole file, a plain tar none.

    Args:
        files: the archives.
        target: the folder.
        choose: from the name of a member to its path below the folder; None: not wanted.
        holds: what each archive should hold, for the message; None: an archive may hold nothing that is wanted.

    Returns:
        How many files were written.

    Raises:
        DataError: an archive is damaged, holds nothing that is wanted, or would write outside of the folder.
    """
    written = 0
    for archive in files:
        unpacking = _Unpacking(archive, target, choose)
        unpacking.run()
        if holds and not unpacking.wanted:
            raise DataError(f"{archive}: holds no {holds}. Give the official archive.")
        written += len(unpacking.written)
    return written


@dataclass
class _Unpacking:
    """One archive: `wanted` counts the members chosen so far, `written` lists the new files."""

    archive: Path
    target: Path
    choose: Choose
    wanted: int = 0
    written: list[Path] = field(default_factory=list)

    def run(self) -> None:
        zipped = self.archive.suffix == ".zip"
        try:
            zipped = zipped or zipfile.is_zipfile(self.archive)
            if zipped:
                self._read_zip()
            else:
                self._read_tar()
        except _DAMAGE as error:
            if not zipped:  # one checksum for the whole file: any of the members may be damaged
                self._remove_written()
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise DataError(
                f"{self.archive}: is damaged or incomplete ({reason}). Fetch it again and run the same command to resume."
            ) from error

    def _read_zip(self) -> None:
        with zipfile.ZipFile(self.archive) as z:
            chosen = [info for info in z.infolist() if not info.is_dir() and self.choose(info.filename)]
            total = sum(map(attrgetter("file_size"), chosen))
            self._check_size(total)
            with progress(f"unpacking {self.archive.name}", total) as count:
                for info in chosen:
                    self._write(info.filename, info.file_size, partial(z.open, info))
                    count(info.file_size)

    def _read_tar(self) -> None:
        """In the order of the file: a tar.gz has no random access."""
        unpacked = 0
        with tarfile.open(self.archive) as tar, progress(f"unpacking {self.archive.name}", None) as count:
            for member in tar:
                unpacked += member.size
                self._check_size(unpacked)
                if member.isfile():
                    # None is only returned for members that are no files
                    open_member = cast("Callable[[], IO[bytes]]", partial(tar.extractfile, member))
                    self._write(member.name, member.size, open_member)
                    count(member.size)
            _check_end(tar)

    def _check_size(self, unpacked: int) -> None:
        """Raise a `DataError` if an archive unpacks to more than images, which are compressed themselves, can."""
        packed = size_of(self.archive)
        if unpacked > _ALWAYS_ALLOWED + _LARGEST_FACTOR * packed:
            self._remove_written()
            raise DataError(
                f"{self.archive}: has {packed / 1e6:.0f} MB and would unpack to {unpacked / 1e9:.1f} GB or more, as no data "
                "set does: refused. Get the archive from the official place."
            )

    def _write(self, name: str, size: int, open_member: Callable[[], IO[bytes]]) -> None:
        path = self.choose(name)
        if path is None:
            return
        if ".." in re.split(r"[/\\]", path) or re.match(r"[/\\]|\w:", path):
            raise DataError(
                f"{self.archive}: its member '{name}' would be written outside of {self.target}. Do not trust this file; "
                "get the archive from the official place."
            )
        self.wanted += 1
        file = self.target / path
        if size_of(file, missing=-1) == size:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        part = part_of(file)
        with part.open("wb") as output, open_member() as member:
            shutil.copyfileobj(member, output, CHUNK)
        if size_of(part) != size:
            raise EOFError(f"'{name}' ends too early")
        part.replace(file)
        self.written.append(file)

    def _remove_written(self) -> None:
        for file in self.written:
            file.unlink()


def _check_end(tar: tarfile.TarFile) -> None:
    """tarfile takes a damaged header for the end of the archive; the real end is a block of zeros."""
    source = cast("IO[bytes]", tar.fileobj)
    source.seek(tar.offset)
    if source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise EOFError("a header is missing or damaged")


def write(file: Path, content: bytes) -> bool:
    """Write a file completely or not at all; returns False if it already had this content."""
    if size_of(file) == len(content) and file.read_bytes() == content:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    part_of(file).write_bytes(content)
    part_of(file).replace(file)
    return True


def report(written: int, root: Path, counts: Mapping[str, int], published: tuple[int, ...] = ()) -> None:
    """Print the last lines of a preparation.

    Args:
        written: the number of new files; 0 if there was nothing to do.
        root: the data set's folder.
        counts: what the data set's class finds, such as ``{"training": 20210, "validation frames": 2000}``.
        published: the numbers of the complete data set, in the same order.
    """
    if not written:
        print("nothing to do: everything is there.")
    found = [f"{count} {what}" for what, count in counts.items()]
    sentence = f"ready: {', '.join(found)} in {root}"
    if published not in ((), tuple(counts.values())):
        sentence += f"; the published data set has {' and '.join(map(str, published))}"
    print(sentence)
