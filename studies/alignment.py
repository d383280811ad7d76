"""Registration on made pairs of four tasks with a known truth: RMS errors in pixels, by method.

    python -m studies.alignment --pairs 12

Up to 30 pixels, 2 degrees and 2 % of scale between the two of a pair of 480 x 480 pixels. Methods that need another
program or package are left out where that is not installed. ``--fused`` prints MEF-SSIM of fused exposures instead,
``--volumes`` errors in millimetres of made MRI and PET heads on different grids.
"""

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.align.made import made_pairs
from ttd_jax.align.estimate import distance, estimate, load_opencv
from ttd_jax.align.frames import align
from ttd_jax.errors import InputError
from ttd_jax.text import markdown

TASKS = ("exposure", "focus", "infrared", "medical")
Method = Callable[[np.ndarray, np.ndarray], np.ndarray | None]


def ours(reference: np.ndarray, source: np.ndarray) -> np.ndarray | None:
    try:
        return estimate(reference, source).transform
    except InputError:
        return None


def opencv_ecc(reference: np.ndarray, source: np.ndarray) -> np.ndarray | None:
    """OpenCV's own pyramid of ECC on intensities."""
    cv2 = load_opencv()
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, found = cv2.findTransformECCMultiScale(reference, source, start)
    except cv2.error:
        return None
    return np.vstack([found[:2], [0, 0, 1]])


def opencv_features(reference: np.ndarray, source: np.ndarray) -> np.ndarray | None:
    """SIFT, the ratio test, and RANSAC for a similarity."""
    cv2 = load_opencv()
    sift = cv2.SIFT_create(4000, contrastThreshold=0.01)
    points, texts = zip(
        *(sift.detectAndCompute((255 * image).astype(np.uint8), None) for image in (reference, source)), strict=True
    )
    if any(text is None or len(text) < 6 for text in texts):
        return None
    pairs = [m for m, n in cv2.BFMatcher().knnMatch(*texts, k=2) if m.distance < 0.75 * n.distance]
    if len(pairs) < 6:
        return None
    there = [
        np.float32([points[0][m.queryIdx].pt for m in pairs]),
        np.float32([points[1][m.trainIdx].pt for m in pairs]),
    ]
    found, _ = cv2.estimateAffinePartial2D(*there, ransacReprojThreshold=2.0)
    return None if found is None else np.vstack([found, [0, 0, 1]])


def scikit_image(reference: np.ndarray, source: np.ndarray) -> np.ndarray | None:
    """ORB and RANSAC for a similarity."""
    from skimage import feature, measure, transform

    found = []
    for image in (reference, source):
        orb = feature.ORB(n_keypoints=1500)
        try:
            orb.detect_and_extract(image)
        except RuntimeError:
            return None
        if not len(orb.keypoints):
            return None
        found.append(orb)
    matches = feature.match_descriptors(found[0].descriptors, found[1].descriptors, cross_check=True)
    if len(matches) < 6:
        return None
    both = found[0].keypoints[matches[:, 0]][:, ::-1], found[1].keypoints[matches[:, 1]][:, ::-1]
    model, _ = measure.ransac(both, transform.SimilarityTransform, min_samples=3, residual_threshold=2, rng=0)
    return np.asarray(model.params) if model else None


def simple_itk(reference: np.ndarray, source: np.ndarray) -> np.ndarray | None:
    """Mattes' mutual information, similarity, three resolutions."""
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.3, 1)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([8, 4, 2, 1])
    method.SetSmoothingSigmasPerLevel([4, 2, 1, 0.7])
    model = SimpleITK.Similarity2DTransform()
    center = (np.array(reference.shape[::-1]) - 1) / 2
    model.SetCenter(center.tolist())
    method.SetInitialTransform(model, True)
    try:
        method.Execute(*(SimpleITK.GetImageFromArray(image) for image in (reference, source)))
    except RuntimeError:
        return None
    linear = np.array(model.GetMatrix()).reshape(2, 2)
    offset = np.array(model.GetTranslation()) + center - linear @ center
    return np.vstack([np.column_stack([linear, offset]), [0, 0, 1]])


def align_image_stack(reference: np.ndarray, source: np.ndarray) -> np.ndarray | None:
    """The source as Hugin's tool moves it; its camera model is not ours, so the picture is judged."""
    from ttd_jax.io.images import read_image, write_image

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, image in (("a.tif", reference), ("b.tif", source)):
            write_image(place / name, (255 * image).astype(np.uint8))
        command = ["align_image_stack", "-m", "-f", "40", "-a", "out", "a.tif", "b.tif"]
        done = subprocess.run(command, cwd=place, capture_output=True, timeout=120)
        moved = place / "out0001.tif"
        if done.returncode or not moved.exists():
            return None
        pixels = read_image(moved).pixels
    return (pixels[..., 0] if pixels.ndim == 3 else pixels).astype(np.float32) / np.iinfo(pixels.dtype).max


