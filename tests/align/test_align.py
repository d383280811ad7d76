"""Alignment against transforms that are known, and what it refuses."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.align.made import made_pairs
from ttd_jax import InputError, fuse
from ttd_jax.align.estimate import distance, estimate
from ttd_jax.align.frames import align, common_frame, inside, warp
from ttd_jax.align.orientation import suspected_shift
from ttd_jax.align.similarity import agreement, climb, edges, numbers_of, transform_of
from ttd_jax.inputs import check_sources

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.mark.parametrize("task", ["exposure", "focus"])
def test_handheld_pairs_are_registered_within_a_third_of_a_pixel(task):
    for reference, source, truth, _ in made_pairs(task, 4):
        found = estimate(reference, source)
        assert distance(found.transform, truth, reference.shape) < 0.3
        assert found.disagreement < 4


@pytest.mark.parametrize("task", ["infrared", "medical"])
def test_pairs_of_two_sensors_are_registered_or_refused(task):
    errors, refused = [], 0
    for reference, source, truth, _ in made_pairs(task, 6):
        try:
            errors.append(distance(estimate(reference, source).transform, truth, reference.shape))
        except InputError:
            refused += 1
    assert refused <= 4
    assert np.median(errors) < (0.3 if task == "infrared" else 0.6) and max(errors) < 4


def test_what_is_no_similarity_is_found_as_it_is():
    reference, _, _, registered = next(made_pairs("exposure", 1))
    stretched = np.array([[1.02, 0.01, 4.0], [0, 0.985, -6.0], [0, 0, 1]])
    source = warp(registered[..., None], np.linalg.inv(stretched))[..., 0]
    inner = np.s_[24:-24, 24:-24]
    shift = np.array([[1.0, 0, -24], [0, 1, -24], [0, 0, 1]])
    truth = shift @ stretched @ np.linalg.inv(shift)
    found = estimate(reference[inner], source[inner])
    assert distance(found.transform, truth, reference[inner].shape) < 0.3
    found = estimate(reference[inner], reference[inner])
    np.testing.assert_allclose(found.transform, np.eye(3), atol=1e-3)


def test_a_similarity_is_that_of_the_affine_ecc_of_opencv_and_steps_point_uphill():
    reference, source, truth, _ = next(made_pairs("focus", 1, size=240))
    there = edges(cv2, reference, source)
    value, found = climb(cv2, there, truth)
    freely = estimate(reference, source, model="affine").transform
    assert distance(found, freely, reference.shape) < 0.3
    assert distance(found, truth, reference.shape) < 0.3
    numbers = numbers_of(there, found)
    np.testing.assert_allclose(transform_of(there, numbers), found, atol=1e-9)
    for away in np.random.default_rng(0).normal(0, 0.7, (8, 4)):
        lower, step = agreement(cv2, there, numbers + away)
        assert lower < value and step @ away < 0
    half = np.zeros(reference.shape, bool)
    half[:, :120] = True
    assert distance(climb(cv2, edges(cv2, reference, source, mask=half), truth)[1], truth, reference.shape) < 1


def test_an_inverted_picture_is_no_obstacle():
    reference, *_ = next(made_pairs("exposure", 1))
    shifted = 1 - np.roll(reference, (3, 7), (0, 1))
    found = estimate(reference, shifted, model="translation")
    np.testing.assert_allclose(found.transform, [[1, 0, 7], [0, 1, 3], [0, 0, 1]], atol=0.05)


def test_sources_without_structure_or_of_other_scenes_are_refused():
    reference, *_ = next(made_pairs("exposure", 1))
    with pytest.raises(InputError, match="without structure"):
        estimate(reference, np.full_like(reference, 0.5))
    noise = np.random.default_rng(0).random(reference.shape, np.float32)
    with pytest.raises(InputError, match=r"disagree|correlation|moves it by"):
        estimate(reference, noise)
    with pytest.raises(InputError, match=r"far could not be aligned to near: .* leave align out"):
        align([reference[..., None], noise[..., None]], ["near", "far"])


def test_the_common_frame_is_covered_by_all_and_touches_an_edge_on_every_side():
    turned = np.array([[0.999, -0.03, 12.0], [0.03, 0.999, -5.0], [0, 0, 1]])
    top, left, bottom, right = common_frame([np.eye(3), turned], (120, 160))
    covered = inside(turned, (120, 160))
    assert covered[top:bottom, left:right].all()
    assert (bottom - top) * (right - left) > 0.75 * 120 * 160
    assert not covered[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1].all()


def test_warping_is_that_of_scipy_inside():
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((60, 80)), 2).astype(np.float32)
    image = (image - image.min()) / np.ptp(image)
    transform = np.array([[1.01, 0.02, 2.3], [-0.02, 0.99, -1.6], [0, 0, 1]])
    there = warp(image[..., None], transform)[..., 0]
    swapped = transform[[1, 0]][:, [1, 0]]
    ours = ndimage.affine_transform(image, swapped, transform[[1, 0], 2], order=3, mode="mirror")
    assert abs(there - ours)[8:-8, 8:-8].max() < 0.02


def test_aligned_sources_say_what_was_done():
    (reference, source, truth, _), *_ = made_pairs("exposure", 1, size=240)
    checked = check_sources({"normal": reference, "over": source}, align="auto")
    top, left, height, width = checked.alignment["frame"]
    assert checked.images[0].shape == (height, width, 1) and checked.shape == (height, width)
    np.testing.assert_array_equal(checked.images[0][..., 0], reference[top : top + height, left : left + width])
    assert distance(np.array(checked.alignment["transforms"]["over"]), truth, reference.shape) < 0.5
    kept = check_sources([reference, source], align="auto", frame="keep")
    assert kept.images[1].shape == (240, 240, 1)
    outside = ~inside(np.array(kept.alignment["transforms"]["source 2"]), (240, 240))
    assert outside.any()
    np.testing.assert_array_equal(kept.images[1][outside], kept.images[0][outside])
    with pytest.raises(InputError, match="align is one of"):
        check_sources([reference, source], align="rigid")


def test_fuse_reports_the_alignment():
    (reference, source, *_), *_ = made_pairs("exposure", 1, size=240)
    result = fuse([reference, source], align="affine", weighting="static", backbone="pyramid")
    assert result.report["alignment"]["model"] == "affine"
    assert list(result.image.shape) == result.report["alignment"]["frame"][2:]


def test_shifted_sources_are_suspected_and_registered_ones_are_not():
    found = []
    for task in ("exposure", "focus"):
        for reference, _, _, registered in made_pairs(task, 4):
            assert suspected_shift(reference, registered) is None
            found.append(suspected_shift(reference[:-9, :-12], registered[9:, 12:]))
    assert sum(shift is not None for shift in found) >= 6
    assert all(shift is None or shift == pytest.approx((-12, -9), abs=1) for shift in found)
    remarks = check_sources([reference[:-9, :-12], registered[9:, 12:]]).remarks
    assert any("seems to lie -12 pixels to the right and -9 down" in remark for remark in remarks)


def test_the_examples_of_the_package_are_not_suspected():
    examples = Path(__file__).parents[2] / "examples"
    for names in (["focus_near.png", "focus_far.png"], ["exposure_normal.png", "exposure_under.png"]):
        assert not [r for r in check_sources([examples / name for name in names]).remarks if "lie" in r]


@pytest.mark.shared_data
def test_registered_data_sets_are_not_suspected():
    pairs = [(p, p.with_name(p.name.replace("-A", "-B"))) for p in SHARED.glob("multifocus/lytro/*-A.jpg")]
    pairs += [(p, p.with_name(p.name.replace("_A", "_B"))) for p in SHARED.glob("multiexposure/mefb/*_A.jpg")]
    for other in ("ct", "pet", "spect"):
        folder = SHARED / "medical" / f"mri_{other}"
        pairs += [(path, folder / other / path.name) for path in folder.glob("mri/*")]
    for name in ("tno", "roadscene", "msrs"):
        pairs += [(p, SHARED / "vif" / name / "infrared" / p.name) for p in SHARED.glob(f"vif/{name}/visible/*")]
    assert len(pairs) > 90
    grays = [[np.asarray(Image.open(path).convert("L"), np.float32) / 255 for path in pair] for pair in pairs]
    suspected = [pair[0] for pair, both in zip(pairs, grays, strict=True) if suspected_shift(*both)]
    assert not suspected
