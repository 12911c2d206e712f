"""Learn what texts are about, and make an index of them, in which miniae search finds those like a text.

    miniae texts articles.csv --column body -o news.safetensors
    miniae search news.safetensors "rising prices of oil" -k 5

TEXTS is a folder of .txt files, or a .csv or .tsv file with a column of texts. They are taken as bags of their words
(TF-IDF; pip install 'miniae[text]'), which an autoencoder of one layer turns into codes, by the multinomial loss; these
are compared by cosine. The file holds codes, model and words, and how each text begins, not the texts themselves.
"""

from __future__ import annotations

import argparse

from miniae.cli import model_and_data
from miniae.data import DataError
from miniae.models import Autoencoder
from miniae.tasks import BagOfWords, SemanticIndex, read_documents
from miniae.training import ProgressBar

# How much of a text stands for it where it has no name.
_SHOWN = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", metavar="TEXTS", help="a folder of .txt files, or a .csv or .tsv file")
    parser.add_argument("-o", "--out", metavar="FILE", default="texts.safetensors",
                        help="where to write the index (default: texts.safetensors)")
    parser.add_argument("--column", metavar="NAME", default="text", help="a table's column of texts (default: text)")
    parser.add_argument("--words", type=int, default=2000, metavar="N",
                        help="how many of the most frequent words count (default: 2000)")
    parser.add_argument("--code", type=int, default=32, metavar="N", help="numbers in a text's code (default: 32)")
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="how often to train (default: 30)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides the initial weights (default: 0)")
    model_and_data.add_backend(parser)


def run(args: argparse.Namespace) -> int:
    model_and_data.check_new_model(args.out, "index", instead="")
    model = Autoencoder([], args.code, loss="multinomial", epochs=args.epochs, batch_size=50, seed=args.seed,
                        backend=args.backend)
    documents = read_documents(args.texts, args.column)
    try:
        bag = BagOfWords(args.words).fit(documents.texts)
    except ImportError as why:
        raise DataError(str(why)) from None
    except ValueError as why:
        raise DataError(f"{args.texts}: {why}") from None
    X = bag.transform(documents.texts)
    index = SemanticIndex(model.fit(X, callbacks=[ProgressBar()]), "cosine")
    index.add(X)
    index.extra = {"data": args.texts, "column": args.column, "bag": bag.state(),
                   "names": documents.names or [shortened(text) for text in documents.texts]}
    index.save(args.out)
    print(f"written to {args.out}: {len(index):,} texts, by {len(bag.words_):,} words, in codes of "
          f"{index.bytes_per_code} bytes")
    return 0


def shortened(text: str) -> str:
    """How a text begins, in one line."""
    line = " ".join(text[:4 * _SHOWN].split())
    return line if len(line) <= _SHOWN else line[:_SHOWN - 3] + "..."
