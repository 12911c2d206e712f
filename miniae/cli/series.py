"""Find the odd moments of a series: by a detector fitted before, or with --fit by one that is fitted to it.

    miniae series detector.safetensors normal.csv --fit
    miniae series detector.safetensors new.csv -o scores.csv --picture scores.png

A series is a table (.csv, .tsv) with a row for each moment and a column for each channel, an array (T,) or
(T, channels) (.npy, .npz), or a sound (.wav). Scores are near 1 for what is as usual and larger for odder moments; what
is above the detector's threshold is an anomaly. Labels (--label) are used to judge the scores and for nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from miniae.cli import model_and_data
from miniae.data import DataError, Samples, about_columns, read, read_wav, write, write_table
from miniae.data.files import read_timed
from miniae.data.numpy_file import load_numpy
from miniae.report.ranking import average_precision, roc_auc
from miniae.report.series_pictures import series_scores
from miniae.tasks.series import NORMALISATIONS, Segment, SeriesDetector

_ODD = "1"
_FITTING = ("window", "normalise", "contamination", "held_out", "updates", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a detector's .safetensors file; with --fit, the one to write")
    parser.add_argument("data", metavar="DATA", help="a .csv, .tsv, .npy, .npz or .wav file")
    model_and_data.add_columns(parser, "says which moments are odd")
    parser.add_argument("--odd", metavar="LABEL", help=f"the label of odd moments (default: {_ODD})")
    parser.add_argument("--time", metavar="COLUMN", help="the column of a table that holds the time, and is no channel")
    model_and_data.add_backend(parser)
    parser.add_argument("--fit", action="store_true", help="fit a detector to the series and write it to MODEL")
    parser.add_argument("--window", type=int, metavar="N",
                        help="with --fit: the length of windows, in moments (default: a period of the series)")
    parser.add_argument("--normalise", choices=NORMALISATIONS,
                        help="with --fit: what can't be odd about a window: its mean and deviation (window), its mean "
                             "(level), or neither (series) (default: window)")
    parser.add_argument("--contamination", type=float, metavar="SHARE",
                        help="with --fit: the share of the moments that are taken to be anomalies (default: 0)")
    parser.add_argument("--held-out", type=float, metavar="SHARE",
                        help="with --fit: the last part of the series, which sets the threshold (default: 0.2)")
    parser.add_argument("--updates", type=int, metavar="N",
                        help="with --fit: optimizer steps for each member, at most (default: 600)")
    parser.add_argument("--seed", type=int, metavar="N",
                        help="with --fit: decides initial weights, noise and the choice of windows (default: 0)")
    parser.add_argument("-o", "--out", metavar="FILE",
                        help="where to write time, score and anomaly (0 or 1) of each moment (.csv, .npy or .npz)")
    parser.add_argument("--picture", metavar="FILE", help="where to draw the series and its scores (.png)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    model_and_data.check_table(args.out, args.data)
    settings = {name: getattr(args, name) for name in _FITTING if getattr(args, name) is not None}
    if settings and not args.fit:
        raise DataError(f"--{next(iter(settings)).replace('_', '-')} is for fitting: add --fit, or leave it out")
    if args.fit:
        model_and_data.check_new_model(args.model, "detector")
        samples, time = _read(args)
        odd = _odd(args, samples)
        model_and_data.say_note(samples)
        detector = SeriesDetector(backend=args.backend, **settings).fit(samples.X)
        detector.save(args.model, extra={"data": args.data, **about_columns(samples)})
        print(f"written to {args.model}: fitted to {len(samples.X):,} moments of {samples.X.shape[1]} "
              f"channel{'s' * (samples.X.shape[1] > 1)}, windows of {detector.window_}")
    else:
        detector = SeriesDetector.load(args.model, args.backend)
        samples, time = _read(args, detector.extra_.get("dropped", ()))
        odd = _odd(args, samples)
        samples = model_and_data.in_order(samples, detector.extra_.get("feature_names"), args.data)
    scores = detector.anomaly_score(samples.X)
    segments = detector.segments_of(scores)
    _report(scores, segments, time, detector.threshold_, odd)
    if args.out:
        _write(args.out, time, scores, scores > detector.threshold_)
        print(f"written to {args.out}: {len(scores)} rows")
    if args.picture:
        series_scores(args.picture, samples.X, scores, detector.threshold_, found=segments, odd=odd,
                      time=None if time.dtype.kind == "U" else time, names=samples.feature_names)
        print(f"drawn to {args.picture}")
    return 0


def _report(scores: np.ndarray, segments: list[Segment], time: np.ndarray, threshold: float,
            odd: np.ndarray | None) -> None:
    print(f"{len(segments)} anomal{'y' if len(segments) == 1 else 'ies'} in {len(scores):,} moments: scores above "
          f"{threshold:.4g}")
    for segment in sorted(segments, key=lambda s: -s.score)[:10]:
        start, end, peak = (str(t) if time.dtype.kind == "U" else f"{t:.10g}"
                            for t in time[[segment.start, segment.end - 1, segment.peak]])
        print(f"from {start} to {end}, most at {peak}: score {segment.score:.4g}")
    if odd is not None and odd.any() and not odd.all():
        print(f"by the labels: ROC-AUC {roc_auc(odd, scores):.4f}, average precision "
              f"{average_precision(odd, scores):.4f} per moment; the oddest moment is "
              f"{'one of the odd ones' if odd[np.argmax(scores)] else 'not one of the odd ones'}")


def _write(path: str, time: np.ndarray, scores: np.ndarray, odd: np.ndarray) -> None:
    """A row for each moment. Dates are written to tables as they were read; arrays have the moments' numbers."""
    names, dates = ["time", "score", "anomaly"], time.dtype.kind == "U"
    if dates and path.lower().endswith(".csv"):
        write_table(path, names, ([t, f"{score:.9g}", int(o)] for t, score, o in zip(time, scores, odd, strict=True)))
    else:
        write(path, np.stack([np.arange(len(time)) if dates else time, scores, odd], axis=1), names)


