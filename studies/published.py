"""The printed rows of the TTD paper's tables for the backbones that this package runs.

Figures from "Test-Time Dynamic Image Fusion" (NeurIPS 2024), Tables 1 to 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One printed row.

    Attributes:
        label: What the paper calls it.
        backbone: Name of the backbone.
        kind: ``"static"``, the backbone's own rule; ``"dynamic"``, TTD; ``"printed"``, not to be computed.
        values: The printed values.
        options: What differs from a recipe of the backbone.
    """

    label: str
    backbone: str
    kind: Literal["static", "dynamic", "printed"]
    values: Numbers
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """The rows of a table on one data set."""

    dataset: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """One of the paper's tables: what it shows, its parts, and what is missing here to compute it."""

    title: str
    parts: tuple[Part, ...]
    missing: str = ""


_BACKBONES = {"IFCNN": "ifcnn", "CDDFuse": "cddfuse", "PIAFusion": "piafusion"}


def _pair(name: str, static: Numbers, dynamic: Numbers) -> tuple[Row, Row]:
    backbone = _BACKBONES[name]
    return Row(name, backbone, "static", static), Row(f"{name}+TTD", backbone, "dynamic", dynamic)


_INFRARED = ("EN", "SD", "AG", "EI", "SF", "SCD", "CE")
_MEDICAL_METRICS = ("EN", "SD", "AG", "EI", "SF", "SSIM", "CE")
_OTHER = ("SD", "EI", "EN", "AG", "SF", "CE")

# fmt: off
_LLVIP_STATIC = (6.95, 37.75, 5.18, 13.13, 18.18, 1.32, 7.82)
_LLVIP_DYNAMIC = (6.98, 38.99, 5.48, 13.92, 19.40, 1.34, 7.79)

