"""``fuse(..., explain=True)``: the numbers in the report against NumPy, colour rules and static rules."""

import json

import numpy as np
import pytest

from tests import analytic
from ttd_jax import Fuser, LossWeighting, fuse
from ttd_jax.errors import InputError

RNG = np.random.default_rng(0)
A, B, C = RNG.random((3, 12, 10)).astype(np.float32)
COLOR = RNG.random((2, 12, 10, 3)).astype(np.float32)
LUMA = np.array([0.299, 0.587, 0.114])


def expected_covariances(result):
    return [np.cov(w.ravel(), x.ravel(), ddof=0)[0, 1] for w, x in zip(result.weights, result.losses, strict=True)]


def test_the_report_by_hand():
    backbone = analytic.backbone("mean")
    result = fuse({"near": A, "far": B}, backbone=backbone, explain=True)
    static = fuse([A, B], backbone=backbone, weighting="static")
    theory = result.report["theory"]
    assert json.loads(json.dumps(theory)) == theory
    assert list(theory["sources"]) == ["near", "far"]
    rows = theory["sources"].values()
    np.testing.assert_allclose([row["covariance"] for row in rows], expected_covariances(result), rtol=1e-4)
    np.testing.assert_allclose([row["weight"] for row in rows], result.weights.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose([row["loss"] for row in rows], result.losses.mean(axis=(1, 2)), rtol=1e-5)
    errors = [np.abs(u - x).mean() for u, x in zip(result.components, (A, B), strict=True)]
    np.testing.assert_allclose([row["error"] for row in rows], errors, rtol=1e-5)
    assert theory["covariance"] == pytest.approx(sum(expected_covariances(result)), rel=1e-4)
    crossed = sum(np.abs(result.components[i] - x).mean() for i, x in ((0, B), (1, A)))
    for name, fused, weights in (("dynamic", result.image, result.weights), ("static", static.image, static.weights)):
        bound = theory[name]
        assert bound["error"] == pytest.approx(sum(np.abs(fused - x).mean() for x in (A, B)), rel=1e-5)
        assert bound["constant"] == pytest.approx(1.5 * sum(errors) + 0.5 * crossed, rel=1e-5)
        assert bound["bound"] == pytest.approx(bound["constant"] + bound["covariance"], rel=1e-6)
        distances = np.abs(result.components[:, np.newaxis] - np.stack([A, B])).sum(axis=1)
        assert bound["decomposed"] == pytest.approx((weights * distances).mean(axis=(1, 2)).sum(), rel=1e-5)
    assert theory["static"]["covariance"] == 0


def test_explaining_changes_nothing_else():
    plain, explained = (Fuser(analytic.backbone())([A, B, C], explain=explain) for explain in (False, True))
    np.testing.assert_array_equal(plain.image, explained.image)
    np.testing.assert_array_equal(plain.weights, explained.weights)
    assert explained.report.keys() - plain.report.keys() == {"theory"}


def test_sources_keep_the_order_they_were_given_in():
    result = fuse({"infrared": A, "visible": B, "other": C}, backbone=analytic.backbone(), explain=True)
    theory = result.report["theory"]["sources"]
    assert list(theory) == ["infrared", "visible", "other"]
    np.testing.assert_allclose([t["covariance"] for t in theory.values()], expected_covariances(result), rtol=1e-4)
    errors = [np.abs(u - x).mean() for u, x in zip(result.components, (A, B, C), strict=True)]
    np.testing.assert_allclose([t["error"] for t in theory.values()], errors, rtol=1e-5)


@pytest.mark.parametrize("color", ["auto", "gray", "luma"])
def test_colour_is_measured_in_luma(color):
    result = fuse(list(COLOR), backbone=analytic.backbone(), color=color, explain=True)
    fused = result.image if result.image.ndim == 2 else result.image @ LUMA
    expected = sum(np.abs(fused - x @ LUMA).mean() for x in COLOR)
    assert result.report["theory"]["dynamic"]["error"] == pytest.approx(expected, rel=1e-5)


def test_colour_that_is_fused_as_colour_is_measured_in_rgb(checkpoint):
    result = fuse(list(COLOR), checkpoint=checkpoint, explain=True)
    assert result.report["color"] == "rgb"
    expected = sum(np.abs(result.image - x).mean() for x in COLOR)
    assert result.report["theory"]["dynamic"]["error"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("width", [1, 3])
def test_a_narrow_grey_image_is_no_colour_image(width):
    sources = [np.repeat(x[:, :1], max(width, 2), axis=1) for x in (A, B)]
    result = fuse(sources, backbone=analytic.backbone(), explain=True)
    expected = sum(np.abs(result.image - x).mean() for x in sources)
    assert result.report["theory"]["dynamic"]["error"] == pytest.approx(expected, rel=1e-5)


def test_a_static_maximum_has_an_error_and_no_bound():
    theory = fuse([A, B], backbone=analytic.backbone("max"), explain=True).report["theory"]
    assert [name for name, value in theory["static"].items() if value is None] == ["decomposed", "covariance", "bound"]
    assert None not in theory["dynamic"].values()


def test_weights_that_do_not_sum_to_one_have_no_bound():
    weighting = LossWeighting(normalization="none")
    theory = fuse([A, B], backbone=analytic.backbone(), weighting=weighting, explain=True).report["theory"]
    assert theory["dynamic"]["bound"] is None and theory["dynamic"]["error"] > 0


def test_static_fusion_can_not_be_explained():
    with pytest.raises(InputError, match="static fusion has no losses to explain: use weighting='loss'"):
        fuse([A, B], backbone=analytic.backbone(), weighting="static", explain=True)
