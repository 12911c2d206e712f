"""Learn from ratings, or take a model that has, and say what users might like.

    miniae recommend ratings.csv -o model.safetensors -o top.csv     fit; write the model, and a list for every user
    miniae recommend model.safetensors --user 17 -k 10               print what user 17 might like

Ratings are lines of user, item, rating (.csv, .tsv or other text; further columns are left out), with or without a
header. Ids are kept as they are in the file. A list has the columns user, rank, item, score: for autorec the score is
the predicted rating, for multinomial the logarithm of the probability that the item is chosen next.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from miniae.cli import model_and_data
from miniae.data import DataError, read_ratings, write_table
from miniae.models import AutoRec, MultinomialVAE, Recommender
from miniae.models import load as load_model
from miniae.training import ProgressBar, check_count

_MODELS = {"autorec": AutoRec, "multinomial": MultinomialVAE}
_ENDINGS = (".safetensors", ".csv", ".tsv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RATINGS|MODEL",
                        help="a table of user, item, rating, or a .safetensors file that this command wrote")
    parser.add_argument("-o", "--out", metavar="FILE", action="append", default=[],
                        help="what to write: the model (.safetensors), or a list for every user (.csv, .tsv); may be "
                             "given twice")
    parser.add_argument("--user", metavar="ID", action="append", default=[],
                        help="print a list for this user; may be given several times")
    parser.add_argument("-k", type=int, default=10, metavar="N", help="how many items a list has (default: 10)")
    parser.add_argument("--include-seen", action="store_true", help="also items that the user has rated")
    model_and_data.add_backend(parser)
    fit = parser.add_argument_group("when it learns from ratings")
    fit.add_argument("--model", metavar="KIND", choices=tuple(_MODELS),
                     help="autorec, which predicts ratings, or multinomial, which predicts choices (default: autorec)")
    fit.add_argument("--by", choices=("item", "user"),
                     help="autorec: whether a sample is an item's ratings or a user's (default: item)")
    fit.add_argument("--threshold", type=float, metavar="X",
                     help="multinomial: ratings from X on are choices (default: ratings are numbers of choices)")
    fit.add_argument("--epochs", type=int, metavar="N", help="how long to train (default: the model's own)")
    fit.add_argument("--seed", type=int, metavar="N", help="decides initial weights and noise (default: 0)")


def run(args: argparse.Namespace) -> int:
    if not args.out and not args.user:
        raise DataError("nothing to do: say what to write with --out, or whom to recommend to with --user")
    for path in args.out:
        if Path(path).suffix not in _ENDINGS:
            raise DataError(f"can't write {path}: expected a name that ends in {', '.join(_ENDINGS)}")
        model_and_data.check_folder_of(path)
        model_and_data.check_not_read(path, args.source)
    check_count("k", args.k)
    model = _loaded(args) if Path(args.source).suffix == ".safetensors" else _fitted(args)
    users = [_id(model, user) for user in args.user]
    shown = model.recommend(users, args.k, exclude_seen=not args.include_seen) if users else []
    for path in args.out:
        if Path(path).suffix == ".safetensors":
            model.save(path)
            print(f"written to {path}: {type(model).__name__} of {model.ratings_!r}")
        else:
            pairs = model.recommend(k=args.k, exclude_seen=not args.include_seen)
            lists = zip(model.ratings_.users.tolist(), pairs, strict=True)
            write_table(path, ["user", "rank", "item", "score"], (
                [user, rank, item, f"{score:.6g}"] for user, (items, scores) in lists
                for rank, (item, score) in enumerate(zip(items.tolist(), scores.tolist(), strict=True), 1)))
            print(f"written to {path}: lists for {len(pairs):,} users")
    for user, (items, scores) in zip(users, shown, strict=True):
        print(f"user {user}" + ("" if len(items) else ": has rated all items"))
        for rank, (item, score) in enumerate(zip(items.tolist(), scores.tolist(), strict=True), 1):
            print(f"{rank:4d}  {item}  {score:.3f}")
    return 0


def _loaded(args: argparse.Namespace) -> Recommender:
    given = [f"--{name}" for name in ("model", "by", "threshold", "epochs", "seed")
             if getattr(args, name) is not None]
    if given:
        raise DataError(f"{', '.join(given)} is for learning from ratings, and {args.source} has learnt: leave it out, "
                        "or name a table of ratings")
    model = load_model(args.source, backend=args.backend)
    if not isinstance(model, Recommender):
        raise DataError(f"{args.source} holds a model of class {type(model).__name__}, expected a recommender: fit one "
                        "with miniae recommend RATINGS -o MODEL.safetensors")
    return model


def _fitted(args: argparse.Namespace) -> Recommender:
    model = args.model or "autorec"
    for name, kind in (("by", "autorec"), ("threshold", "multinomial")):
        if getattr(args, name) is not None and model != kind:
            raise DataError(f"--{name} is a setting of {kind}, not of {model}: leave it out, or choose --model {kind}")
    ratings = read_ratings(args.source)
    unknown = next((user for user in args.user if user not in ratings.users), None)
    if unknown is not None:
        raise DataError(f"there is no user {unknown!r} in {args.source}: name one of its {len(ratings.users):,} users")
    settings = {name: getattr(args, name) for name in ("by", "threshold", "epochs", "seed")
                if getattr(args, name) is not None}
    return _MODELS[model](backend=args.backend, **settings).fit(ratings, callbacks=[ProgressBar(model)])


def _id(model: Recommender, user: str) -> Any:
    """The id as the model has it: a model that was fitted in Python may have integers."""
    if model.ratings_.users.dtype.kind == "U":
        return user
    try:
        return int(user)
    except ValueError:
        raise DataError(f"there is no user {user!r} in the model: its users are integers") from None
