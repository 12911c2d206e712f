"""The README's tables of inspection and of denoised scans, from inspection.json and inspection_noise.json."""

import numpy as np
from layout import load, made_by, table

NAMES = {
    "ours": "**`TextureInspector`**", "gabor_whole": "Gabor filters, Mahalanobis distance",
    "gabor": "Gabor filters, z-scores", "deviation": "local standard deviation, z-score",
    "median": "difference from the median filter", "median_both": "the same, two-sided",
    "pca": "PCA of patches, error", "pca_both": "the same, two-sided",
    "forest": "IsolationForest on patches", "forest_both": "the same, two-sided",
}
FILTERS = {
    "noisy": "the noisy image", "gaussian": "Gaussian", "median": "median", "wavelet": "wavelet, BayesShrink",
    "tv": "total variation", "nlm": "non-local means", "bm3d": "BM3D",
    "ours": "**`PatchDenoiser`**, from the clean half", "ours_noisy": "**`PatchDenoiser`**, from the noisy image alone",
}
SCANS = {"cell": "cell", "immunohistochemistry": "ihc", "retina": "retina"}


def inspection():
    """ROC-AUC and average precision per pixel, by kind of defect and by texture."""
    content = load("inspection")
    r, parts = content["results"]["defects"], []
    textures = list(r["ours"])
    kinds = list(r["ours"][textures[0]])
    for measure, title in (("auc", "ROC-AUC of pixels"), ("ap", "average precision of pixels")):
        rows = []
        for method, by_texture in r.items():
            values = np.array([[by_texture[t][k][measure] for k in kinds] for t in textures])
            whole = f"{values.mean():.3f}"
            rows.append([NAMES[method], f"**{whole}**" if method == "ours" else whole,
                         *(f"{v:.3f}" for v in values.mean(axis=0)), *(f"{v:.3f}" for v in values.mean(axis=1))])
        parts.append(table([title, "mean", *kinds, *textures], rows))
    alarms = content["results"]["false_alarms"]
    note = ("The threshold that 1 in 1,000 windows of the fitted half pass is passed in "
            + ", ".join(f"{a['windows']:.1%} ({name})" for name, a in alarms.items())
            + " of those of the clean other half.")
    return "\n\n".join([*parts, note, made_by(content)])


def inspection_noise():
    """PSNR and SSIM of denoised crops of three scans."""
    content = load("inspection_noise")
    r = content["results"]["denoising"]
    cases = [(name, level) for name, by_level in r.items() for level in by_level]
    rows = [[FILTERS[method], *(f"{r[n][s][method]['psnr']:.2f} / {r[n][s][method]['ssim']:.3f}" for n, s in cases)]
            for method in FILTERS if all(method in r[n][s] for n, s in cases)]
    fit = np.mean([r[n][s][m]["fit_seconds"] for n, s in cases for m in ("ours", "ours_noisy")])
    bm3d = [r[n][s]["bm3d"]["seconds"] for n, s in cases if "bm3d" in r[n][s]]
    note = (f"PSNR in dB / SSIM. `PatchDenoiser` with {content['results']['updates']} updates, {fit:.0f} s to fit"
            + (f"; BM3D takes {np.mean(bm3d):.0f} s an image" if bm3d else "") + ".")
    return "\n\n".join([table(["", *(f"{SCANS[n]}, noise {s}" for n, s in cases)], rows), note, made_by(content)])


if __name__ == "__main__":
    print(inspection(), inspection_noise(), sep="\n\n")
