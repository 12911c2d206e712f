"""Learn a classifier on a trained model's features, or tell the classes of data by one that has learnt.

    miniae classify model.safetensors train.csv --label kind -o classifier.safetensors     learn from labelled data
    miniae classify classifier.safetensors new.csv -o predictions.csv                      tell the classes of others

Which of the two depends on the first file. A table of predictions has the columns sample, class, and for each class its
probability. Where the data have labels, too, it is said how well they are told, class by class. What learns is judged
by samples it has not seen, where there are some: the test part of data by name, or what --samples leaves over.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from miniae.cli import model_and_data
from miniae.data import DATASETS, DataError, Samples, about_columns, balanced, write_table
from miniae.models import Autoencoder, Classifier, load, save
from miniae.models.classifier import check_labels
from miniae.report import class_scores, confusion_matrix, confusion_picture
from miniae.training import ProgressBar, check_count

# What there is to choose only when a classifier learns.
_LEARNING = ("frozen", "samples", "epochs", "lr", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL|CLASSIFIER",
                        help="a trained autoencoder, to learn a classifier on it, or a classifier, to use it")
    parser.add_argument("data", metavar="DATA",
                        help="a name (digits, mnist, fashion-mnist: the training part to learn from, the test part to "
                             "classify), or the path of a file or folder")
    model_and_data.add_columns(parser)
    parser.add_argument("-o", "--out", metavar="FILE",
                        help="where to write the classifier (.safetensors; default: classifier.safetensors), or the "
                             "predictions (.csv or .tsv)")
    parser.add_argument("--picture", metavar="FILE", help="where to draw which class was taken for which (.png)")
    model_and_data.add_backend(parser)
    learn = parser.add_argument_group("when it learns")
    learn.add_argument("--frozen", action="store_true", default=None,
                       help="leave the model's layers as they are, and learn the softmax layer on top only")
    learn.add_argument("--samples", type=int, metavar="N",
                       help="learn from N samples drawn at random, as many of each class (default: from all)")
    learn.add_argument("--epochs", type=int, metavar="N",
                       help="how long to train (default: 20, after 5 of the softmax layer alone; 100 when frozen)")
    learn.add_argument("--lr", type=float, metavar="X", help="learning rate of Adam (default: 0.001)")
    learn.add_argument("--seed", type=int, metavar="N",
                       help="decides initial weights, shuffling and what is drawn (default: 0)")


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    model_and_data.check_not_read(args.picture, args.data)
    model = load(args.model, backend=args.backend)
    if isinstance(model, Classifier):
        return _use(args, model)
    if not isinstance(model, Autoencoder):
        raise DataError(f"{args.model} holds a model of class {type(model).__name__}, expected an Autoencoder to learn "
                        "on, or a Classifier")
    return _learn(args, model)


# -------------------------------------------------------------------- learning

def _learn(args: argparse.Namespace, model: Autoencoder) -> int:
    path = args.out or "classifier.safetensors"
    if Path(path).suffix != ".safetensors":
        raise DataError(f"can't write {path}: {args.model} holds no classifier yet, and one is written to a name that "
                        "ends in .safetensors")
    model_and_data.check_folder_of(path)
    model_and_data.check_not_read(path, args.model, args.data)
    classifier = model.classifier(**_settings(args))
    samples = _labelled(args, model, "train")
    labels: Any = samples.labels
    chosen = np.arange(len(samples.X))
    if args.samples is not None:
        chosen = balanced(labels, check_count("--samples", args.samples), classifier.seed)
    classifier.batch_size = min(128, max(len(chosen) // 10, 4))  # so that few samples are some steps an epoch, too
    X = samples.X.reshape(-1, *model.network_.input_shape)
    classifier.fit(X[chosen], labels[chosen], callbacks=[ProgressBar("classifier")])
    save(path, classifier, extra={"data": args.data, **about_columns(samples, model.extra_.get("dropped", ())),
                                  "image_shape": samples.image_shape})
    print(f"written to {path}: learnt {len(classifier.classes_)} classes from {len(chosen):,} samples")
    others = np.setdiff1d(np.arange(len(X)), chosen)
    if args.data in DATASETS:
        test = _labelled(args, model, "test")
        _judge(args, classifier, classifier.predict(test.X.reshape(-1, *X.shape[1:])), test.labels, "test samples")
    elif len(others):
        _judge(args, classifier, classifier.predict(X[others]), labels[others], "samples that were left over")
    else:
        _judge(args, classifier, classifier.predict(X), labels, "samples it has learnt from, which are no test")
    return 0


def _settings(args: argparse.Namespace) -> dict[str, float]:
    """What the options say of the classifier."""
    given = {name: getattr(args, name) for name in ("lr", "seed") if getattr(args, name) is not None}
    epochs = None if args.epochs is None else check_count("--epochs", args.epochs)
    if args.frozen:
        return {**given, "head_epochs": epochs or 100, "epochs": 0}
    return {**given, "epochs": epochs or 20}


def _labelled(args: argparse.Namespace, model: Autoencoder, part: str) -> Samples:
    samples = model_and_data.data_for(model, args.model, args.data, part, **model_and_data.columns(args))
    if samples.labels is None:
        raise DataError(f"{args.data} has no labels to learn from: name the label column of a table with --label, or "
                        "give data with labels")
    try:
        check_labels(samples.labels, len(samples.X), "the array of labels")
    except TypeError as why:
        raise DataError(f"{args.data}: {why}") from None
    without = np.flatnonzero(np.asarray(samples.labels) == "")
    if len(without):
        raise DataError(f"{args.data} has no label in sample {without[0]} ({len(without)} of them have none): fill in "
                        "what is missing, or leave these samples out")
    return samples


# -------------------------------------------------------------------- use

def _use(args: argparse.Namespace, classifier: Classifier) -> int:
    given = [f"--{name}" for name in _LEARNING if getattr(args, name) is not None]
    if given:
        raise DataError(f"{', '.join(given)} is for learning, and {args.model} has learnt: leave it out, or name an "
                        "autoencoder's file")
    if args.out:
        if Path(args.out).suffix.lower() not in (".csv", ".tsv"):
            raise DataError(f"can't write {args.out}: predictions are written to a name that ends in .csv or .tsv")
        model_and_data.check_folder_of(args.out)
        model_and_data.check_not_read(args.out, args.data)
    samples = model_and_data.data_for(classifier, args.model, args.data, **model_and_data.columns(args))
    if args.picture and samples.labels is None:
        raise DataError(f"can't draw {args.picture}: {args.data} has no labels to compare with; name the label column "
                        "of a table with --label")
    X = samples.X.reshape(-1, *classifier.network_.input_shape)
    probabilities = classifier.predict_proba(X)
    predicted = classifier.classes_[probabilities.argmax(axis=1)]
    names = samples.names or [str(i) for i in range(len(X))]
    if args.out:
        write_table(args.out, ["sample", "class", *(f"p({label})" for label in classifier.classes_)],
                    ([name, label, *(f"{p:.6g}" for p in row)]
                     for name, label, row in zip(names, predicted, probabilities, strict=True)))
        print(f"written to {args.out}: the classes of {len(X):,} samples")
    elif samples.labels is None:
        for name, label, row in list(zip(names, predicted, probabilities, strict=True))[:10]:
            print(f"{name}: {label} ({100 * row.max():.1f} %)")
        if len(X) > 10:
            print(f"... and {len(X) - 10:,} more: write all of them with --out")
    if samples.labels is not None:
        told = np.asarray(samples.labels) != ""
        if told.any():
            _judge(args, classifier, predicted[told], samples.labels[told], "samples")
    return 0


def _judge(args: argparse.Namespace, classifier: Classifier, predicted: np.ndarray, labels: Any,
           which: str) -> None:
    """Say, and draw where that is asked for, how well these samples' classes are told."""
    true, predicted = np.asarray(labels).astype(str), predicted.astype(str)
    known = classifier.classes_.astype(str).tolist()
    classes = [*known, *np.setdiff1d(true, known).tolist()]
    confusion = confusion_matrix(true, predicted, classes)
    scores = class_scores(confusion)
    print(f"accuracy {100 * scores.accuracy:.2f} %, macro F1 {100 * scores.macro_f1:.2f} % on {len(true):,} {which}")
    print(scores.table(classes))
    if args.picture:
        confusion_picture(args.picture, confusion, classes, title=f"{len(true):,} {which.split(',')[0]}")
        print(f"drawn to {args.picture}")
