"""The README's tables of series and speech, from benchmarks/results/series.json and speech.json."""

from layout import load, made_by, table

NAMES = {
    "ours": "**`SeriesDetector`**", "ours_level": '`SeriesDetector(normalise="level")`',
    "ours_series": '`SeriesDetector(normalise="series")`',
    "ours_convolutional": "`SeriesDetector`, convolutions over time", "matrix_profile": "matrix profile (stumpy)",
    "pca": "PCA of windows, shapes", "pca_series": "PCA of windows", "lof": "LOF of windows, shapes",
    "lof_series": "LOF of windows", "forest": "IsolationForest of windows, shapes",
    "forest_series": "IsolationForest of windows", "moving_z": "moving z-score",
}
SETS = {"bleeding": "internal bleeding (UCR 135)", "ecg": "heartbeats (GutenTAG)", "walk": "walk, planted (Daphnet)"}
SPEECH = {"noisy": "as it is", "subtraction": "spectral subtraction", "wiener": "Wiener filter, decision-directed",
          "ours": "**`RestoringAutoencoder`** and `wiener_gain`",
          "ours_magnitudes": "`RestoringAutoencoder`, its magnitudes",
          "ours_griffin_lim": "`RestoringAutoencoder`, its magnitudes, phases by Griffin-Lim"}


def series():
    """ROC-AUC, average precision and hits of every method on every series."""
    content = load("series")
    r, rows = content["results"], []
    for method, by_set in r["methods"].items():
        cells = []
        for name in r["sets"]:
            if name not in by_set:
                cells += ["–"] * 3
                continue
            s = by_set[name]
            spread = f" ± {s['ap_spread']:.3f}" if s["seeds"] > 1 else ""
            cells += [f"{s['auc']:.3f}", f"{s['ap']:.3f}{spread}", f"{s['hits'] * s['seeds']:.0f}/{s['seeds']}"]
        rows.append([NAMES[method], *cells])
    header = ["per moment"]
    for name in r["sets"]:
        header += [f"{SETS[name]}: ROC-AUC", "AP", "top"]
    sizes = "; ".join(f"{SETS[name]}: {s['train']:,} moments fitted, {s['test']:,} scored, {s['anomalies']} "
                      f"anomal{'y' if s['anomalies'] == 1 else 'ies'}, windows of {s['window']}"
                      for name, s in r["sets"].items())
    return table(header, rows) + (f"\n\nTop: runs whose top score lies in an anomaly or near it. {sizes}.\n\n"
                                  + made_by(content))


def speech():
    """Signal-to-noise ratio and log-spectral distance of every method at every noise."""
    content = load("speech")
    methods = content["results"]["methods"]
    kinds = list(methods["noisy"])
    rows = [[SPEECH[m], *(f"{by[k]['snr']:.1f} / {by[k]['lsd']:.1f}" for k in kinds)] for m, by in methods.items()]
    return table(["SNR / log-spectral distance, dB", *(f"{k} dB" for k in kinds)], rows) + "\n\n" + made_by(content)
