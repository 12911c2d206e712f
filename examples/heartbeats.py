"""Finding the odd beats of an electrocardiogram.

    python examples/heartbeats.py [--quick]

PyWavelets' ECG is too short to learn from, so beats are made up: each is the sum of five bumps (P, Q, R, S and T, as in
McSharry et al., "A dynamical model for generating synthetic electrocardiogram signals", IEEE Transactions on Biomedical
Engineering 50, 2003), at a heart rate that varies. The detector sees a minute of normal beats, and then looks for three
odd ones: one that comes too early and wide, one without its P wave, and one whose T wave is upside down.
"""

import sys
from pathlib import Path

import numpy as np

from miniae import SeriesDetector
from miniae.report import average_precision, roc_auc, series_scores

RATE = 125  # samples a second
WAVES = np.array([[-0.20, 0.12, 0.025], [-0.03, -0.12, 0.010], [0.0, 1.0, 0.011], [0.03, -0.20, 0.010],
                  [0.25, 0.30, 0.045]])  # when, in seconds from the R wave, how high, in mV, and how wide, in seconds


def ecg(seconds, rng, odd_beats=()):
    """(signal in mV, which moments are odd): a series with these beats changed."""
    time = np.arange(int(seconds * RATE)) / RATE
    x, odd = 0.02 * rng.normal(size=len(time)) + 0.1 * np.sin(2 * np.pi * 0.25 * time), np.zeros(len(time), bool)
    at, beat = 0.4, 0
    while at < seconds:
        waves = WAVES.copy()
        kind = odd_beats[beat] if beat in odd_beats else None
        if kind == "early":
            at -= 0.2
            waves[2] = [0.02, 1.2, 0.05]
        elif kind == "no P":
            waves[0, 1] = 0.0
        elif kind == "T":
            waves[4, 1] *= -1
        for when, height, width in waves:
            x += height * np.exp(-np.square((time - at - when) / width) / 2)
        if kind:
            odd |= np.abs(time - at - {"early": 0.0, "no P": -0.2, "T": 0.25}[kind]) < 0.1
        at, beat = at + 0.8 + 0.03 * rng.normal(), beat + 1
    return x, odd


rng = np.random.default_rng(0)
normal, _ = ecg(60, rng)
kinds = {8: "early", 17: "no P", 27: "T"}
new, odd = ecg(30, rng, kinds)
detector = SeriesDetector(updates=150 if "--quick" in sys.argv else 600).fit(normal)
scores = detector.anomaly_score(new)
segments = detector.segments_of(scores)
print(f"windows of {detector.window_} moments, {detector.window_ / RATE:.2f} s")
for segment in segments:
    print(f"odd from {segment.start / RATE:.2f} s to {segment.end / RATE:.2f} s, most at {segment.peak / RATE:.2f} s: "
          f"score {segment.score:.1f}")
reported = np.zeros(len(new), bool)
for segment in segments:
    reported[segment.start:segment.end] = True
starts = np.flatnonzero(np.diff(odd.astype(int)) == 1)
hits = sum(reported[start:start + RATE // 5].any() for start in starts)
print(f"{hits} of {len(starts)} odd beats found; ROC-AUC {roc_auc(odd, scores):.3f}, average precision "
      f"{average_precision(odd, scores):.3f} per moment")

folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
series_scores(folder / "heartbeats.png", new, scores, detector.threshold_, found=segments, odd=odd,
              time=np.arange(len(new)) / RATE, names=["mV"], title="three odd beats; time in seconds")
print(f"drawn to {folder}/heartbeats.png")
