"""A file's bytes as text: unpacked, decoded, or refused in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from td3sweep.errors import UserError

STDIN = Path("-")
SNIFFED = 65_536  # bytes by which format, encoding and delimiter are told
UNPACK: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Faults of a file that is cut off, damaged or no text, each as one line."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no text, nor by its name an event file, a wandb run, npz, parquet or xlsx") from error
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); is it whole?") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise UserError(f"{path}: cannot be unpacked ({error}); is it whole?") from error


def text_of(path: Path) -> IO[str]:
    """The file as text, whatever compresses and encodes it; line ends are ``\\n``."""
    with _bytes(path) as stream:
        encoding = _encoding(stream.read(SNIFFED))
    return io.TextIOWrapper(_bytes(path), encoding=encoding, errors="strict", newline=None)


_PIPED: dict[str, bytes] = {}


def _bytes(path: Path) -> Any:
    """The file's bytes as a stream, unpacked."""
    if path == STDIN:
        _PIPED.setdefault("-", sys.stdin.buffer.read())
        return io.BytesIO(_PIPED["-"])
    with path.open("rb") as file:
        magic = file.read(4)
    suffix = path.suffix.lower()
    if magic.startswith(b"PK\x03\x04"):
        archive = zipfile.ZipFile(path)
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise UserError(f"{path}: holds {len(names)} files; unpack it, and give the folder")
        return archive.open(names[0])
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    return UNPACK[suffix](path) if suffix in UNPACK else path.open("rb")


def _encoding(head: bytes) -> str:
    """By its mark, by the zeros of UTF-16, else UTF-8 where that fits, else Latin-1 where it is text at all."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if b"\x00" in head[:200]:
        even, odd = head[0:200:2].count(0), head[1:200:2].count(0)
        if min(even, odd) == 0 and max(even, odd) > 50:
            return "utf-16-le" if odd else "utf-16-be"
        raise UnicodeDecodeError("utf-8", head, 0, 1, "binary")
    try:
        head[: len(head) - 4 if len(head) == SNIFFED else None].decode()
    except UnicodeDecodeError:
        if sum(byte < 9 or 13 < byte < 32 for byte in head) > len(head) // 100:
            raise
        return "latin-1"
    return "utf-8"
