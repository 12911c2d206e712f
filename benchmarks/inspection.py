"""Defects in textures and noise in scans, on images that scikit-image ships, against what people use.

    python benchmarks/inspection.py           writes inspection.json, inspection_noise.json and two pictures to
                                              benchmarks/results
    python benchmarks/inspection.py --part defects   (or noise) measures that alone
    python benchmarks/inspection.py --quick   one texture, one scan, few updates; writes no result file
    python benchmarks/inspection.py --design  what settings were chosen on: the training halves alone; writes nothing

Defects: brick, grass and gravel. The left half of each is clean and fitted; into the right half, cut into two images of
256 by 256, defects are put whose places, sizes and strengths a seeded generator draws: scratches, stains, blurred
spots, spots where the structure is missing, and spots of another texture, blended in at half its contrast. Per pixel,
ROC-AUC and average precision over the two images of each texture and kind. Everybody's map is smoothed alike; methods
are fitted to the clean half alone, and nobody is told what defects look like. Mean over three seeds for those methods
that have any randomness.

Noise: a light micrograph (cell), an immunohistochemical stain (ihc, colour) and a retina (colour); normal noise of two
deviations is put into a crop of 192 by 192 of the right half. `PatchDenoiser` learns from the left half, clean, or
from the noisy right half alone. The others are told the noise's deviation, and are filters that learn nothing; total
variation's weight is the best of three on the left half. Mean over three draws of the noise for the methods that take a
second, one for ours (which is fitted anew), and for BM3D (where it is installed).

Defects take two minutes of one core, noise some five.
"""

import argparse
import time

import numpy as np
from results import FOLDER, write
from scipy.ndimage import gaussian_filter, median_filter
from scipy.signal import fftconvolve
from skimage import data as samples
from skimage.filters import gabor_kernel
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet
from sklearn.ensemble import IsolationForest

from miniae.data import Windows
from miniae.models import PCA
from miniae.report import heat_maps, psnr, ssim
from miniae.report.canvas import drawing, place
from miniae.report.canvas import write as write_text
from miniae.report.ranking import average_precision, roc_auc
from miniae.tasks import PatchDenoiser, TextureInspector
from miniae.tasks.patches import patches_of, through_windows

TEXTURES = ("brick", "grass", "gravel")
KINDS = ("scratch", "stain", "blur", "missing", "foreign")
RADIUS, SIZE = 2.5, 12
UPDATES = 800  # of PatchDenoiser, which takes 2,000 by itself: so that all is done in minutes


# ------------------------------------------------------------------ defects

def spot(rng, shape, low=10, high=22):
    """A round, uneven spot: its place, and its mask with soft rims, from 0 to 1."""
    rows, columns = np.indices(shape)
    radius = rng.uniform(low, high)
    r, c = (rng.uniform(radius + 8, n - radius - 8) for n in shape)
    angle = np.arctan2(rows - r, columns - c)
    wobble = sum(rng.uniform(-0.12, 0.12) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    distance = np.hypot(rows - r, columns - c) / (radius * (1 + wobble))
    return np.clip((1.1 - distance) / 0.2, 0, 1)


def scratch(rng, shape):
    """A thin line, slightly bent."""
    length, width = rng.uniform(40, 110), rng.uniform(0.8, 1.6)
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.004, 0.004)
    at = np.linspace(-length / 2, length / 2, 400)
    x, y = at * np.cos(angle) - bend * at ** 2 * np.sin(angle), at * np.sin(angle) + bend * at ** 2 * np.cos(angle)
    r, c = (rng.uniform(60, n - 60) for n in shape)
    rows, columns = np.indices(shape)
    nearest = np.full(shape, np.inf)
    for dy, dx in zip(y, x, strict=True):
        nearest = np.minimum(nearest, np.hypot(rows - r - dy, columns - c - dx))
    return np.clip(width + 0.5 - nearest, 0, 1)


def with_defect(image, kind, other, rng):
    """The image with a defect, and the pixels it has."""
    mask = scratch(rng, image.shape) if kind == "scratch" else spot(rng, image.shape)
    sign = rng.choice([-1, 1])
    if kind == "scratch":
        changed = image + sign * rng.uniform(0.1, 0.2)
    elif kind == "stain":
        changed = image + sign * rng.uniform(0.06, 0.12)
    elif kind == "blur":
        changed = gaussian_filter(image, rng.uniform(1.5, 2.5), mode="reflect")
    elif kind == "missing":
        changed = gaussian_filter(image, 12, mode="reflect") + 0.01 * rng.standard_normal(image.shape)
    else:
        foreign = (other - other.mean()) / other.std() * image.std()
        changed = 0.5 * image + 0.5 * (image.mean() + foreign)
    return np.clip(image + mask * (changed - image), 0, 1).astype(np.float32), mask > 0.5


