"""The README's tables of anomaly detection, from benchmarks/results/detection.json."""

import numpy as np
from layout import load, made_by, table

NAMES = {
    "ours": "**`AnomalyDetector`**", "norm": "squared norm of the z-scores",
    "pca": "PCA reconstruction, half the components", "forest": "IsolationForest", "lof": "LOF",
    "pyod_ae": "PyOD AutoEncoder", "pyod_vae": "PyOD VAE",
    "mean_image": "squared distance from the mean image",
}
PROTOCOLS = {"normal": "half of the normal rows fitted", "all": "all rows fitted, without labels"}


def detection():
    """ROC-AUC and average precision of every method on every table, in both protocols."""
    content = load("detection")
    r, parts = content["results"], []
    sets = sorted(r["sets"])
    short = [name.split("_", 1)[1] for name in sets]
    for protocol, by_method in r["tables"].items():
        for measure, title in (("auc", "ROC-AUC"), ("ap", "average precision")):
            rows = []
            for method, by_set in by_method.items():
                values = [by_set[name][measure] if name in by_set else None for name in sets]
                whole = f"{np.mean(values):.3f}" if None not in values else "–"
                cells = ["–" if v is None else f"{v:.3f}" + (
                    f" ± {by_set[name][f'{measure}_spread']:.3f}" if by_set[name]["seeds"] > 1 else "")
                    for name, v in zip(sets, values, strict=True)]
                rows.append([NAMES[method], f"**{whole}**" if method == "ours" else whole, *cells])
            parts.append(table([f"{title}, {PROTOCOLS[protocol]}", "mean", *short], rows))
    times = [by_method["ours"]["16_http"] for by_method in r["tables"].values() if "16_http" in by_method["ours"]]
    seeds = sorted({(NAMES[m].strip("*"), s["seeds"]) for by_method in r["tables"].values() for m, by_set in
                    by_method.items() for s in by_set.values() if 1 < s["seeds"] < 5})
    note = ("Mean ± standard deviation over 5 seeds; without ± there is nothing random, or one seed"
            + (f"; fewer seeds: {', '.join(f'{n} for {name}' for name, n in seeds)}, in places" if seeds else "")
            + ". LOF and PyOD's networks are fitted to 5,000 rows of tables of more than 20,000.")
    if times:
        note += (f" http has {r['sets']['16_http']['rows']:,} rows: {np.mean([t['fit_seconds'] for t in times]):.1f} s "
                 f"to fit, {np.mean([t['score_seconds'] for t in times]):.1f} s to score.")
    return "\n\n".join([*parts, note + "\n\n" + made_by(content)])


def detection_images():
    """One class of Fashion-MNIST is normal, the others are odd: mean over the classes that were measured."""
    content = load("detection")
    images = content["results"]["images"]
    rows = [[NAMES[name], *(f"{np.mean([image[name][m] for image in images]):.3f}" for m in ("auc", "ap")),
             f"{min(image[name]['auc'] for image in images):.3f}"] for name in (images[0] if images else ())]
    return table([f"Fashion-MNIST, {len(images)} classes in turn normal", "ROC-AUC", "average precision",
                  "ROC-AUC, worst class"], rows) + "\n\n" + made_by(content)
