"""The command: how it ends, what it refuses, what it leaves behind."""

import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serve.conftest import commanded
from ttd_jax.cli import main
from ttd_jax.serve.files import size_of, sweep


def test_it_finishes_what_it_began_and_leaves_nothing(tmp_path, pictures):
    names = ("near.png", "far.png")
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="sources"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode(), (pictures / name).read_bytes())
        for name in names
    )
    body += b'--x\r\nContent-Disposition: form-data; name="backbone"\r\n\r\npyramid\r\n--x--\r\n'
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with commanded(temporary, "serve") as (process, address):
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=120) as connection:
            head = b"POST /fuse HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:100])
            while not size_of_places(temporary):
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError):  # no new ones
                socket.create_connection((parts.hostname, parts.port), timeout=1).close()
            connection.sendall(body[100:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            while connection.recv(65536):
                pass
        assert process.wait(60) == 0
    assert [*temporary.iterdir()] == []


def size_of_places(temporary: Path) -> int:
    return len([*temporary.glob("ttd-jax-*/ttd-jax-*")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--megabytes", "0"], "megabytes is a number of 1 or more; got 0"),
        (["--files", "1"], "files is a number of 2 or more; got 1"),
        (["--port", "70000"], "ports are from 0 to 65535; got 70000"),
        (["--host", "256.0.0.1"], "cannot listen at 256.0.0.1:8000: "),
    ],
)
def test_a_mistake_is_one_line(arguments, message, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert main(["serve", *arguments, "--no-compile-cache"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"ttd-jax: error: {message}") and shown.count("\n") == 1


def test_a_port_that_is_taken(capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--no-compile-cache"]) == 2
    assert "Address already in use: choose another --port or --host" in capsys.readouterr().err


def test_extras_are_named(monkeypatch, capsys):
    import sys

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    for command, package, extra in (("serve", "fastapi", "serve"), ("demo", "gradio", "demo")):
        monkeypatch.setitem(sys.modules, package, None)
        assert main([command, "--no-compile-cache"]) == 2
        assert f"needs {package}: pip install 'ttd-jax[{extra}]'" in capsys.readouterr().err
        monkeypatch.delitem(sys.modules, package)


def test_old_files_are_swept(tmp_path):
    old, new = tmp_path / "1" / "old.png", tmp_path / "2" / "new.png"
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(bytes(10))
    assert size_of(tmp_path) == 20
    assert sweep(tmp_path, 60) == 0
    time.sleep(1.2)
    new.write_bytes(bytes(5))
    assert sweep(tmp_path, 1) == 1
    assert new.exists() and not old.parent.exists()
