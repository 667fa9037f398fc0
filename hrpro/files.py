"""Read and replace files without ever leaving one half written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import io
import json
import math
import os
import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from hrpro.errors import InputError, raise_if, system_remedy


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that is flushed to disk and replaces it if the block succeeds.

    Raises:
        InputError: The disk is full or the folder is not writable; `path` is left unchanged.
    """
    with replacing_by_name(path) as temporary, open(temporary, "wb") as file:
        yield file


@contextlib.contextmanager
def replacing_by_name(path: Path) -> Iterator[Path]:
    """Like `replacing`, for writers that open the file themselves: yield the temporary file's path."""
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "rb") as file:
            yield Path(temporary)
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except OSError as error:
        if error.filename not in (None, str(path), str(path.parent), temporary):        # a source file, not `path`
            raise InputError(f"{error.filename}: {error.strerror}, so {path} is as it was. "
                             f"{system_remedy(error)}") from error
        raise InputError(f"{path}: could not be written ({error.strerror or error}); the file is as it was. "
                         f"{system_remedy(error)}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove the temporary files of `replacing` that killed processes left in a folder; never follows links.

    Args:
        folder: The folder; its subfolders are left alone.
        name: Regular expression for the names of the files that were being replaced.
    """
    leftover = re.compile(rf"\.({name})\.[a-z0-9_]{{8}}")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:   # no such folder, or it is read-only
        for entry in entries:
            if leftover.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                Path(entry).unlink(missing_ok=True)


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _read_umask()


def write_atomic(path: Path, content: bytes | str | Callable[[IO[bytes]], None]) -> None:
    """Replace `path` with `content` (or what `content(file)` writes) atomically; see `replacing` for errors."""
    with replacing(path) as file:
        if callable(content):
            content(file)
        else:
            file.write(content.encode() if isinstance(content, str) else content)


def write_output(path: Path, text: str) -> None:
    """Write text to a path that a user chose: replace a file, or the one that a link leads to; fill a pipe or terminal.

    Raises:
        InputError: The path is something else or cannot be written; a file is left unchanged.
        BrokenPipeError: The reader of a pipe closed it.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        kind = stat.S_IFREG
    except OSError as error:
        raise InputError(f"{path}: could not be written ({error.strerror}). {system_remedy(error)}") from error
    if kind == stat.S_IFREG:
        write_atomic(real_path(path), text)
    elif kind in (stat.S_IFIFO, stat.S_IFCHR):
        with open(path, "wb") as file:
            file.write(text.encode())
    else:
        raise InputError(f"{path}: is not a file, pipe or terminal. Give the name of a file.")


def write_if_changed(path: Path, text: str) -> None:
    """Replace `path` with `text` unless that is its content already; see `replacing` for errors."""
    try:
        with open_regular(path) as file:
            same = file.read() == text.encode()
    except OSError:
        same = False
    if not same:
        write_atomic(path, text)


def write_json(path: Path, value: Any, *, indent: bool = False) -> None:
    """Replace `path` with `value` as JSON; numpy arrays and scalars are written as lists and numbers."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    write_atomic(path, orjson.dumps(value, option=options))


def write_arrays(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Replace `path` with an uncompressed .npz, from which arrays can be read one by one; names are arbitrary."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of a .npy array, whose values follow in `file`; a header of more than 64 KiB is refused.

    Returns:
        Shape, whether the array is in Fortran order, and dtype.

    Raises:
        ValueError: This is not the header of an array.
    """
    try:
        version = np.lib.format.read_magic(file)
        first = version == (1, 0)
        length = file.read(2 if first else 4)
        if (size := int.from_bytes(length, "little")) > 1 << 16:
            raise ValueError("its header is too long")
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(io.BytesIO(length + file.read(size)))
    except Exception as error:                          # numpy's header parser raises many types
        raise ValueError(f"not a .npy array ({type(error).__name__})") from None
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"not a .npy array (its shape is {list(shape)})")
    return shape, fortran, dtype


MOST_DIRECTORY = 16 << 20                               # bytes; 40,000 arrays, as of 20,000 videos, need 5 MB


