"""Files that lie elsewhere than on this machine's disks: ``s3://bucket/a.png`` and what else fsspec knows.

Such a file is read as a copy, by the readers of all files, and written as a copy that is put in its place whole.
fsspec and the package for a storage (s3fs, gcsfs, adlfs) find credentials where these packages look for them.
"""

import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from ttd_jax.errors import InputError, shown
from ttd_jax.io.atomic import atomic_file
from ttd_jax.io.extras import load

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://")
_WEB = ("http", "https", "ftp")  # addresses of pages, which ``formats.advice`` has a word for
_PUTS_WHOLE = {"abfs", "az", "gcs", "gs", "oss", "s3", "s3a"}  # an object is there when all of it is
_LONGEST_REASON = 300


class Address(str):
    """A file or folder on such a storage, with what a ``Path`` has of its name.

    Example:
        >>> address = Address("s3://bucket/day") / "1.png"
        >>> address, address.stem, address.parent
        ('s3://bucket/day/1.png', '1', 's3://bucket/day')
    """

    __slots__ = ()

    def __truediv__(self, name: object) -> "Address":
        return Address(f"{self.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """What comes after the last slash."""
        return self.rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "Address":
        """What comes before the last slash."""
        return Address(self.rstrip("/").rpartition("/")[0])

    def as_posix(self) -> str:
        """The address."""
        return str(self)

    def relative_to(self, folder: "Place") -> PurePosixPath:
        """Its path below a folder in which it lies."""
        return PurePosixPath(self.removeprefix(f"{str(folder).rstrip('/')}/"))


Place: TypeAlias = Path | Address


def place(name: str | os.PathLike[str]) -> Place:
    """What a name means: an address on other storage, or a path.

    Example:
        >>> place("s3://bucket/a.png").name, place("file:///tmp/a.png").name
        ('a.png', 'a.png')
    """
    if isinstance(name, Address):
        return name
    found = _SCHEME.match(text) if isinstance(text := os.fspath(name), str) else None
    if found and found[1] == "file":
        return Path(text[len("file://") :])
    return Address(text) if found and found[1] not in _WEB else Path(name)


def absolute(name: Place) -> str:
    """The place as a text that means the same from elsewhere."""
    return str(name) if isinstance(name, Address) else str(name.absolute())


def files_in(folder: Place, *, recursive: bool = False) -> list[Place]:
    """The files in a folder, sorted.

    Args:
        folder: A folder that is there.
        recursive: Those in folders inside it, too.

    Raises:
        InputError: It is on other storage and cannot be listed.
    """
    if isinstance(folder, Path):
        return sorted(path for path in (folder.rglob("*") if recursive else folder.iterdir()) if path.is_file())
    with _told(folder, "read"):
        storage, path = _storage(folder)
        storage.invalidate_cache()  # others write, too
        if recursive:
            found = storage.find(path)
        else:
            found = [entry["name"] for entry in storage.ls(path, detail=True) if entry["type"] == "file"]
        start = f"{path.rstrip('/')}/"
        return sorted(folder / name.removeprefix(start) for name in found if name.startswith(start))


def existing(folder: Place) -> Callable[[Place], bool]:
    """Says of files in a folder whether they are there; of other storage one list is read for all.

    Raises:
        InputError: The folder cannot be listed.
    """
    if isinstance(folder, Path):
        return exists
    found = {*files_in(folder, recursive=True)} if exists(folder) else set()
    return lambda path: path in found


def exists(file: Place) -> bool:
    """Whether there is such a file or folder.

    Raises:
        InputError: It is on other storage, and cannot be asked for.
    """
    if isinstance(file, Path):
        return file.exists()
    with _told(file, "read"):
        storage, path = _storage(file)
        storage.invalidate_cache()  # others write, too
        return bool(storage.exists(path))


@contextmanager
def local_copy(file: Place, *, most: int | None = None) -> Iterator[Path]:
    """A file of this machine's with the same bytes and ending: itself, or a copy for as long as it is needed.

    Args:
        file: The file.
        most: Copy no more than so many bytes of it, for those that look at its start only.

    Raises:
        InputError: It is on other storage and cannot be read.
    """
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="ttd-jax-") as folder:
        copy = Path(folder) / f"copy{file.suffix}"
        with _told(file, "read"):
            storage, path = _storage(file)
            if most is None:
                storage.get_file(path, str(copy))
            else:
                copy.write_bytes(storage.cat_file(path, start=0, end=most))
        yield copy


@contextmanager
def whole_file(file: Place, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path to write to; on success its file is put in place, whole or not at all.

    Object stores put whole files; elsewhere it is put beside its place, and renamed.

    Args:
        file: What is written in the end.
        overwrite: Replace an existing file.

    Raises:
        InputError: It exists and ``overwrite`` is false, or it cannot be written there.
    """
    if isinstance(file, Path):
        with atomic_file(file, overwrite=overwrite) as temporary:
            yield temporary
        return
    with _told(file, "write"):
        storage, path = _storage(file)
        if not overwrite and storage.exists(path):
            raise InputError(f"output {file} exists already: choose another name or pass --overwrite (overwrite=True)")
    with tempfile.TemporaryDirectory(prefix="ttd-jax-") as folder:
        temporary = Path(folder) / f"written{file.suffix}"
        yield temporary
        with _told(file, "write"):
            _put(storage, temporary, path)


def remove(file: Place) -> None:
    """Removes a file, if it is there.

    Raises:
        InputError: It is on other storage and cannot be removed.
    """
    if isinstance(file, Path):
        file.unlink(missing_ok=True)
        return
    with _told(file, "remove"):
        storage, path = _storage(file)
        try:
            storage.rm_file(path)
        except FileNotFoundError:
            pass


def _put(storage: Any, file: Path, path: str) -> None:
    protocols = {storage.protocol} if isinstance(storage.protocol, str) else {*storage.protocol}
    if protocols & _PUTS_WHOLE:
        storage.put_file(str(file), path)
        return
    folder, _, name = path.rpartition("/")
    beside = f"{folder}/.{name[:32]}-{uuid.uuid4().hex}"
    storage.makedirs(folder, exist_ok=True)
    try:
        storage.put_file(str(file), beside)
        storage.mv(beside, path)
    except BaseException:
        if storage.exists(beside):
            storage.rm_file(beside)
        raise


def _storage(address: Address) -> tuple[Any, str]:
    load("fsspec", "ray", address)
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(str(address))
    except ImportError as error:  # s3fs and the like
        raise InputError(f"{address} needs a package that is not installed: {error}") from None
    except ValueError:  # no such storage
        raise InputError(f"fsspec knows no storage called {address.partition(':')[0]}; got {address}") from None


@contextmanager
def _told(address: Address, verb: str) -> Iterator[None]:
    """What any storage raises, as one line."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"cannot {verb} {address}: there is no such file or folder") from None
    except PermissionError as error:
        raise InputError(f"cannot {verb} {address}: access is denied ({_reason(error)}): check credentials and what "
                         "they allow") from None  # fmt: skip
    except Exception as error:  # each has its own kinds
        if "Credentials" in type(error).__name__:
            raise InputError(
                f"cannot {verb} {address}: no credentials were found: set them as its storage wants them, such as "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        raise InputError(f"cannot {verb} {address}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return shown(lines[0][:_LONGEST_REASON]) if lines else type(error).__name__
