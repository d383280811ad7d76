"""Every choice that is made by name, in one place and without jax, so that the command line reads it too."""

from typing import Any, Literal, TypeAlias, get_args

from ttd_jax.errors import InputError

WeightingName: TypeAlias = Literal["loss", "gradient", "static"]
Color: TypeAlias = Literal["auto", "gray", "luma", "rgb"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
Align: TypeAlias = Literal["auto", "translation", "euclidean", "affine", "homography"]
Frame: TypeAlias = Literal["crop", "keep"]
OnError: TypeAlias = Literal["raise", "yield"]
ExportFormat: TypeAlias = Literal["stablehlo", "onnx"]
Device: TypeAlias = Literal["auto", "cpu", "gpu", "tpu"]
Platform: TypeAlias = Literal["cpu", "cuda", "rocm", "tpu"]

ReconstructionLoss: TypeAlias = Literal["mse", "l1"]
FusionLoss: TypeAlias = Literal["mse", "l1", "ssim", "gradient"]
Component: TypeAlias = Literal["alone", "scaled", "black", "fused"]
Space: TypeAlias = Literal["image", "normalized", "mixed"]
Form: TypeAlias = Literal["exp", "linear", "sigmoid", "log"]
Normalization: TypeAlias = Literal["softmax", "proportional", "none"]
Correlation: TypeAlias = Literal["negative", "positive"]
Rule: TypeAlias = Literal["max", "mean", "sum", "l1"]
AllBands: TypeAlias = Literal["all"]
MergeRule: TypeAlias = Literal["max", "mean", "sum", "l1", "concatenation"]


def choices(options: Any) -> tuple[str, ...]:
    """The names that a ``Literal`` of this module allows, in order.

    Example:
        >>> choices(Precision)
        ('float32', 'bfloat16')
    """
    return get_args(options)


def check_rule(rule: Any) -> None:
    """Refuses a static rule that there is not.

    Raises:
        InputError: It is none of ``Rule``.
    """
    if rule not in choices(Rule):
        raise InputError(f"static rules are {', '.join(choices(Rule))}; got {rule!r}")


def check_share(name: str, value: float) -> None:
    """Refuses what is no share of at least 0 and less than 1.

    Raises:
        InputError: It is none.
    """
    if not 0 <= value < 1:
        raise InputError(f"{name} is a number of at least 0 and less than 1; got {value:g}")


def check_choice(name: str, value: Any, options: Any) -> None:
    """Refuses a value that is not among the choices.

    Args:
        name: What the option is called.
        value: What was given.
        options: A ``Literal`` of this module.

    Raises:
        InputError: It is none of them.
    """
    if not isinstance(value, str) or value not in choices(options):
        raise InputError(f"{name} is one of {', '.join(map(repr, choices(options)))}; got {value!r}")
