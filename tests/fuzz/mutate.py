"""Damage to bytes, drawn from a seed: the same seed gives the same file on every machine."""

import random

INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80")
SPLICES = (b"(", b"t", b"}", b"u", b"R", b"b", b"\x85", b"\x86", b"q\0", b"h\0", b"\x94", b"\x8f", b"\x90", b"0", b".")
"""Opcodes of pickles, among others."""


def mutated(data: bytes, seed: int) -> bytes:
    """The bytes after one to eight changes, most of them in the first kilobyte, where headers are."""
    draw = random.Random(seed)
    changed = bytearray(data)
    for _ in range(1 + int(draw.expovariate(0.5)) % 8):
        if not changed:
            break
        at = draw.randrange(min(len(changed), 1024) if draw.random() < 0.7 else len(changed))
        match draw.randrange(8):
            case 0 | 1:
                changed[at] ^= 1 << draw.randrange(8)
            case 2:
                changed[at] = draw.randrange(256)
            case 3:
                piece = draw.choice(INTERESTING)
                changed[at : at + len(piece)] = piece
            case 4:
                del changed[at : at + 1 + int(draw.expovariate(0.1))]
            case 5:
                length = 1 + int(draw.expovariate(0.1))
                other = draw.randrange(len(changed))
                changed[at:at] = changed[other : other + length]
            case 6:
                changed[at:at] = draw.choice(SPLICES) * (1 + int(draw.expovariate(0.2)))
            case 7:
                if draw.random() < 0.3:
                    del changed[at:]
    return bytes(changed)
