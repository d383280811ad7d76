"""Fuses images with an exported fusion: python run_exported.py fuse.stablehlo SOURCE SOURCE ... OUT.png."""

import sys

import numpy as np
from jax import export
from PIL import Image

program, *sources, output = sys.argv[1:]
fuse = export.deserialize(bytearray(open(program, "rb").read()))
mode = "RGB" if fuse.in_avals[0].shape[-1] == 3 else "L"
pixels = np.stack([np.asarray(Image.open(path).convert(mode), np.float32) / 255 for path in sources])
fused = fuse.call(pixels.reshape(*pixels.shape[:3], -1))
Image.fromarray(np.rint(np.asarray(fused["image"]) * 255).astype(np.uint8)).save(output)