def error_of_picture(moved: np.ndarray | None, registered: np.ndarray) -> float:
    """How far a moved source lies from the registered one, which is the same picture."""
    if moved is None or moved.shape != registered.shape:
        return np.inf
    try:
        return distance(estimate(registered, moved).transform, np.eye(3), registered.shape)
    except InputError:
        return np.inf


METHODS: dict[str, Method] = {
    "as they are": lambda reference, source: np.eye(3),
    "align='auto'": ours,
    "OpenCV, ECC on intensities": opencv_ecc,
    "OpenCV, SIFT": opencv_features,
    "scikit-image, ORB": scikit_image,
    "SimpleITK, mutual information": simple_itk,
    "align_image_stack": align_image_stack,
}


def available(name: str) -> bool:
    if name.startswith("SimpleITK"):
        from importlib.util import find_spec

        return find_spec("SimpleITK") is not None
    return name != "align_image_stack" or shutil.which(name) is not None


def errors(task: str, count: int, only: str | None = None) -> dict[str, tuple[list[float], float]]:
    """For each method, or one, the RMS errors in pixels, infinite where it refuses, and seconds a pair."""
    names = [only] if only else [name for name in METHODS if available(name)]
    found: dict[str, tuple[list[float], float]] = {name: ([], 0.0) for name in names}
    for reference, source, truth, registered in made_pairs(task, count):
        for name, (listed, seconds) in found.items():
            started = time.perf_counter()
            result = METHODS[name](reference, source)
            found[name] = listed, seconds + (time.perf_counter() - started) / count
            if name == "align_image_stack":
                listed.append(error_of_picture(result, registered))
            else:
                listed.append(np.inf if result is None else distance(result, truth, reference.shape))
    return found


def fused_table(count: int) -> list[list[str]]:
    """MEF-SSIM of fused exposures that were registered from the start, aligned, and left as they are."""
    from ttd_jax import Fuser
    from ttd_jax.metrics.exposure import multi_exposure_structural_similarity

    fuser, rows = Fuser(dtype="float32"), []
    for reference, source, _truth, registered in made_pairs("exposure", count):
        try:
            found = align([reference[..., None], source[..., None]], ["a", "b"])
        except InputError:
            continue
        top, left, height, width = found.frame
        inner = np.s_[top : top + height, left : left + width]
        cut = np.s_[(height - 400) // 2 :, (width - 400) // 2 :]
        cases = [[reference[inner], registered[inner]], [image[..., 0] for image in found.images]]
        cases.append([reference[inner], source[inner]])
        cases = [[image[cut][:400, :400] for image in case] for case in cases]  # of one size: one program
        if min(height, width) < 400:
            continue
        rows.append(
            [float(multi_exposure_structural_similarity(fuser(case).image, np.stack(cases[0]))) for case in cases]
        )
    means = np.mean(rows, axis=0)
    head = ["MEF-SSIM against registered sources", "registered", "aligned", "as they are"]
    return [head, [f"mean of {len(rows)}", *(f"{mean:.4f}" for mean in means)]]


def volumes_table(count: int) -> list[list[str]]:
    """Millimetres between the transform found and the truth, over the head, of volumes that chose nothing."""
    from tests.align.made_volumes import error, made_volumes
    from ttd_jax.align.volumes import register_volume

    head = ["MRI and PET, mm", "as they are", "aligned", "turn, degrees", "halves apart, mm", "s"]
    rows = [head]
    for seed in range(10, 10 + count):
        made, started = made_volumes(seed, coarse=1.5), time.process_time()
        before = f"{error(np.eye(4), made):.1f}"
        try:
            found = register_volume(made.mri, made.mri_grid, made.pet, made.pet_grid)
        except InputError as reason:
            rows.append([str(seed), before, str(reason), "", "", f"{time.process_time() - started:.0f}"])
            continue
        after = f"{error(found.transform, made):.2f}"
        seconds = f"{time.process_time() - started:.0f}"
        rows.append([str(seed), before, after, f"{found.turned:.1f}", f"{found.apart:.2f}", seconds])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--method", choices=METHODS, help="this one alone")
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--volumes", action="store_true")
    options = parser.parse_args()
    if options.volumes:
        print("\n".join(markdown(volumes_table(options.pairs))))
        return
    if options.fused:
        print("\n".join(markdown(fused_table(options.pairs))))
        return
    by_task = {task: errors(task, options.pairs, options.method) for task in TASKS}
    rows = [["median RMS (share below 0.3; refused)", *TASKS, "s a pair"]]
    for name in by_task[TASKS[0]]:
        cells = []
        for task in TASKS:
            found = np.array(by_task[task][name][0])
            done = found[np.isfinite(found)]
            median = f"{np.median(done):.2f}" if len(done) else "none"
            cells.append(f"{median} ({np.mean(found < 0.3):.0%}; {np.mean(~np.isfinite(found)):.0%})")
        rows.append([name, *cells, f"{np.mean([by_task[task][name][1] for task in TASKS]):.1f}"])
    print("\n".join(markdown(rows)))


if __name__ == "__main__":
    main()
