"""What the tests of all backbones share: golden arrays, and networks with random parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ttd_jax.backbones.spec import Spec

FILES = {
    "cddfuse": ("golden/cddfuse_seed0.pth", "cddfuse_seed0.npz", "cddfuse", "ivf"),
    "piafusion": ("golden/piafusion_seed0.pth", "piafusion_seed0.npz", "piafusion", "default"),
    "illumination": (
        "checkpoints/piafusion/best_cls.pth",
        "piafusion_illumination_official.npz",
        "piafusion-illumination",
        "default",
    ),
    "focus": ("checkpoints/mgdn/MFF_62000_E.pth", "mgdn_mff_official.npz", "mgdn", "focus"),
    "exposure": ("golden/mgdn_exposure_seed0.pth", "mgdn_exposure_seed0.npz", "mgdn", "exposure"),
    "depth": ("golden/mgdn_depth_seed0.pth", "mgdn_depth_seed0.npz", "mgdn", "depth"),
    "deghost": ("golden/mgdn_deghost_seed0.pth", "mgdn_deghost_seed0.npz", "mgdn", "deghost"),
    "densefuse": ("checkpoints/densefuse/densefuse_gray.model", "densefuse_official.npz", "densefuse", "gray"),
    "didfuse": (
        tuple(f"checkpoints/didfuse/{part}_weight_IJCAI.pkl" for part in ("Decoder", "Encoder")),
        "didfuse_official.npz",
        "didfuse",
        "ivf",
    ),
    "auif": (
        tuple(f"checkpoints/auif/TCSVT_{part}.model" for part in ("Decoder", "Encoder_Detail", "Encoder_Base")),
        "auif_official.npz",
        "auif",
        "ivf",
    ),
    "pfcfuse": ("checkpoints/pfcfuse/PFCFuse_IVF.pth", "pfcfuse_official.npz", "pfcfuse", "ivf"),
}
"""PyTorch file, or files, golden arrays, network and preset of each reference."""

TOLERANCE = 2e-5


def files_of(shared_data: Path, name: str) -> list[Path]:
    """The PyTorch files of a reference."""
    files = FILES[name][0]
    return [shared_data / file for file in ([files] if isinstance(files, str) else files)]


@dataclass(frozen=True)
class GoldenNetwork:
    """A reference network and where its golden arrays are."""

    spec: Spec
    model: Any
    variables: Any
    arrays: Path

    def case(self, case: str) -> dict[str, np.ndarray]:
        """The golden arrays of one case, by name."""
        with np.load(self.arrays) as stored:
            return {name.removeprefix(f"{case}/"): stored[name] for name in stored.files if name.startswith(f"{case}/")}


def assert_parity(computed: dict[str, Any], stored: dict[str, np.ndarray], inputs: set[str]) -> None:
    """Every stored array but the inputs was computed, and lies within the tolerance of what is stored.

    The difference is relative to the larger of 1 and the stored array's largest magnitude. Maps are stored with
    channels first.
    """
    assert computed.keys() == stored.keys() - inputs
    off = {}
    for name, array in computed.items():
        array, expected = np.squeeze(np.asarray(array)), np.squeeze(stored[name])
        if array.ndim == 3 and array.shape != expected.shape:
            array = array.transpose(2, 0, 1)
        assert array.shape == expected.shape, name
        off[name] = float(np.abs(array - expected).max() / max(1, np.abs(expected).max()))
    assert max(off.values()) <= TOLERANCE, off


def random_variables(spec: Spec, model: Any, seed: int = 0) -> Any:
    """Parameters that let signals through: kernels scaled by their inputs, the rest near what training starts from."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            values = rng.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
        elif path[-1].key in ("scale", "temperature", "var"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        elif path[-1].key == "eta":  # a step so small that ten of them do not run away
            values = rng.uniform(0.005, 0.015, leaf.shape)
        else:
            values = rng.normal(size=leaf.shape) / 10
        return values.astype(np.float32)

    return jax.device_put(jax.tree_util.tree_map_with_path(draw, spec.abstract(model)))  # compiles nothing
