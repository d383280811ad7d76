"""Sample pixels and a second opinion on PNG, for the tests of image files."""

import struct
import zlib
from pathlib import Path

import numpy as np

_RNG = np.random.default_rng(0)
GREY8 = _RNG.integers(0, 256, (6, 9), dtype=np.uint8)
RGB8 = _RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY16 = _RNG.integers(0, 65536, (6, 9), dtype=np.uint16)
RGB16 = _RNG.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
GREY_FLOAT = (GREY16 / 65535).astype(np.float32)
_Y, _X = np.mgrid[:24, :32]
SMOOTH = np.stack([60 + _Y * 4, 50 + _X * 4, 80 + _X + _Y], axis=-1).astype(np.uint8)  # alike under no turn
RGB_FLOAT = (RGB16 / 65535).astype(np.float32)


def png_chunks(path: Path) -> list[tuple[bytes, bytes]]:
    """Kinds and contents of the chunks, with every checksum verified."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + content)
        chunks.append((kind, content))
        at += 12 + size
    return chunks


def decode_png(path: Path) -> np.ndarray:
    """Pixels of a grey or RGB file of 8 or 16 bits without interlacing, by the letter of the specification."""
    chunks = png_chunks(path)
    width, height, depth, color, *_ = struct.unpack(">IIBBBBB", chunks[0][1])
    step = {0: 1, 2: 3}[color] * depth // 8
    raw = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    rows, above, size = [], [0] * (width * step), width * step + 1
    for y in range(height):
        rule, row = raw[y * size], list(raw[y * size + 1 : (y + 1) * size])
        for i in range(len(row)):
            a, b, c = row[i - step] if i >= step else 0, above[i], above[i - step] if i >= step else 0
            *_, paeth = min((abs(a + b - c - v), order, v) for order, v in enumerate((a, b, c)))
            row[i] = (row[i] + (0, a, b, (a + b) // 2, paeth)[rule]) % 256
        rows.append(row)
        above = row
    samples = np.array(rows, np.uint8).tobytes()
    pixels = np.frombuffer(samples, ">u2" if depth == 16 else "u1").reshape(height, width, -1)
    return pixels[..., 0] if color == 0 else pixels
