"""What must hold for every metric: dtypes, mapping, order of sources, corner cases, monotony."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ttd_jax import metrics
from ttd_jax.metrics import METRICS, evaluate, resolve_variants, score
from ttd_jax.metrics.levels import stretch


@pytest.fixture(scope="module")
def values(fused, sources):
    return evaluate(fused, sources)


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: image.astype(np.uint16) * 257,
        lambda image: (image / 255).astype(np.float32),
        lambda image: image / 255,
        lambda image: jnp.asarray(image) / 255,
    ],
    ids=["uint16", "float32", "float64", "jax"],
)
def test_dtypes_agree(convert, fused, sources, values):
    assert evaluate(convert(fused), convert(sources)) == pytest.approx(values, rel=1e-5)


def test_whole_levels_survive_scaling_exactly():
    """Else Qabf, which asks whether two strengths are equal, would see another image."""
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    single = (every / 255).astype(np.float32)
    for double in (False, True):
        with jax.enable_x64(double):
            for image in (every.astype(np.uint16) * 257, single, every / 255, jnp.asarray(every) / 255):
                assert np.array_equal(metrics.levels.levels(image), every)


def test_scaling_keeps_its_gradient():
    gradient = jax.grad(lambda image: jnp.sum(metrics.levels.levels(image)))(jnp.array([[0.0, 0.5], [0.3, 1.0]]))
    assert np.array_equal(gradient, np.full((2, 2), 255))


def test_sixteen_bit_falls_into_the_same_bins(fused):
    between = fused.astype(np.uint16) * 257 + 100  # less than half a level above
    between = np.minimum(between, 65535).astype(np.uint16)
    assert float(metrics.entropy(between)) == pytest.approx(float(metrics.entropy(fused)))


def test_order_of_sources_does_not_matter(fused, sources, values):
    assert evaluate(fused, sources[::-1]) == pytest.approx(values, rel=1e-5)


def test_a_folder_is_mapped(fused, sources):
    folder = [(fused, sources), (fused[::-1], sources), (sources[1], sources[::-1])]
    stacked = np.stack([f for f, _ in folder]), np.stack([s for _, s in folder])
    names = ["EN", "MI", "AG", "SCD", "PSNR", "SSIM", "Qabf", "Qcb", "Qcv"]
    mapped = jax.vmap(lambda f, s: score(f, s, resolve_variants(names)))(*stacked)
    for i, pair in enumerate(folder):
        single = evaluate(*pair, metrics=names)
        assert {name: float(mapped[name][i]) for name in names} == pytest.approx(single, rel=1e-5)
    shapes = jax.eval_shape(jax.vmap(lambda f, s: score(f, s, resolve_variants(None))), *stacked)
    assert {name: value.shape for name, value in shapes.items()} == dict.fromkeys(METRICS, (3,))


def test_another_jit_around_gives_the_same(fused, sources):
    variants = resolve_variants(["MI", "SSIM", "Qabf", "Qcv"])
    jitted = jax.jit(lambda f, s: score(f, s, variants))(fused[:64, :72], sources[:, :64, :72])
    single = evaluate(fused[:64, :72], sources[:, :64, :72], metrics=variants)
    assert {name: float(value) for name, value in jitted.items()} == pytest.approx(single, rel=1e-5)


def test_a_second_image_of_the_size_compiles_nothing(fused, sources, caplog):
    def compiled(pair):
        caplog.clear()
        with jax.log_compiles():
            evaluate(*pair, metrics=["EN", "AG", "SSIM", "Qabf", "Qcv"])
        return [record for record in caplog.records if "Compiling" in record.getMessage()]

    first, second = (fused[:30, :34], sources[:, :30, :34]), (fused[5:35, 5:39], sources[:, 5:35, 5:39])
    assert compiled(first)
    assert not compiled(second)


IDENTICAL = {
    "SCD": np.nan, "CC": 1, "NMI": 2, "PSNR": np.inf, "RMSE": 0, "MSE": 0, "SSIM": 1, "MS-SSIM": 1, "VIF": 1,
    "Qcb": 1, "Qcv": 0, "Qw": 1, "FMI": 1, "MEF-SSIM": 1, "Nabf": 0,
}  # fmt: skip


def test_identical_images(sources):
    """The values that docs/metrics.md documents."""
    photo = sources[1]
    found = evaluate(photo, [photo, photo])
    assert {name: found[name] for name in IDENTICAL} == pytest.approx(IDENTICAL, abs=2e-6, nan_ok=True)
    assert found["MI"] == pytest.approx(2 * found["EN"], rel=1e-6)
    assert 0.97 < found["Qabf"] < 0.9994 * 0.9879
    assert found["Labf"] < 1e-3


def undefined(values):
    return {name for name, value in values.items() if np.isnan(value)}


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_flat_fused_image(level, sources):
    found = evaluate(np.full(sources.shape[1:], level, np.uint8), sources)
    expected = {"CC", "Qcv", "Qcb"} if level else {"CC", "Qcb"}
    assert undefined(found) == expected
    for name in ["EN", "SD", "AG", "EI", "SF", "MI", "NMI", "VIF"]:
        assert found[name] == 0, name


@pytest.mark.parametrize("shape", [(40, 48), (41, 37), (333, 100)])
def test_one_level_is_one_level_at_any_size(shape):
    """A mean of equal numbers can differ from them in the last bit, which must not pass for structure."""
    noise = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    found = evaluate(np.full(shape, 77, np.uint8), noise, metrics=["SD", "CC"])
    assert found["SD"] == 0
    assert undefined(found) == {"CC"}


def test_flat_sources(fused):
    for level in (0, 90):
        found = evaluate(fused, np.full((2, *fused.shape), level, np.uint8))
        expected = {"CC", "SCD", "NMI", "VIF", "Qcb"} | ({"Qcv"} if level else {"Qabf", "Qcv"})
        assert undefined(found) == expected
        assert found["MI"] == 0


def test_a_copy_of_one_source_has_no_scd(sources):
    assert undefined(evaluate(sources[0], sources[:2])) == {"SCD"}


def test_windows_larger_than_the_image_give_nan(fused, sources):
    windowed = ["SSIM", "MS-SSIM", "VIF", "Qw", "MEF-SSIM"]
    found = evaluate(fused[:10, :10], sources[:, :10, :10], metrics=windowed)
    assert all(np.isnan(value) for value in found.values())
    assert np.isnan(float(metrics.feature_mutual_information(fused[:2, :2], sources[:, :2, :2])))


@pytest.mark.parametrize("degrade", ["noise", "blur"])
def test_fidelity_falls_with_degradation(degrade, sources):
    """Against a source that is the undegraded image, each step of degradation must cost."""
    from scipy import ndimage

    photo = sources[1].astype(float)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=photo.shape)
    ladder = []
    for step in range(4):
        image = photo + 8 * step * noise if degrade == "noise" else ndimage.gaussian_filter(photo, 0.8 * step)
        ladder.append(evaluate(np.clip(np.round(image), 0, 255).astype(np.uint8), [sources[1]] * 2))
    for name, metric in METRICS.items():
        if not metric.needs_sources or name in ("SCD", "CE"):
            continue  # SCD is undefined for equal sources, CE does not look at places
        sequence = [found[name] for found in ladder]
        ordered = sorted(sequence, reverse=metric.direction == "higher")
        if name == "Nabf" and degrade == "blur":
            continue  # a blur invents no edges worth the name
        assert sequence == ordered, (name, sequence)
        assert sequence[0] != sequence[-1], name


def test_sharpness_is_gamed_by_noise(sources):
    """Why a high AG, EI, SF, SD or EN alone says nothing; docs/metrics.md shows the figure."""
    photo = sources[1].astype(float)
    noise = np.random.default_rng(1).normal(size=photo.shape)
    noisy = np.clip(np.round(photo + 20 * noise), 0, 255).astype(np.uint8)
    clean = evaluate(sources[1], [sources[1]] * 2, metrics=["AG", "EI", "SF", "SD", "EN"])
    dirty = evaluate(noisy, [sources[1]] * 2, metrics=["AG", "EI", "SF", "SD", "EN"])
    assert all(dirty[name] > clean[name] for name in clean)


def test_float64_is_kept_throughout(fused, sources):
    for double, dtype in ((True, "float64"), (False, "float32")):
        with jax.enable_x64(double):
            for name, metric in METRICS.items():
                for variant in metric.variants:
                    found = jax.eval_shape(lambda f, s, v={name: variant}: score(f, s, v), fused, sources)
                    assert found[name].dtype == dtype, (name, variant)


small = arrays(np.uint8, (3, 24, 26), elements=st.integers(0, 255), fill=st.integers(0, 255))


@settings(max_examples=25, deadline=None)
@given(small)
def test_bounds_on_any_image(images):
    fused, sources = images[0], images[1:]
    found = evaluate(fused, sources, metrics=["EN", "MI", "CC", "SSIM", "Qabf", "Nabf", "Labf"])
    tolerance = 1e-5
    assert -tolerance <= found["EN"] <= 8
    assert -tolerance <= found["MI"] <= 2 * found["EN"] + tolerance
    for name, low in {"CC": -1, "SSIM": -1, "Qabf": 0, "Nabf": 0, "Labf": 0}.items():
        assert np.isnan(found[name]) or low - tolerance <= found[name] <= 1 + tolerance, name


@settings(max_examples=25, deadline=None)
@given(small)
def test_kept_lost_and_invented_edges_sum_to_one(images):
    found = evaluate(images[0], images[1:], metrics=["Qabf", "Labf", "Nabf"], variants={"Qabf": "petrovic"})
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, (24, 26), elements=st.integers(0, 255), fill=st.integers(0, 255)))
def test_information_of_an_image_with_itself_is_its_entropy(image):
    found = evaluate(image, [image, image], metrics=["EN", "MI"])
    assert found["MI"] == pytest.approx(2 * found["EN"], abs=1e-5)


def test_the_later_of_two_sources_counts_where_their_gains_are_equal(sources):
    """Nothing of either arrives in a black image, so that every window of VIFF is such a tie."""
    black, textured, other = np.zeros_like(sources[0]), sources[1], sources[1] // 4

    def viff(*stack):
        return float(metrics.visual_information_fidelity(black, np.stack(stack), variant="han2013"))

    assert viff(textured, other) == pytest.approx(viff(other, other), rel=1e-6)
    assert viff(other, textured) == pytest.approx(viff(textured, textured), rel=1e-6)
    assert viff(other, other) > 1.1 * viff(textured, textured) > 0


def test_squares_that_fit_eight_bits_are_not_saturated(fused, sources):
    dark, pair = fused.astype(np.uint8) // 18, sources[:2].astype(np.uint8) // 18  # 14 levels at most, squares of 196
    plain, saturated = (
        float(metrics.visual_information_fidelity(dark, pair, variant=variant))
        for variant in ("vifp_sum", "vifp_sum_saturated")
    )
    assert saturated == pytest.approx(plain, rel=1e-5) and plain > 0.01


def test_whole_levels_are_stretched_as_by_doubles_and_others_by_their_own_range():
    for high in range(1, 256):
        image = np.minimum(np.arange(256.0), high)[np.newaxis]
        found = stretch(jnp.asarray(image, jnp.float32))
        np.testing.assert_array_equal(found, np.floor(image / high * 255 + 0.5), err_msg=str(high))
    found = stretch(jnp.asarray([[0.0, 10.0, 100.5]], jnp.float32))  # of 100 levels the 10th would be 26
    assert found.tolist() == [[0, 25, 255]]


@pytest.mark.parametrize(("variant", "level", "expected"), [("raw", 90, 0), ("hossny", 0, 0), ("hossny", 90, np.nan)])
def test_a_flat_image_shares_nothing_or_cannot_be_stretched(sources, variant, level, expected):
    flat = np.full_like(sources[0], level)
    found = float(metrics.normalized_mutual_information(flat, sources, variant=variant))
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_only_what_rounding_can_explain_is_made_whole():
    off = np.array([[5e-5, -5e-5, 5e-4, -5e-4]])
    with jax.enable_x64(True):
        found = np.asarray(metrics.levels.levels((100 + off) / 255)) - 100
    np.testing.assert_allclose(found, [[0, 0, 5e-4, -5e-4]], atol=1e-12)
