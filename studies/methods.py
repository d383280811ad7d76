"""Ways to fuse that the studies compare, by name.

- a name in ``studies.classical.METHODS``, such as ``pyramid``;
- ``fuse``, plain ``fuse`` with no hint of the task, with options after it: ``fuse weighting=static``,
  ``fuse checkpoint=DIR recipe=vif``, ``fuse scale=0``. Options other than ``backbone``, ``checkpoint``, ``weighting``,
  ``recipe``, ``color`` and ``precision`` are those of ``LossWeighting``;
- ``control brightness`` and ``control detail``: a network merging under weights that no network made, with
  ``backbone`` and ``checkpoint`` as options.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

import ttd_jax
from studies import classical
from ttd_jax import Fuser, LossWeighting, load_backbone
from ttd_jax.backbones.spec import Backbone

FuseFn = Callable[[list[np.ndarray]], np.ndarray]
"""From registered grey uint8 images (H, W) to the fused one, uint8 (H, W)."""

STUDIES = Path(__file__).parent
CONTROLS = ("control brightness", "control detail")


class Method(NamedTuple):
    """A way to fuse, the files that it consists of, and for plain ``fuse`` the fuser, which gives weights too."""

    name: str
    fuse: FuseFn
    code: list[Path]
    fuser: Fuser | None = None


def named_method(name: str) -> Method:
    """The method of this name; the module says which there are.

    Raises:
        ValueError: There is no such method.
    """
    if name in classical.METHODS:
        return Method(name, grey_method(classical.METHODS[name]), [STUDIES / "classical.py", STUDIES / "pyramids.py"])
    control = next((each for each in CONTROLS if name.startswith(each)), None)
    if control is None and name.split()[0] != "fuse":
        known = ", ".join([*classical.METHODS, "fuse [OPTION=VALUE ...]", *CONTROLS])
        raise ValueError(f"methods are {known}; got {name!r}")
    options = dict(part.split("=", 1) for part in name.removeprefix(control or "fuse").split())
    checkpoint = options.pop("checkpoint", None)
    backbone = load_backbone(options.pop("backbone", None), checkpoint)
    code = [Path(ttd_jax.__file__).parent, STUDIES / "methods.py", *([Path(checkpoint)] if checkpoint else [])]
    if control:
        return Method(name, fused_by_control(backbone, detail=control == CONTROLS[1]), code)
    fuser = Fuser(backbone, **_fuse_options(options))
    return Method(name, lambda sources: fuser(sources).image, code, fuser)


def _fuse_options(options: dict[str, str]) -> dict:
    plain = {key: options.pop(key) for key in ("weighting", "recipe", "color", "precision") if key in options}
    if options:
        plain["weighting"] = LossWeighting(**{key: _value(text) for key, text in options.items()})
    return plain


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def grey_method(method: Callable[[np.ndarray], np.ndarray]) -> FuseFn:
    """A method of ``studies.classical`` as a function of uint8 images."""

    def fuse(sources: list[np.ndarray]) -> np.ndarray:
        return to_bytes(method(np.stack(sources) / 255))

    return fuse


def to_bytes(image: np.ndarray) -> np.ndarray:
    """An image in [0, 1], clipped, as uint8."""
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def fused_by(backbone: Backbone, **options) -> FuseFn:
    """Plain ``fuse``, with no hint of the task."""
    fuser = Fuser(backbone, **options)
    return lambda sources: fuser(list(sources)).image


def fused_by_control(backbone: Backbone, detail: bool) -> FuseFn:
    """The backbone with weights that no network made."""
    model = backbone.model

    @jax.jit
    def fuse(variables, sources, weights):
        features = model.encode(variables, sources[..., jnp.newaxis])
        latent = model.merge(features, weights[..., jnp.newaxis])
        return jnp.mean(model.render(variables, latent, sources[..., jnp.newaxis]), axis=-1)

    def method(sources: list[np.ndarray]) -> np.ndarray:
        pixels = np.stack(sources).astype(np.float32) / 255
        fused = fuse(backbone.variables, jnp.asarray(pixels), jnp.asarray(control_weights(pixels, detail)))
        return to_bytes(np.asarray(fused))

    return method


def control_weights(sources: np.ndarray, detail: bool) -> np.ndarray:
    """Weights (2, H, W) that prefer the brighter source a little, and with ``detail`` the one that has more of it.

    w = sigmoid(0.5 (a - b) [+ 0.2 log(h(a) / h(b))]) with h(x) = G16(|x - G1(x)|) + 0.004.
    """
    a, b = sources
    preference = 0.5 * (a - b)
    if detail:
        preference = preference + 0.2 * np.log(_detail(a) / _detail(b))
    weight = 1 / (1 + np.exp(-preference))
    return np.stack([weight, 1 - weight])


def _detail(image: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(np.abs(image - ndimage.gaussian_filter(image, 1)), 16) + 0.004