TABLES = {
    1: Table("infrared and visible", (
        Part("LLVIP", _INFRARED, (
            *_pair("IFCNN", _LLVIP_STATIC, _LLVIP_DYNAMIC),
            *_pair("CDDFuse", (7.36, 50.90, 4.99, 12.68, 18.26, 1.62, 7.79),
                   (7.34, 53.88, 5.54, 14.07, 20.17, 1.58, 7.83)),
            *_pair("PIAFusion", (7.39, 52.12, 5.77, 14.81, 19.59, 1.59, 7.72),
                   (7.42, 56.14, 5.90, 15.15, 20.29, 1.64, 7.65)),
        )),
        Part("MSRS", _INFRARED, (
            *_pair("IFCNN", (6.07, 26.99, 3.44, 8.99, 10.77, 1.33, 7.12), (6.09, 28.09, 3.58, 9.39, 11.46, 1.35, 7.10)),
            *_pair("CDDFuse", (6.71, 43.38, 3.78, 10.08, 11.57, 1.60, 6.92),
                   (6.64, 43.78, 3.97, 10.54, 12.67, 1.58, 6.95)),
            *_pair("PIAFusion", (6.64, 45.34, 3.95, 10.57, 12.12, 1.70, 6.93),
                   (6.62, 48.26, 4.18, 11.18, 12.99, 1.52, 6.92)),
        )),
    )),
    2: Table("multi-exposure and multi-focus", (
        Part("MEFB", _OTHER,
             _pair("IFCNN", (51.78, 14.48, 7.06, 5.85, 20.41, 11.60), (52.86, 15.94, 7.10, 6.38, 21.99, 11.41))),
        Part("MFI-WHU", _OTHER,
             _pair("IFCNN", (54.02, 18.71, 7.38, 7.55, 22.85, 7.40), (54.22, 19.10, 7.39, 7.70, 23.51, 7.40))),
    )),
    3: Table("MRI and CT", (
        Part("MRI-CT", _MEDICAL_METRICS, (
            *_pair("IFCNN", (4.62, 61.98, 7.86, 19.92, 31.06, 1.49, 4.72),
                   (4.66, 66.14, 8.27, 21.11, 32.63, 1.50, 4.63)),
            *_pair("CDDFuse", (4.80, 88.18, 8.30, 20.81, 34.32, 1.46, 4.77),
                   (4.81, 88.12, 9.21, 23.08, 37.50, 1.43, 4.81)),
            *_pair("PIAFusion", (4.99, 79.98, 8.30, 21.49, 31.42, 0.99, 6.31),
                   (4.85, 82.09, 8.43, 21.90, 32.45, 1.38, 5.76)),
        )),
    )),
    4: Table("forms of the weight", (
        Part("LLVIP", _MEDICAL_METRICS, (
            Row("w = 0.5", "ifcnn", "static", _LLVIP_STATIC),
            Row("softmax(-loss)", "ifcnn", "dynamic", (6.97, 38.41, 5.24, 13.31, 18.31, 1.35, 7.81),
                {"form": "linear"}),
            Row("softmax(sigmoid(-loss))", "ifcnn", "dynamic", (6.97, 38.48, 5.36, 13.60, 18.87, 1.33, 7.80),
                {"form": "sigmoid"}),
            Row("softmax(exp(-loss))", "ifcnn", "dynamic", _LLVIP_DYNAMIC, {"form": "exp"}),
        )),
    )),
    5: Table("normalization of the weights", (
        Part("LLVIP", _MEDICAL_METRICS, (
            Row("baseline", "ifcnn", "static", _LLVIP_STATIC),
            Row("without", "ifcnn", "dynamic", (6.57, 29.84, 4.60, 11.56, 16.56, 0.95, 8.80),
                {"normalization": "none"}),
            Row("proportional", "ifcnn", "dynamic", (6.97, 38.41, 5.24, 13.31, 18.31, 1.34, 7.80),
                {"normalization": "proportional"}),
            Row("softmax", "ifcnn", "dynamic", _LLVIP_DYNAMIC, {"normalization": "softmax"}),
        )),
    )),
    6: Table("MRI and PET", (
        Part("MRI-PET", _MEDICAL_METRICS, (
            *_pair("IFCNN", (3.96, 55.29, 7.21, 18.21, 26.69, 1.52, 3.66),
                   (4.00, 58.48, 7.80, 19.77, 28.97, 1.52, 3.63)),
            *_pair("CDDFuse", (4.28, 81.33, 7.68, 19.74, 27.84, 1.50, 3.57),
                   (4.27, 83.15, 8.73, 22.03, 32.58, 1.47, 3.59)),
            *_pair("PIAFusion", (4.43, 73.32, 8.53, 21.96, 30.41, 0.95, 5.88),
                   (4.33, 75.79, 8.75, 22.59, 31.65, 1.40, 5.39)),
        )),
    )),
    7: Table("MRI and SPECT", (
        Part("MRI-SPECT", _MEDICAL_METRICS, (
            *_pair("IFCNN", (3.63, 47.48, 4.75, 11.96, 19.35, 1.60, 3.61),
                   (3.66, 49.08, 5.13, 12.94, 21.10, 1.60, 3.59)),
            *_pair("CDDFuse", (3.90, 71.58, 5.21, 13.28, 20.70, 1.58, 3.65),
                   (3.91, 74.45, 5.69, 14.47, 23.40, 1.55, 3.72)),
            *_pair("PIAFusion", (4.08, 61.62, 5.60, 14.23, 21.92, 0.97, 6.33),
                   (4.01, 63.85, 5.68, 14.43, 22.56, 1.46, 5.68)),
        )),
    )),
    8: Table("IFCNN with Gaussian noise on its parameters", (
        Part("LLVIP", _INFRARED, (
            *_pair("IFCNN", _LLVIP_STATIC, _LLVIP_DYNAMIC),
            Row("noise 0.1 IFCNN", "ifcnn", "printed", (6.90, 36.88, 5.00, 12.60, 18.10, 1.28, 7.89)),
            Row("noise 0.1 IFCNN+TTD", "ifcnn", "printed", (6.92, 38.01, 5.26, 13.27, 19.33, 1.30, 7.87)),
            Row("noise 0.2 IFCNN", "ifcnn", "printed", (6.86, 36.61, 4.90, 12.34, 17.44, 1.28, 8.15)),
            Row("noise 0.2 IFCNN+TTD", "ifcnn", "printed", (6.89, 37.95, 5.16, 13.01, 18.36, 1.31, 8.11)),
            Row("noise 0.3 IFCNN", "ifcnn", "printed", (5.93, 32.20, 4.45, 11.16, 16.81, 1.04, 8.33)),
            Row("noise 0.3 IFCNN+TTD", "ifcnn", "printed", (5.96, 33.45, 4.74, 11.88, 18.26, 1.05, 8.23)),
            Row("noise 0.4 IFCNN", "ifcnn", "printed", (6.04, 32.18, 4.10, 10.33, 15.38, 1.01, 8.28)),
            Row("noise 0.4 IFCNN+TTD", "ifcnn", "printed", (6.33, 36.81, 4.69, 11.89, 17.48, 1.11, 7.99)),
            Row("noise 0.5 IFCNN", "ifcnn", "printed", (4.49, 30.38, 3.72, 9.33, 16.03, 0.75, 8.99)),
            Row("noise 0.5 IFCNN+TTD", "ifcnn", "printed", (4.53, 35.32, 4.31, 10.82, 18.71, 0.82, 8.82)),
        )),
    ), missing="the rows with noise: the paper gives neither what the noise is relative to, nor which parameters get "
               "it, nor a seed; the study of noisy backbones is not part of this package yet"),
    9: Table("seconds per image", (
        Part("LLVIP", ("seconds",), (
            Row("CDDFuse", "cddfuse", "static", (1.10,)),
            Row("CDDFuse+TTD", "cddfuse", "dynamic", (1.77,)),
            Row("PIAFusion", "piafusion", "static", (2.05,)),
            Row("PIAFusion+TTD", "piafusion", "dynamic", (4.02,)),
            Row("IFCNN", "ifcnn", "static", (0.006,)),
            Row("IFCNN+TTD", "ifcnn", "dynamic", (0.0013,)),
        )),
    ), missing="the paper's machine: its seconds are of an RTX A6000 or an Atlas 800 (it does not say which); the "
               "ratio of the two rows of a backbone is what can be compared. 0.0013 for IFCNN+TTD is as printed"),
}
# fmt: on
"""The tables by number."""