class _WithoutLargeReads:
    """A file whose reads of more than `MOST_DIRECTORY` bytes raise zipfile.BadZipFile until `checking` ends."""

    def __init__(self, file: IO[bytes]):
        self._file, self.checking = file, True

    def read(self, size: int = -1) -> bytes:
        if self.checking and size > MOST_DIRECTORY:
            raise zipfile.BadZipFile("its directory is too large")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Open a zip archive for reading, without allocating whatever size of its directory it claims.

    Raises:
        OSError, ValueError, NotImplementedError, zipfile.BadZipFile: The archive is broken.
    """
    limited = _WithoutLargeReads(file)
    archive = zipfile.ZipFile(limited)
    limited.checking = False
    return archive


MOST_ARRAY = 512 << 20                                  # bytes; 200 classes over 100 hours need 360 MB


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray | None:
    """Read one array of an archive written by `write_arrays`.

    Allocates no more memory than the array's bytes in the archive, whatever its header claims, and at most
    `MOST_ARRAY`.

    Returns:
        The array, read-only; None if there is none with this name.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: The archive is broken or was not written by `write_arrays`.
    """
    info = archive.NameToInfo.get(f"{name}.npy")
    if info is None:
        return None
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise ValueError(f"{name!r} is compressed or encrypted")
    if info.file_size > MOST_ARRAY:
        raise ValueError(f"{name!r} is larger than {MOST_ARRAY >> 20} MiB")
    try:
        with archive.open(info) as file:
            shape, fortran, dtype = read_array_header(file)
            values = file.read()
    except (EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{name!r} is cut off or damaged") from error
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"{name!r} holds {dtype}, not numbers or texts")
    if len(values) != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{name!r} has {len(values)} bytes of values, not those of {dtype} {list(shape)}")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C")


@contextlib.contextmanager
def locked_folder(folder: Path, busy: str = "") -> Iterator[None]:
    """Hold the lock of a folder in a data set, creating the folder if necessary.

    Args:
        folder: The folder to lock.
        busy: Error message if another process holds the lock; if empty, wait for it.

    Raises:
        InputError: The folder cannot be created or read, or another process holds the lock and `busy` was given.
    """
    try:
        folder.mkdir(exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made or read ({error.strerror}). Make the data set's folder "
                         "writable.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise InputError(busy) from None
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pause garbage collection while creating many objects that stay alive; collecting would double the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


MOST_BYTES = 2 << 30                                    # for files read as a whole; ActivityNet's takes 30 MB


def open_regular(path: Path, most: int | None = MOST_BYTES, *, append: bool = False) -> IO[bytes]:
    """Open a regular file for reading.

    Args:
        path: The file.
        most: Maximum size in bytes; None if the file is not read as a whole.
        append: Also allow writing at the end, unbuffered; create the file if it is missing, and refuse a link.

    Raises:
        OSError: The file is missing, unreadable, too large, or not a regular file: reading a pipe can block forever,
            and a device may have no end.
    """
    mode = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW if append else os.O_RDONLY
    if append and Path(path).is_symlink():
        raise OSError(errno.ELOOP, "a link, not a regular file", str(path))
    handle = os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if most is not None and status.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most >> 30} GiB", str(path))
        return os.fdopen(handle, "a+b", buffering=0) if append else os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bytes(path: Path, remedy: str = "Check the path.") -> bytes:
    """Read a file; InputError if it is missing, unreadable, not a regular file or larger than `MOST_BYTES`."""
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). {remedy}") from None


def read_text(path: Path, remedy: str = "Check the path.") -> str:
    """Read UTF-8 text, without a byte order mark and with \\n line ends; InputError if it is missing or not UTF-8."""
    try:
        text = read_bytes(path, remedy).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text. Save the file as UTF-8.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, remedy: str = "Check the path.", syntax_remedy: str = "Get it again from its source.") -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        remedy: What to do if it is missing or unreadable.
        syntax_remedy: What to do if it is not valid JSON.

    Raises:
        InputError: The file cannot be read, is not valid JSON (naming the line), is nested too deeply, or an object has
            duplicate keys.
    """
    raw = read_bytes(path, remedy).removeprefix(b"\xef\xbb\xbf")
    try:
        with uncollected():
            value = orjson.loads(raw)
        # Outside strings, colons only follow keys. This may count too many in `raw`, but never too few.
        if raw.count(b":") + raw.count(b"\\u003a") + raw.count(b"\\u003A") > orjson.dumps(value).count(b":"):
            raise_if([f"{path}: {key!r} is listed twice in one object. Keep one of them."
                      for key in sorted(_doubled(raw))])
        return value
    except orjson.JSONDecodeError as error:
        read_text(path)                                 # raises if it is not UTF-8
        found = error.doc[error.pos:error.pos + 10] if isinstance(error.doc, str) else ""
        if word := re.match(r"-?(NaN|Infinity)\b", found):
            raise InputError(f"{path}: line {error.lineno}, column {error.colno} holds {word[0]!r}, which "
                             "is not a JSON number. Write a finite one.") from None
        raise InputError(f"{path}: line {error.lineno} is not JSON ({error.msg}, column {error.colno}); the file may "
                         f"be cut off. {syntax_remedy}") from None
    except (orjson.JSONEncodeError, RecursionError):    # orjson reads deeper nesting than it and json can handle
        raise InputError(f"{path}: is nested too deeply. {syntax_remedy}") from None


