"""Reading and replacing files so that nothing is ever half written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
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
    """Open a temporary neighbour of `path` that takes its place, flushed to disk, when the block ends well.

    Raises:
        InputError: if the disk is full or the folder cannot be written; `path` is then as it was.
    """
    with replacing_by_name(path) as temporary, open(temporary, "wb") as file:
        yield file


@contextlib.contextmanager
def replacing_by_name(path: Path) -> Iterator[Path]:
    """The same for writers that open a file themselves: gives the temporary neighbour's path."""
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
        if error.filename not in (None, str(path), str(path.parent), temporary):        # what was to be written there
            raise InputError(f"{error.filename}: {error.strerror}, so {path} is as it was. "
                             f"{system_remedy(error)}") from error
        raise InputError(f"{path}: could not be written ({error.strerror or error}); the file is as it was. "
                         f"{system_remedy(error)}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _read_umask()


def write_atomic(path: Path, content: bytes | str | Callable[[IO[bytes]], None]) -> None:
    """Replace `path` by `content` (or by what `content(file)` writes) in one step; see `replacing` for errors."""
    with replacing(path) as file:
        if callable(content):
            content(file)
        else:
            file.write(content.encode() if isinstance(content, str) else content)


def write_if_changed(path: Path, text: str) -> None:
    """Replace `path` by `text` unless it holds that already; see `replacing` for errors."""
    try:
        with open_regular(path) as file:
            same = file.read() == text.encode()
    except OSError:
        same = False
    if not same:
        write_atomic(path, text)


def write_json(path: Path, value: Any, *, indent: bool = False) -> None:
    """Replace `path` by `value` as JSON; numpy arrays and scalars are written as lists and numbers."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    write_atomic(path, orjson.dumps(value, option=options))


def write_arrays(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Replace `path` by an uncompressed .npz of arrays of any name, from which single arrays can be read."""
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of a .npy array, whose values follow in `file`.

    Raises:
        ValueError: it is not an array's header.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:                          # numpy's parser of the header raises many kinds
        raise ValueError(f"not a .npy array ({type(error).__name__})") from None
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"not a .npy array (its shape is {list(shape)})")
    return shape, fortran, dtype


MOST_ARRAY = 512 << 20                                  # bytes; 200 classes over 100 hours have 360 MB


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray | None:
    """One array of an archive that `write_arrays` wrote, read-only; None if it has none of that name.

    Takes no more memory than the array has bytes in the archive, whatever its header claims, and `MOST_ARRAY` at most.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: the archive is broken or was written by something else.
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
    """Keep other processes out of a folder of a data set, made if need be. busy: what to say instead of waiting.

    Raises:
        InputError: the folder cannot be made or read, or, saying `busy`, another process holds it.
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
    """While many objects are made of which none is garbage: looking for some takes as long as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


MOST_BYTES = 2 << 30                                    # of a file that is read as a whole; ActivityNet's has 30 MB


def open_regular(path: Path, most: int | None = MOST_BYTES, *, append: bool = False) -> IO[bytes]:
    """Open a file for reading. most: bytes that it may have, None if it is not read as a whole.

    append: also for writing at its end, unbuffered; it is made if it is missing.

    Raises:
        OSError: missing, unreadable, too large, or not a regular file: reading a pipe can wait for ever, and a device
            may have no end.
    """
    mode = os.O_RDWR | os.O_APPEND | os.O_CREAT if append else os.O_RDONLY
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
    """The file's bytes; InputError if it is missing, unreadable, not a regular file or larger than `MOST_BYTES`."""
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). {remedy}") from None


def read_text(path: Path, remedy: str = "Check the path.") -> str:
    """The file's text without a byte order mark, line ends as \\n; InputError if it is missing or not UTF-8."""
    try:
        text = read_bytes(path, remedy).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text. Save the file as UTF-8.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, remedy: str = "Check the path.", mend: str = "Get it again from its source.") -> Any:
    """The file's JSON value; InputError names the line where it is broken or cut off, or a key that stands twice."""
    raw = read_bytes(path, remedy).removeprefix(b"\xef\xbb\xbf")
    try:
        with uncollected():
            value = orjson.loads(raw)
        with contextlib.suppress(orjson.JSONEncodeError):               # nested too deeply
            if _keys(raw) > _keys(orjson.dumps(value)):
                raise_if([f"{path}: {key!r} is listed twice in one object. Keep one of them."
                          for key in sorted(_doubled(raw))])
        return value
    except orjson.JSONDecodeError as error:
        read_text(path)                                 # says so where it is not UTF-8
        found = error.doc[error.pos:error.pos + 10] if isinstance(error.doc, str) else ""
        if word := re.match(r"-?(NaN|Infinity)\b", found):
            raise InputError(f"{path}: line {error.lineno}, column {error.colno} holds {word[0]!r}, which "
                             "is not a JSON number. Write a finite one.") from None
        raise InputError(f"{path}: line {error.lineno} is not JSON ({error.msg}, column {error.colno}); the file may "
                         f"be cut off. {mend}") from None


def _keys(text: bytes) -> int:
    """How many keys there are in JSON, in all its objects; strings that look like one count the same in each form."""
    return text.count(b'":') + text.count(b'" :')


def _doubled(raw: bytes) -> set[str]:
    """Keys that stand twice in one object, of which parsers silently take the last; slow."""
    found: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> None:
        found.update(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)

    json.loads(raw, object_pairs_hook=note)
    return found


def is_name(text: str) -> bool:
    """Whether a text can be alone on a line: not empty, no control characters, no outer spaces, valid UTF-8."""
    return text == text.strip() != "" and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)


def is_file_name(text: str) -> bool:
    """Whether a name can be a file's or folder's everywhere: a plain name without slashes, 200 bytes at most."""
    return is_name(text) and text not in (".", "..") and not re.search(r"[/\\]", text) \
        and len(text.encode(errors="replace")) <= 200


def looking_like(names: Iterable[str], others: Iterable[str]) -> set[str]:
    """The names that differ from one of the others for computers alone: é is one sign, or two as macOS names files."""
    plain = {unicodedata.normalize("NFC", other) for other in others if not other.isascii()}
    return {name for name in names if not name.isascii() and unicodedata.normalize("NFC", name) in plain}


def inside(root: Path, *parts: str | Path) -> Path:
    """The path `root/parts…` of something in a data set, out of which no symbolic link may lead.

    The folder itself may be a link. A hard link is a file like any other: it has no path that leads elsewhere.

    Raises:
        InputError: the path leads out of `root`.
    """
    path = Path(root).joinpath(*parts)
    if leads_out(path, root):
        raise InputError(f"{path}: leads out of {root}, to {os.path.realpath(path)}. Put the files themselves there, "
                         "or hard links, not symbolic links.")
    return path


def links_outside(root: Path) -> list[Path]:
    """The symbolic links under `root` that lead out of it, sorted."""
    return sorted(Path(folder, name) for folder, folders, files in os.walk(root) for name in (*folders, *files)
                  if is_link_outside(Path(folder, name), root))


def is_link_outside(path: Path, root: Path) -> bool:
    """Whether a path under `root` is itself a symbolic link that leads out of it."""
    return path.is_symlink() and leads_out(path, root)


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path under `root` is outside of it once links are followed."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name without using space, or copy it where the file system cannot; never overwrites."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise InputError(f"{target}: already exists. Remove it or choose another name.") from None
    except OSError:
        with replacing(target) as file, open(source, "rb") as original:
            shutil.copyfileobj(original, file, 1 << 20)