def texture_parts(design):
    """For each texture what is fitted, and the images that defects are put into."""
    parts = {}
    for name in TEXTURES:
        image = (getattr(samples, name)() / 255).astype(np.float32)
        if design:
            parts[name] = image[:256, :256], [image[256:, :256]]
        else:
            parts[name] = image[:, :256], [image[:256, 256:], image[256:, 256:]]
    return parts


# ------------------------------------------------------------------ maps of defects

def ours(clean, seed, **settings):
    return TextureInspector(seed=seed, **settings).fit(clean).heat_map


def local_deviation(clean, seed):
    def deviation(x):
        x = x.astype(np.float64)
        mean = gaussian_filter(x, RADIUS)
        return np.sqrt(np.maximum(gaussian_filter(x * x, RADIUS) - mean ** 2, 0))

    usual = deviation(clean)
    return lambda x: np.abs(deviation(x) - usual.mean()) / usual.std()


def gabor(clean, seed, whole=False):
    """The local energies of 16 Gabor filters, by how far each is from usual or, for `whole`, how far all are."""
    kernels = [gabor_kernel(f, theta=k * np.pi / 4) for f in (0.07, 0.12, 0.2, 0.35) for k in range(4)]

    def features(x):
        out = []
        for kernel in kernels:
            reach = [n // 2 for n in kernel.shape]
            padded = np.pad(x - clean.mean(), [(n, n) for n in reach], mode="symmetric")
            out.append(gaussian_filter(np.abs(fftconvolve(padded, kernel, mode="valid")), RADIUS))
        return np.stack(out)

    usual = features(clean).reshape(len(kernels), -1)
    mean, covariance = usual.mean(axis=1), np.cov(usual)
    inverse = np.linalg.inv(covariance) if whole else np.diag(1 / np.diag(covariance))

    def score(x):
        centred = features(x).reshape(len(kernels), -1) - mean[:, None]
        return (centred * (inverse @ centred)).sum(axis=0).reshape(x.shape)
    return score


def gabor_whole(clean, seed):
    return gabor(clean, seed, whole=True)


def median(clean, seed):
    return lambda x: np.abs(x - median_filter(x, 5))


def pca(clean, seed):
    rows = patches_of([clean[None]], SIZE, 1 << 15, seed).reshape(-1, SIZE * SIZE)
    model = PCA(32).fit(rows)

    def score(x):
        def answer(patches):
            flat = patches.reshape(len(patches), -1)
            return model.inverse_transform(model.transform(flat)).reshape(patches.shape)
        return np.square(x - through_windows(x[None], SIZE, 4, answer)[0])
    return score


def forest(clean, seed):
    rows = patches_of([clean[None]], SIZE, 1 << 12, seed).reshape(-1, SIZE * SIZE)
    model = IsolationForest(random_state=seed).fit(rows)

    def score(x):
        windows = Windows(x.shape, SIZE, 4)
        values = -model.score_samples(windows.cut(x).reshape(len(windows), -1))
        return windows.overlay(np.broadcast_to(values[:, None, None], (len(values), SIZE, SIZE)))
    return score


def two_sided(fit):
    """How far the local mean of another map is from usual, up or down, in deviations over the clean half."""
    def fitted(clean, seed):
        score = fit(clean, seed)
        usual = gaussian_filter(score(clean), RADIUS)
        mean, deviation = usual.mean(), usual.std()
        return lambda x: np.abs(gaussian_filter(score(x), RADIUS) - mean) / deviation
    return fitted


METHODS = {"ours": (ours, True), "gabor_whole": (gabor_whole, False), "gabor": (gabor, False),
           "deviation": (local_deviation, False), "median": (median, False),
           "median_both": (two_sided(median), False), "pca": (pca, True), "pca_both": (two_sided(pca), True),
           "forest": (forest, True), "forest_both": (two_sided(forest), True)}


def defects(methods, seeds, textures=TEXTURES, design=False):
    parts = texture_parts(design)
    results, shown = {}, []
    for name in textures:
        clean, images = parts[name]
        another = parts[TEXTURES[(TEXTURES.index(name) + 1) % 3]][1]
        cases = {}
        for kind in KINDS:
            rng = np.random.default_rng([TEXTURES.index(name), KINDS.index(kind), 99 if design else 7])
            cases[kind] = [with_defect(image, kind, another[i % len(another)], rng)
                           for i, image in enumerate(images)]
        for method, (fit, random) in methods.items():
            began = time.process_time()
            runs, times = {kind: [] for kind in KINDS}, []
            for seed in range(seeds if random else 1):
                score = fit(clean, seed)
                times.append(time.process_time() - began)
                for kind, images_of in cases.items():
                    maps = [score(x) if method == "ours" else gaussian_filter(score(x), RADIUS) for x, _ in images_of]
                    odd = np.concatenate([m.ravel() for _, m in images_of])
                    flat = np.concatenate([m.ravel() for m in maps])
                    runs[kind].append((roc_auc(odd, flat), average_precision(odd, flat)))
                    if method == "ours" and seed == 0:
                        shown.append((f"{name}: {kind}", *images_of[0], maps[0]))
            results.setdefault(method, {})[name] = {
                kind: {"auc": float(np.mean([a for a, _ in r])), "ap": float(np.mean([p for _, p in r])),
                       "auc_spread": float(np.std([a for a, _ in r])), "ap_spread": float(np.std([p for _, p in r]))}
                for kind, r in runs.items()}
            print(f"{name:7s} {method:12s} {time.process_time() - began:5.1f} s (fit {times[0]:.1f} s)  "
                  + ", ".join(f"{kind} {r['auc']:.3f} {r['ap']:.3f}" for kind, r in results[method][name].items()),
                  flush=True)
    for method, by_texture in results.items():
        values = [r for by_kind in by_texture.values() for r in by_kind.values()]
        print(f"{method:12s} mean AUC {np.mean([r['auc'] for r in values]):.4f}, "
              f"AP {np.mean([r['ap'] for r in values]):.4f}")
    return results, shown


def false_alarms():
    """How often an inspector raises an alarm on clean images: the right halves, cut into windows."""
    rates = {}
    for name, (clean, images) in texture_parts(False).items():
        inspector = TextureInspector().fit(clean)
        heats = [inspector.heat_map(x) for x in images]
        most = np.concatenate([Windows(h.shape, SIZE, SIZE).cut(h).max(axis=(1, 2)) for h in heats])
        rates[name] = {"windows": float((most > inspector.threshold_).mean()),
                       "mean_heat": float(np.mean(heats)), "threshold": inspector.threshold_}
    return rates


# ------------------------------------------------------------------ noise

def scan(name):
    """An image's left half, its right half and a part of that, (channels, height, width) or (height, width)."""
    image = (getattr(samples, name)() / 255).astype(np.float32)
    if image.ndim == 3:
        image = image[..., :3].transpose(2, 0, 1)
    if name == "retina":
        image = image[:, 400:912, 450:962]
    height, width = image.shape[-2:]
    top, left = height // 2 - 96, width // 2 + 20
    part = np.s_[..., top:top + 192, left:left + 192]
    return image[..., :width // 2], image, part


def last(x):
    return x.transpose(1, 2, 0) if x.ndim == 3 else x


def first(x):
    return x.transpose(2, 0, 1) if x.ndim == 3 else x


def nlm(noisy, sigma, clean):
    axis = -1 if noisy.ndim == 3 else None
    return first(denoise_nl_means(last(noisy), h=0.8 * sigma, sigma=sigma, patch_size=5, patch_distance=6,
                                  fast_mode=True, channel_axis=axis))


def wavelet(noisy, sigma, clean):
    axis = -1 if noisy.ndim == 3 else None
    return first(denoise_wavelet(last(noisy), sigma=sigma, method="BayesShrink", mode="soft", rescale_sigma=True,
                                 channel_axis=axis, convert2ycbcr=axis is not None))


def planewise(filtered):
    return lambda noisy, sigma, clean: (np.stack([filtered(x, sigma) for x in noisy]) if noisy.ndim == 3
                                        else filtered(noisy, sigma))


def best(filtered, choices):
    """A filter with that strength which is best on the clean half with noise of its own."""
    def by_choice(noisy, sigma, clean):
        part = clean[..., :192, :192]
        disturbed = part + sigma * np.random.default_rng(99).standard_normal(part.shape)
        chosen = max(choices, key=lambda c: psnr(part[None], filtered(disturbed, c * sigma)[None]))
        return filtered(noisy, chosen * sigma)
    return by_choice


def total_variation(x, weight):
    return first(denoise_tv_chambolle(last(x), weight=weight, channel_axis=-1 if x.ndim == 3 else None))


def smooth(x, strength):
    return gaussian_filter(x, [0] * (x.ndim - 2) + [10 * strength] * 2)


def bm3d_filter(noisy, sigma, clean):
    import bm3d

    if noisy.ndim == 3:
        return first(bm3d.bm3d_rgb(last(noisy).astype(np.float64), sigma))
    return bm3d.bm3d(noisy.astype(np.float64), sigma)


FILTERS = {"gaussian": best(smooth, (0.5, 1.0, 2.0)), "median": planewise(lambda x, s: median_filter(x, 3)),
           "nlm": nlm, "wavelet": wavelet, "tv": best(total_variation, (0.6, 1.0, 1.5)), "bm3d": bm3d_filter}


def denoising(names, levels, updates, filters, draws=3):
    results, shown = {}, []
    for name in names:
        clean, image, part = scan(name)
        truth = image[part]
        for sigma in levels:
            noisy = [image + sigma * np.random.default_rng([i, 5]).standard_normal(image.shape).astype(np.float32)
                     for i in range(draws)]
            entry = results.setdefault(name, {}).setdefault(f"{sigma:g}", {})

            def note(method, answers, seconds, entry=entry, truth=truth, name=name, sigma=sigma):
                entry[method] = {"psnr": float(np.mean([psnr(truth[None], a[None]) for a in answers])),
                                 "ssim": float(np.mean([ssim(truth[None], a[None]) for a in answers])),
                                 "draws": len(answers), "seconds": seconds}
                print(f"{name} {sigma:g} {method:9s} {entry[method]['psnr']:.2f} dB, SSIM {entry[method]['ssim']:.3f}, "
                      f"{seconds:.1f} s", flush=True)
                return np.clip(answers[0], 0, 1)

            row = {"clean": truth, "noisy": note("noisy", [x[part] for x in noisy], 0.0)}
            for method, apply in filters.items():
                began = time.process_time()
                some = noisy[:1] if method == "bm3d" else noisy
                answers = [np.clip(apply(x[part], sigma, clean), 0, 1).astype(np.float32) for x in some]
                row[method] = note(method, answers, (time.process_time() - began) / len(some))
            half = noisy[0][..., image.shape[-1] // 2:]
            for method, fit, learned in (("ours", "fit", clean), ("ours_noisy", "fit_noisy", half)):
                began = time.process_time()
                denoiser = getattr(PatchDenoiser(sigma, updates=updates), fit)(learned)
                middle = time.process_time()
                row[method] = note(method, [denoiser.denoise(noisy[0][part])], time.process_time() - middle)
                entry[method]["fit_seconds"] = middle - began
            shown.append((name, sigma, row, entry))
    return results, shown


TITLES = {"clean": "clean", "noisy": "noisy", "bm3d": "BM3D", "nlm": "non-local means",
          "ours": "ours, clean half", "ours_noisy": "ours, noisy alone"}


def picture_of_denoising(path, shown):
    """A crop of each scan at the stronger noise, by every one of a few methods."""
    rows = [s for s in shown if s[1] == max(x[1] for x in shown)]
    columns = [key for key in TITLES if key in rows[0][2]]
    side, gap, top = 192, 12, 40
    with drawing(path, len(columns) * (side + gap) + gap, top + len(rows) * (side + 42)) as figure:
        for i, (name, sigma, row, entry) in enumerate(rows):
            for j, key in enumerate(columns):
                x, y = gap + j * (side + gap), top + i * (side + 42)
                image = np.clip(row[key], 0, 1)
                axes = place(figure, x, y, side, side)
                axes.imshow(image.transpose(1, 2, 0) if image.ndim == 3 else image, cmap="gray", vmin=0, vmax=1,
                            interpolation="nearest", aspect="auto")
                what = f"{entry[key]['psnr']:.1f} dB" if key in entry else f"{name[:6]}, noise {sigma:g}"
                write_text(figure, x, y + side + 4, what, va="top", fontsize=7)
                if i == 0:
                    write_text(figure, x, top - 8, TITLES[key], va="bottom", fontsize=7, weight="bold")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=("both", "defects", "noise"), default="both")
    parser.add_argument("--design", action="store_true")
    args = parser.parse_args()
    if args.design:
        defects(METHODS, 1, design=True)
        return
    filters = dict(FILTERS)
    try:
        import bm3d as _  # noqa: F401
    except ImportError as why:
        print(f"BM3D is left out: {why}")
        filters.pop("bm3d")
    if args.quick:
        filters.pop("bm3d", None)
        defects(METHODS, 1, TEXTURES[:1])
        denoising(["cell"], [0.1], 200, filters, 1)
        return
    if args.part != "noise":
        began = time.process_time()
        found, maps = defects(METHODS, 3)
        chosen = [m for m in maps if m[0] in ("brick: missing", "grass: stain", "gravel: blur")]
        heat_maps(FOLDER / "inspection.png", [m[1] for m in chosen], [m[3] for m in chosen],
                  masks=[m[2] for m in chosen], titles=[m[0] for m in chosen], outline="the defect that was put in")
        write("inspection", {"defects": found, "false_alarms": false_alarms(),
                             "minutes": (time.process_time() - began) / 60})
    if args.part != "defects":
        began = time.process_time()
        scans, crops = denoising(["cell", "immunohistochemistry", "retina"], [0.05, 0.1], UPDATES, filters)
        picture_of_denoising(FOLDER / "inspection_denoised.png", crops)
        write("inspection_noise", {"denoising": scans, "updates": UPDATES,
                                   "minutes": (time.process_time() - began) / 60})


if __name__ == "__main__":
    main()
