"""Flicker and ghosts of fused video: static scenes under noise, and an object that moves, with the truth known.

    python -m studies.video --scenes 4 --frames 24

Flicker is the standard deviation over time of the fused frames of a scene that stands still, beside that of static
fusion; a ghost is what is left of an object at the place where it was a few frames before, beside the same frame fused
without any memory, as a share of the object's contrast.
"""

import argparse

import numpy as np

from ttd_jax import Fuser
from ttd_jax.text import markdown
from ttd_jax.training.scenes import make_scenes
from ttd_jax.training.sources import TASKS

NOISE = 0.02
AMOUNTS = (0.0, 0.5, 0.8, 0.9)


def frames(scene: np.ndarray, count: int, seed: int, speed: float = 0.0):
    """Noisy frames (M, H, W) of two sources; with a speed a warm object of 24 x 24 pixels moves in the second one."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        clean = scene.copy()
        if speed:
            left = int(10 + speed * index)
            clean[1, 100:124, left : left + 24] = 0.95
        yield np.clip(clean + NOISE * rng.standard_normal(clean.shape), 0, 1).astype(np.float32)


def fused(fuser: Fuser, given, amount: float) -> np.ndarray:
    return np.stack([r.image for r in fuser.stream((list(one) for one in given), temporal=amount)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    dynamic, static = Fuser(dtype="float32"), Fuser(weighting="static", dtype="float32")
    scenes = []
    for index, scene in enumerate(make_scenes(11, options.scenes, options.size)):
        scenes.append(TASKS["infrared"](np.random.default_rng(index), scene, 2)[0])
    rows = [["", "flicker, times static", "ghost, share of contrast"]]
    still = [fused(static, frames(s, options.frames, 1), 0.0)[6:].std(axis=0).mean() for s in scenes]
    rows.append(["static", "1.000", "0.000"])
    plain = [fused(dynamic, frames(s, options.frames, 2, speed=5), 0.0) for s in scenes]
    for amount in AMOUNTS:
        flicker = [fused(dynamic, frames(s, options.frames, 1), amount)[6:].std(axis=0).mean() for s in scenes]
        ghosts = []
        for scene, alone in zip(scenes, plain, strict=True):
            moving = fused(dynamic, frames(scene, options.frames, 2, speed=5), amount)
            for index in range(8, options.frames):
                left = int(10 + 5 * (index - 6))
                where = np.s_[100:124, left : left + 12]  # left behind some frames ago
                contrast = 0.95 - scene[1][where].mean()
                ghosts.append(abs(np.mean(moving[index][where] - alone[index][where])) / contrast)
        ratio = np.mean(np.array(flicker) / np.array(still))
        rows.append([f"dynamic, temporal={amount:g}", f"{ratio:.3f}", f"{np.mean(ghosts):.4f}"])
    print("\n".join(markdown(rows)))


if __name__ == "__main__":
    main()
