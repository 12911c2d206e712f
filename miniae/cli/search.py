"""Find what is like a sample, in an index that miniae index made, or like a text, in one that miniae texts made.

In an index of texts QUERY is the text itself ("rising prices of oil"), or texts as miniae texts reads them.

--out takes a .csv file with a row for each neighbour: the number of the query, the rank, the id (the number of the
sample in what was indexed, from 0) and the distance, and names where the samples have them. --picture draws the first
queries beside what was found for them; the images are read again from where they were indexed, or from --data.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from miniae.cli import model_and_data
from miniae.cli.texts import shortened
from miniae.data import DataError, Samples, write_table
from miniae.models import Autoencoder
from miniae.report import neighbours
from miniae.tasks import BagOfWords, Documents, Neighbours, SemanticIndex, read_documents

_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="an index.safetensors that miniae index wrote")
    parser.add_argument("query", metavar="QUERY",
                        help="what to look for: a name (digits, mnist, fashion-mnist: the test part), the path of a "
                             "file or folder, or in an index of texts some words")
    model_and_data.add_columns(parser)
    parser.add_argument("-k", type=int, default=10, metavar="N", help="how many neighbours (default: 10)")
    parser.add_argument("-o", "--out", metavar="FILE", help="where to write them (.csv)")
    parser.add_argument("--picture", metavar="FILE", help=f"where to draw those of the first {_SHOWN} queries (.png)")
    parser.add_argument("--data", metavar="DATA", help="for --picture: what was indexed, where it is elsewhere now")
    model_and_data.add_backend(parser)


def run(args: argparse.Namespace) -> int:
    model_and_data.check_picture(args.picture)
    if args.out and not args.out.lower().endswith(".csv"):
        raise DataError(f"can't write {args.out}: expected a name that ends in .csv")
    model_and_data.check_not_read(args.out, args.query)
    if args.data and not args.picture:
        raise DataError("--data says where the images for --picture are: give both, or leave --data out")
    index = SemanticIndex.load(args.index, backend=args.backend)
    if not isinstance(index.model, Autoencoder):
        raise DataError(f"{args.index} is an index of codes without a model, which data can't be turned into: in "
                        "Python, SemanticIndex.load(...).search(codes) looks in it")
    of_texts = "bag" in index.extra
    queries = _texts(args, index) if of_texts else \
        model_and_data.data_for(index.model, args.index, args.query, **model_and_data.columns(args))
    shape = model_and_data.image_shape_of(index.model, queries) if args.picture else None
    if args.picture and shape is None:
        raise DataError(f"can't draw {args.picture}: {args.query} does not hold images; leave --picture out")
    found = index.search(queries.X, args.k, queries.labels if index.model.needs_labels else None)
    names = index.extra.get("names")
    if args.out:
        _write(args.out, found, queries.names, names)
        print(f"written to {args.out}: {args.k} neighbours of each of {len(queries.X):,} queries")
    if shape is not None:
        _draw(args, index, queries, found, shape)
        print(f"drawn to {args.picture}")
    if not args.out and not args.picture:
        for i, (ids, distances) in enumerate(zip(*found, strict=True)):
            if i == _SHOWN:
                print(f"... and {len(queries.X) - _SHOWN:,} more: write them with --out")
                break
            near = [f"{names[n] if names else n} ({d:.4g})" for n, d in zip(ids, distances, strict=True)]
            print(f"{queries.names[i] if queries.names else i}:", ("\n    " if of_texts else ", ").join(near))
    return 0


def _texts(args: argparse.Namespace, index: SemanticIndex) -> Samples:
    """The texts that are looked for, as the rows that the index's model takes."""
    if args.label or args.drop:
        raise DataError(f"{args.index} is an index of texts, which have no columns: leave --label and --drop out")
    documents = Documents([args.query])
    if os.path.exists(args.query):
        documents = read_documents(args.query, str(index.extra.get("column")))
    try:
        bag = BagOfWords.of(index.extra["bag"])
    except ImportError as why:
        raise DataError(str(why)) from None
    except ValueError as why:
        raise DataError(f"{args.index} is damaged: {why}") from None
    X = bag.transform(documents.texts)
    empty = np.flatnonzero(~X.any(axis=1))
    if len(empty):
        raise DataError(f"{shortened(documents.texts[empty[0]])!r} has none of the {len(bag.words_):,} words that "
                        f"{args.index} knows: say it in others")
    return Samples(X, None, None, None, documents.names or [shortened(text) for text in documents.texts])


def _write(path: str, found: Neighbours, query_names: list[str] | None, names: list[str] | None) -> None:
    columns = ["query", "rank", "id", "distance", *["query_name"] * bool(query_names), *["name"] * bool(names)]
    write_table(path, columns, (
        [i, rank, n, f"{d:.9g}", *([query_names[i]] if query_names else []), *([names[n]] if names else [])]
        for i, (ids, distances) in enumerate(zip(found.ids.tolist(), found.distances.tolist(), strict=True))
        for rank, (n, d) in enumerate(zip(ids, distances, strict=True), start=1)))


def _draw(args: argparse.Namespace, index: SemanticIndex, queries: Samples, found: Neighbours,
          shape: tuple[int, ...]) -> None:
    """Queries beside images of what was indexed, read again."""
    source, extra = args.data or index.extra.get("data"), index.extra
    if source is None:
        raise DataError(f"{args.index} does not say what was indexed: name it with --data")
    try:
        images = model_and_data.data_for(index.model, args.index, source, extra.get("part") or "test",
                                         extra.get("label")).X
    except DataError as why:
        raise DataError(f"the images of what was found are needed for --picture: {why}"
                        + ("" if args.data else "; or say with --data where they are now")) from None
    if len(images) <= found.ids.max():
        raise DataError(f"{source} has {len(images)} samples, and {args.index} is of more: name what was indexed with "
                        "--data")
    ids, distances = found.ids[:_SHOWN], found.distances[:_SHOWN]
    neighbours(args.picture, queries.X[:_SHOWN], images[ids], shape,
               captions=[[f"{d:.3g}" for d in row] for row in distances],
               title=f"{Path(args.query).name} in {Path(args.index).name}, by {index.metric} distance of codes")