def _read(args: argparse.Namespace, unneeded: Sequence[str] = ()) -> tuple[Samples, np.ndarray]:
    """A row for each moment, and their times: numbers, or dates as text; without --time the numbers of moments."""
    ending = Path(args.data).suffix.lower()
    if (args.label or args.time or args.drop) and ending not in (".csv", ".tsv"):
        raise DataError(f"{args.data} has no named columns, only tables (.csv, .tsv) do: leave --label, --time and "
                        "--drop out")
    if args.odd is not None and not args.label:
        raise DataError("--odd says what odd moments are labelled: name their column with --label, or leave it out")
    samples, time = _of_wav(args.data) if ending == ".wav" else _flat(args.data), None
    if samples is None and args.time:
        samples, time = read_timed(args.data, time=args.time, unneeded=unneeded, **model_and_data.columns(args))
        time = _numbers(time, args)
    elif samples is None:
        samples = read(args.data, unneeded=unneeded, **model_and_data.columns(args))
    if samples.image_shape is not None:
        raise DataError(f"{args.data} holds images, expected a series (T,) or (T, channels): give one of one or two "
                        "axes")
    return samples, np.arange(len(samples.X), dtype=np.float64) if time is None else time


def _numbers(time: np.ndarray, args: argparse.Namespace) -> np.ndarray:
    """Times as numbers, or as they are where they are dates."""
    try:
        time = time.astype(np.float64)
    except ValueError:
        return time.astype(str)
    if not np.isfinite(time).all():
        raise DataError(f"{args.data} has times that are not finite in its column {args.time!r}: leave --time out")
    return time


def _odd(args: argparse.Namespace, samples: Samples) -> np.ndarray | None:
    """Which moments are labelled as odd; None where there are no labels."""
    if samples.labels is None:
        return None
    name = _ODD if args.odd is None else args.odd
    odd = model_and_data.are_label(samples.labels, name)
    if odd.any():
        return odd
    model_and_data.none_is_odd(args, samples.labels, name, "moment")
    return None


def _of_wav(path: str) -> Samples:
    x, _ = read_wav(path)
    return Samples(x.reshape(len(x), -1))


def _flat(path: str) -> Samples | None:
    """The series of a .npy file of one axis; None for all else, which `read` is for."""
    if not path.lower().endswith(".npy"):
        return None
    try:
        array, *_ = load_numpy(Path(path), lambda names: names[:1])
    except (OSError, ValueError):  # `read` says what is wrong
        return None
    return Samples(array[:, None]) if array.ndim == 1 and array.dtype.kind in "fiub" and len(array) else None
