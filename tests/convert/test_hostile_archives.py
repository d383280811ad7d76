"""Zip archives made to harm, or of another kind."""

import zipfile
import zlib

import numpy as np

from tests.convert.reading import refused
from tests.convert.writer import Storage, Tensor, pickled, save_zip, tensor


def test_compressed_archives_are_refused(tmp_path):
    bomb = {"weight": tensor(np.zeros(10**6, np.float32))}
    path = save_zip(tmp_path / "bomb.pth", bomb, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    assert "is compressed or overlaps others: not a PyTorch checkpoint" in refused(path)


def test_overlapping_entries_are_refused(tmp_path):
    # each entry holds all later ones, headers included, so that N small ones are read as N^2 / 2
    block, entries = bytes(1000), []
    for key in range(50):
        entry = zipfile.ZipInfo(f"archive/data/{key}")
        entry.CRC, entry.file_size, entry.compress_size = zlib.crc32(block), len(block), len(block)
        block = entry.FileHeader() + block
        entries.append((entry, len(block)))
    storages = [Storage(np.zeros(e.file_size, np.uint8), key=str(key)) for key, (e, _) in enumerate(entries)]
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.fp.write(block)
        archive.start_dir = len(block)
        for entry, size in entries:
            entry.header_offset = len(block) - size
            archive.filelist.append(entry)
        archive.writestr("archive/data.pkl", pickled({s.key: Tensor(s, (1,), (1,)) for s in storages}))
    assert sum(entry.file_size for entry, _ in entries) > 5 * path.stat().st_size
    assert "is compressed or overlaps others: not a PyTorch checkpoint" in refused(path)


def test_archives_of_other_kinds(tmp_path):
    for name, entries in {
        "none": ["word/document.xml"],
        "two": ["a/data.pkl", "b/data.pkl"],
        "root": ["data.pkl"],
    }.items():
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for entry in entries:
                archive.writestr(entry, b"x")
        assert "a zip archive, but without PyTorch's data.pkl: not a PyTorch checkpoint" in refused(path)


def test_a_locked_archive(tmp_path):
    path = save_zip(tmp_path / "a.pth", {"a": tensor(np.ones(3, np.float32))})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(signature, at + 1)
    path.write_bytes(content)
    assert "is damaged" in refused(path)
