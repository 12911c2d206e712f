"""The `DeepBeliefNetwork` estimator: a stack of restricted Boltzmann machines as one generative model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.data.rows import Kept
from miniae.models.classifier import Classifier
from miniae.models.estimator import check_sizes
from miniae.models.stack import Stack, activations, layer_title, pair_of, plain_rows, pretrain
from miniae.rbm.rbm import visible_states
from miniae.training import Callback, Estimator, NotFittedError
from miniae.training.conventions import Transformer


class DeepBeliefNetwork(Transformer, Estimator):
    """An RBM on top of directed layers that lead down to the data, all of Bernoulli units. With h_0 = v the data,

        p(v, h_1, ..., h_L) = p(h_(L-1), h_L) prod_(l < L) p(h_(l-1) | h_l),

    where p(h_(L-1), h_L) is the top RBM's distribution and p(h_(l-1) | h_l) = sigmoid(a_l + h_l W_l'), unit by unit, is
    the way down of the l-th RBM. Its way up, sigmoid(b_l + h_(l-1) W_l), stands for the posterior p(h_l | h_(l-1)).
    Each RBM is trained on the hidden means of the one below, which improves a bound on log p(v).

    The authors then tune all layers together by the up-down algorithm, a contrastive form of wake-sleep. This class
    does not: the weights stay as the greedy training leaves them. For codes or classes fine-tune by gradient instead,
    with `classifier` or `stack_.unroll`.

    Parameters
    ----------
    hidden : sizes of the hidden layers, from the data to the top.
    epochs, lr : of each RBM: one number, or one a layer; `lr` None means 0.1.
    batch_size, seed, dtype, backend : as in `RBM`.

    Attributes
    ----------
    stack_ : the trained `Stack`; `stack_.pairs[-1].rbm` is the top RBM.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).integers(0, 2, (200, 12)).astype("float32")
    >>> DeepBeliefNetwork(hidden=[8, 4], epochs=2).fit(X).sample(3, steps=10).shape
    (3, 12)

    Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", Neural Computation 18, 2006.
    """

    def __init__(self, hidden: Sequence[int] = (500, 500, 2000), *, epochs: int | Sequence[int] = 10,
                 lr: float | Sequence[float] | None = None, batch_size: int = 100, seed: int = 0,
                 dtype: str = "float32", backend: str | Backend | None = None):
        self.hidden, self.epochs, self.lr, self.batch_size = hidden, epochs, lr, batch_size
        self.seed, self.dtype, self.backend = seed, dtype, backend

    def fit(self, X: Any, y: Any = None, *,
            callbacks: Callable[[str], Sequence[Callback]] = lambda title: ()) -> DeepBeliefNetwork:
        """Train the RBMs from the start, from the lowest to the top one. X: (N, features) in [0, 1]; y is not used.

        Of batches, few are in memory: each pass computes the hidden means of the layers below anew.
        `callbacks` is called with each layer's title, as in `pretrain`. After a `KeyboardInterrupt` the model is what
        was trained before it.
        """
        stack = Stack()
        with self._unless_refused():
            try:
                self._pretrain(X, self.epochs, stack, callbacks)
            finally:
                if stack.pairs:
                    self.stack_, self.n_features_in_ = stack, stack.sizes[0]
        return self

    def partial_fit(self, X: Any, y: Any = None, *,
                    callbacks: Callable[[str], Sequence[Callback]] = lambda title: ()) -> DeepBeliefNetwork:
        """Train the RBMs for one more epoch each, from the lowest to the top one, on these rows: for data that come in
        parts. X: (N, features) in [0, 1]; y is not used.

        Each RBM learns from the hidden means that the one below, which has just learnt from the same rows, has for
        them. A first part with all rows gives what `fit` gives in one epoch. But in `fit` a layer is done before the
        next one begins; here all go on, and what a layer has learnt of earlier parts is of means that the layers below
        no longer give. Velocities of the momentum go on, as in `RBM.partial_fit`.
        """
        if not hasattr(self, "stack_"):
            stack = Stack()
            with self._unless_refused():
                self._pretrain(X, 1, stack, callbacks)
                self.stack_, self.n_features_in_ = stack, stack.sizes[0]  # with all its layers: later parts add none
            return self
        pairs, sizes = self.stack_.pairs, self.stack_.sizes
        if len(pairs) < len(self.hidden):
            raise ValueError(f"fit was interrupted when {len(pairs)} of {len(self.hidden)} layers were trained: call "
                             "it again before partial_fit")
        data = plain_rows(self._samples(X, (sizes[0],)))
        for i, pair in enumerate(pairs):
            if i:
                data = activations(pairs[i - 1].up, data)
            rbm: Any = pair.rbm
            try:
                rbm.partial_fit(data, callbacks=callbacks(layer_title(sizes, i)))
            finally:
                pairs[i] = pair_of(rbm)  # after an interrupt, too
        return self

    def _pretrain(self, X: Any, epochs: int | Sequence[int], stack: Stack,
                  callbacks: Callable[[str], Sequence[Callback]]) -> None:
        """Fill the empty stack with layers, each of which is trained for so many epochs."""
        X = self._first_samples(X)
        if len(X.shape) != 2:
            raise ValueError(f"a DeepBeliefNetwork takes vectors, X of shape (N, features); got {X.shape}: reshape it "
                             "first")
        sizes = [X.shape[1], *check_sizes("hidden", self.hidden)]
        pretrain(X, sizes, code_unit="bernoulli", epochs=epochs, lr=self.lr, batch_size=self.batch_size,
                 seed=self.seed, dtype=self.dtype, backend=self.backend, stack=stack, callbacks=callbacks)

    # ---------------------------------------------------------------- use

    def transform(self, X: Any) -> np.ndarray:
        """The means of the top units, by the means of those between: (N, features) to (N, top)."""
        return self._stack().encode(self._check(X))

    def reconstruct(self, X: Any) -> np.ndarray:
        """All the way up and down again, by means: (N, features) to (N, features)."""
        return self._stack().reconstruct(self._check(X))

    def sample(self, n: int = 1, steps: int = 1000, seed: int = 0, start: Any = None) -> np.ndarray:
        """`n` samples (n, features): `steps` steps of Gibbs sampling in the top RBM, then one pass down to the data.

        The chains begin at random states, or at what `start`, data like X, becomes on its way up to the top RBM: a
        chain for each row then, whatever `n`. The top RBM's visible units are drawn; the pass down gives means, from 0
        to 1. A network of one RBM has no pass down, and gives states 0 and 1, those of `RBM.sample`.
        """
        stack = self._stack()
        top: Any = stack.pairs[-1].rbm
        below = Stack(stack.pairs[:-1])
        start = None if start is None else below.encode(self._check(start, "start"))
        return below.decode(top.sample(n, steps, seed, start))

    def classifier(self, **training: Any) -> Classifier:
        """A `Classifier` whose hidden layers are copies of the way up: see `Stack.classifier`."""
        return self._stack().classifier(**training)

    def _check(self, X: Any, name: str = "X") -> np.ndarray | Kept:
        first: Any = self._stack().pairs[0].rbm
        machine = first.machine_
        return visible_states(machine, self._samples(X, machine.input_shape, name), name)

    def _features_out(self) -> int:
        return self._stack().sizes[-1]

    def _stack(self) -> Stack:
        if not hasattr(self, "stack_"):
            raise NotFittedError("this DeepBeliefNetwork is not trained yet: call fit(X) first")
        return self.stack_
