"""Small good files of every kind, made here, that the mutator starts from."""

import io
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from tests.convert.writer import StateDict, save_legacy, save_zip, tensor

GREY = np.random.default_rng(0).integers(0, 256, (18, 20), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (18, 20, 3), dtype=np.uint8)


def images(folder: Path) -> dict[str, bytes]:
    """Images by name, in all formats and some dozen kinds of TIFF."""
    from ttd_jax.io.images import write_image

    found = {}
    for suffix in (".png", ".jpg", ".bmp", ".webp"):
        for kind, pixels in {"grey": GREY, "rgb": RGB}.items():
            path = folder / f"{kind}{suffix}"
            write_image(path, pixels, overwrite=True)
            found[path.name] = path.read_bytes()
    write_image(folder / "deep.png", RGB.astype(np.uint16) * 257, overwrite=True)
    found["deep.png"] = (folder / "deep.png").read_bytes()
    options: dict[str, dict] = {name: {"compression": name} for name in ("zlib", "lzw", "packbits", "jpeg", "zstd")}
    options |= {"plain": {}, "strips": {"rowsperstrip": 4}, "big": {"bigtiff": True}, "motorola": {"byteorder": ">"}}
    options |= {
        "tiles": {"tile": (16, 16)},
        "bits": {"bitspersample": 4},
        "predictor": {"compression": "zlib", "predictor": True},
    }
    for name, given in options.items():
        file = io.BytesIO()
        tifffile.imwrite(file, GREY >> 4 if name == "bits" else GREY, **given)
        found[f"{name}.tif"] = file.getvalue()
    file = io.BytesIO()
    tifffile.imwrite(file, RGB, photometric="rgb", planarconfig="contig")
    found["rgb.tif"] = file.getvalue()
    for name, image in {"palette.gif": Image.fromarray(RGB).quantize(8), "grey.pgm": Image.fromarray(GREY)}.items():
        image.save(folder / name)
        found[name] = (folder / name).read_bytes()
    return found


def torch_files(folder: Path) -> dict[str, bytes]:
    """PyTorch files by name, in both layouts."""
    root = StateDict(
        {"conv1.weight": tensor(np.ones((2, 3), np.float32)), "conv1.bias": tensor(np.zeros(2, np.float64))}
    )
    nested = {"model": root, "epoch": 3, "lr": [1, (1, 2)], "count": tensor(np.array(7))}
    return {
        f"{layout}-{name}.pth": save(folder / "seed.pth", node).read_bytes()
        for layout, save in {"zip": save_zip, "legacy": save_legacy}.items()
        for name, node in {"plain": root, "nested": nested}.items()
    }


def checkpoint(folder: Path) -> dict[str, bytes]:
    """The files of a small checkpoint folder, by path in it."""
    from ttd_jax.io.checkpoints import save_checkpoint

    variables = {"params": {"a": {"kernel": np.ones((3, 3, 1, 2), np.float32), "bias": np.zeros(2, np.float32)}}}
    save_checkpoint(folder / "seed", variables, {"backbone": "x", "preset": "y", "config": {}}, overwrite=True)
    files = [path for path in (folder / "seed").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder / "seed")): path.read_bytes() for path in files}
