"""Files and folders that appear whole or not at all: written under a temporary name beside the target, then renamed."""

import errno
import os
import re
import shutil
import socket
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ttd_jax.errors import InputError

_LEFT = re.compile(r"\..{0,32}-[0-9a-f]{8}-(\d+)-[a-z0-9_]{8}(\.\w+)?")


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """The path, if something may be written there.

    Raises:
        InputError: It exists and ``overwrite`` is false, its folder is missing or not writable, or no file can have
            its name.
    """
    path = Path(path)
    if "\0" in str(path):
        raise InputError(f"no file can be called {str(path)!r}: choose another name")
    if _exists(path) and not overwrite:
        raise InputError(f"output {path} exists already: choose another name or pass --overwrite (overwrite=True)")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"output folder {folder} does not exist: create it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"output folder {folder} is not writable: choose another one")
    return path


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise InputError(f"cannot write {path}: {error.strerror}: choose another name") from None
    return True


@contextmanager
def atomic_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path to write to, renamed to ``path`` on success and removed on failure.

    Raises:
        InputError: As :func:`check_output`, or ``path`` is a folder.
    """
    path = check_output(path, overwrite=overwrite)
    if path.is_dir():
        raise InputError(f"output {path} is a folder: name a file")
    handle, name = tempfile.mkstemp(prefix=_hidden(path.stem), suffix=path.suffix, dir=path.absolute().parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder to fill, renamed to ``path`` on success and removed on failure.

    With ``overwrite`` an existing folder is moved aside first and removed once the new one is in place.

    Raises:
        InputError: As :func:`check_output`, or ``path`` is a file.
    """
    path = check_output(path, overwrite=overwrite)
    if path.exists() and not path.is_dir():
        raise InputError(f"output {path} is a file: name a folder")
    temporary = Path(tempfile.mkdtemp(prefix=_hidden(path.name), dir=path.absolute().parent))
    aside = temporary.with_name(temporary.name + ".old")
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if path.exists():
            os.rename(path, aside)
        os.rename(temporary, path)
    except BaseException:
        if aside.exists() and not path.exists():
            os.rename(aside, path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _hidden(name: str) -> str:
    """Start of a temporary name beside one of this name, short enough where that one just fits; says whose it is."""
    return f".{name[:32]}-{_machine()}-{os.getpid()}-"


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def remove_leavings(folder: Path) -> int:
    """Removes temporary files that killed processes of this machine left in a folder; how many there were."""
    count = 0
    for path in folder.glob(f".*-{_machine()}-*"):
        found = _LEFT.fullmatch(path.name)
        if found and path.is_file() and not _is_running(int(found[1])):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
