"""Find the rows of data that are odd: by a detector fitted before, or with --fit by one that is fitted to them.

    miniae detect detector.safetensors normal.csv --fit
    miniae detect detector.safetensors new.csv -o scores.csv --explain

Scores are larger for odder rows, near 1 for those like the learned ones; what is above the detector's threshold is an
anomaly. Where there are labels (--label, or those of the data), they are used to judge the scores and for nothing else:
odd rows are the ones labelled 1, or as --odd says.
"""

from __future__ import annotations

import argparse

import numpy as np

from miniae.cli import model_and_data
from miniae.data import DataError, Samples, about_columns, find, write
from miniae.report.ranking import average_precision, ranking_curves, roc_auc
from miniae.tasks import AnomalyDetector

_ODD, _COLUMNS = "1", ("score", "anomaly")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a detector's .safetensors file; with --fit, the one to write")
    parser.add_argument("data", metavar="DATA",
                        help="a name (digits, mnist, fashion-mnist), or the path of a file or folder; of data with a "
                             "training and a test part, --fit takes the first and scores the second")
    model_and_data.add_columns(parser)
    parser.add_argument("--odd", metavar="LABEL", help=f"the label of odd rows (default: {_ODD})")
    model_and_data.add_backend(parser)
    parser.add_argument("--fit", action="store_true", help="fit a detector to the data and write it to MODEL")
    parser.add_argument("--contamination", type=float, default=None, metavar="SHARE",
                        help="with --fit: the share of the rows that are taken to be anomalies, 0 for clean data "
                             "(default: 0.1)")
    parser.add_argument("--seed", type=int, default=None, metavar="N",
                        help="with --fit: decides initial weights, noise and the choice of rows (default: 0)")
    parser.add_argument("-o", "--out", metavar="FILE", help="where to write the scores (.csv, .npy or .npz)")
    parser.add_argument("--explain", action="store_true",
                        help="write what each feature adds to the score, too, and say it of the oddest rows")
    parser.add_argument("--picture", metavar="FILE", help="where to draw ROC and precision-recall curves (.png)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    model_and_data.check_table(args.out, args.data)
    if args.fit:
        found = find(args.data, **model_and_data.columns(args))
        odd = _odd(args, model_and_data.part_of(found, "test"))
        detector = _fit(args, model_and_data.part_of(found, "train"))
        samples = model_and_data.part_of(found, "test")
    else:
        if args.contamination is not None or args.seed is not None:
            raise DataError("--contamination and --seed are for fitting: add --fit, or leave them out")
        detector = AnomalyDetector.load(args.model, args.backend)
        samples = model_and_data.part_of(find(args.data, **model_and_data.columns(args),
                                              unneeded=detector.extra_.get("dropped", ())), "test")
        odd = _odd(args, samples)
    samples = model_and_data.fitting(samples, detector, args.data, args.model)
    names = samples.feature_names or [f"x_{i}" for i in range(samples.X.shape[1])]
    X = samples.X.reshape(-1, *detector.input_shape_)
    parts = detector.contributions(X).reshape(len(X), -1) if args.explain else None
    scores = detector.anomaly_score(X)
    above = scores > detector.threshold_
    print(f"{int(above.sum()):,} of {len(X):,} rows are anomalies: scores above {detector.threshold_:.4g}")
    if odd is not None:
        print(f"by the labels: ROC-AUC {roc_auc(odd, scores):.4f}, average precision "
              f"{average_precision(odd, scores):.4f}; of {int(odd.sum()):,} odd rows {int((above & odd).sum()):,} were "
              f"found, with {int((above & ~odd).sum()):,} false alarms")
    if parts is not None:
        _explain(scores, parts, names)
    if args.out:
        columns = [scores, above, *(() if parts is None else parts.T)]
        write(args.out, np.stack(columns, axis=1), [*_COLUMNS, *([] if parts is None else _apart(names))])
        print(f"written to {args.out}: {len(X)} rows")
    if args.picture:
        ranking_curves(args.picture, odd, scores)
        print(f"drawn to {args.picture}")
    return 0


def _odd(args: argparse.Namespace, samples: Samples) -> np.ndarray | None:
    """Which samples are labelled as odd; None where there are none, or no others. Raises `DataError` where it was
    asked for them: by the label's name, or by a picture of curves."""
    name = _ODD if args.odd is None else args.odd
    odd = None if samples.labels is None else model_and_data.are_label(samples.labels, name)
    if odd is not None and odd.any() and not odd.all():
        return odd
    if args.picture:
        raise DataError(f"can't draw {args.picture}: curves need rows with the label {name} and rows with others; "
                        "name the label column with --label, and the odd label with --odd")
    if args.odd is not None and odd is None:
        raise DataError(f"--odd says what odd rows are labelled, and {args.data} has no labels: name their column with "
                        "--label, or leave --odd out")
    if odd is not None and not odd.any():
        model_and_data.none_is_odd(args, samples.labels, name, "row")
    return None


def _apart(names: list[str]) -> list[str]:
    """Names of columns, with an underscore behind those that have the name of one of the first."""
    return [f"{name}_" if name in _COLUMNS else name for name in names]


def _fit(args: argparse.Namespace, samples: Samples) -> AnomalyDetector:
    """A detector, fitted and written."""
    model_and_data.check_new_model(args.model, "detector")
    settings = {"contamination": args.contamination, "seed": args.seed}
    detector = AnomalyDetector(scaling="robust" if samples.image_shape is None else "shared", backend=args.backend,
                               **{name: value for name, value in settings.items() if value is not None})
    model_and_data.say_note(samples)
    detector.fit(samples.X)
    detector.save(args.model, extra={"data": args.data, **about_columns(samples)})
    print(f"written to {args.model}: fitted to {len(samples.X):,} rows of {samples.X.shape[1]} features")
    return detector


def _explain(scores: np.ndarray, parts: np.ndarray, names: list[str]) -> None:
    """Say what the oddest rows' scores are made of."""
    for row in np.argsort(-scores, kind="stable")[:5]:
        most = np.argsort(-parts[row], kind="stable")[:3]
        shares = ", ".join(f"{names[j]} {100 * parts[row, j] / scores[row]:.0f} %" for j in most)
        print(f"row {row}: score {scores[row]:.4g}, of which {shares}")