def _doubled(raw: bytes) -> set[str]:
    """Keys listed twice in one object, of which parsers silently keep the last; slow."""
    found: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> None:
        found.update(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)

    json.loads(raw, object_pairs_hook=note)
    return found


def is_name(text: str) -> bool:
    """Whether a text fits on a line of its own: not empty, no control characters, no outer spaces, valid UTF-8."""
    return text == text.strip() != "" and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)


def is_file_name(text: str) -> bool:
    """Whether a file or folder can have this name on any system: a plain name without slashes, at most 200 bytes."""
    return is_name(text) and text not in (".", "..") and not re.search(r"[/\\]", text) \
        and len(text.encode(errors="replace")) <= 200


def looking_like(names: Iterable[str], others: Iterable[str]) -> set[str]:
    """Names equal to one of the others after Unicode normalization, e.g. é as one code point, or as two (macOS)."""
    plain = {unicodedata.normalize("NFC", other) for other in others if not other.isascii()}
    return {name for name in names if not name.isascii() and unicodedata.normalize("NFC", name) in plain}


def inside(root: Path, *parts: str | Path) -> Path:
    """Return the path `root/parts…`, checking that no symbolic link leads out of the data set.

    `root` itself may be a link. Hard links are allowed: they are files like any other.

    Raises:
        InputError: The path leads out of `root`.
    """
    path = Path(root).joinpath(*parts)
    if leads_out(path, root):
        raise InputError(f"{path}: leads out of {root}, to {real_path(path)}. Put the files themselves there, "
                         "or hard links, not symbolic links.")
    return path


def links_outside(root: Path) -> list[Path]:
    """List the symbolic links under `root` that lead out of it, sorted."""
    return sorted(Path(folder, name) for folder, folders, files in os.walk(root) for name in (*folders, *files)
                  if is_link_outside(Path(folder, name), root))


def is_link_outside(path: Path, root: Path) -> bool:
    """Whether a path under `root` is itself a symbolic link leading out of it."""
    return path.is_symlink() and leads_out(path, root)


def real_path(path: Path) -> Path:
    """The absolute path with links followed; unlike `Path.resolve`, it accepts links that lead back to themselves."""
    return Path(os.path.realpath(path))


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path under `root` is outside it once links are resolved."""
    return not real_path(path).is_relative_to(real_path(root))


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy it if the file system has no hard links.

    Raises:
        InputError: `target` already exists.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise InputError(f"{target}: already exists. Remove it or choose another name.") from None
    except OSError:
        with replacing(target) as file, open(source, "rb") as original:
            shutil.copyfileobj(original, file, 1 << 20)
