"""What the long reproductions share: stages that can be interrupted and gone on with, and the error they watch."""

from miniae.nn.init import normal
from miniae.report import metrics
from miniae.training import Checkpoint, ProgressBar


def path(out, title):
    """The file of a stage in the folder `out`, without an ending."""
    return out / "".join(c if c.isalnum() or c == "-" else "_" for c in title)


def stage(out, title, *others):
    """The callbacks of a stage: a checkpoint from which the same command goes on, others, and the progress."""
    return [Checkpoint(f"{path(out, title)}.safetensors", resume=True), *others, ProgressBar(title)]


def test_error(network, X):
    """The squared error per image of X, in the network's deterministic behaviour."""
    network.eval()
    parts = [metrics.squared_errors(X[i:i + 1000], network(X[i:i + 1000]).numpy()) for i in range(0, len(X), 1000)]
    return sum(part.sum() for part in parts) / len(X)


def tenth(shape, seed, stream):
    """Initial weights from N(0, 0.1), those of the programs of 2006."""
    return 10 * normal(shape, seed, stream)
