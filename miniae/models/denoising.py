"""Denoising autoencoders: trained to undo noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.data.corruption import gaussian_noise, masking, salt_and_pepper
from miniae.data.rows import scaled
from miniae.models.autoencoder import Autoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.nn import GaussianNoise, Layer, Masking, SaltAndPepper
from miniae.nn.layer import Shape
from miniae.training import check_number

__all__ = ["NOISES", "DenoisingAutoencoder", "DenoisingNetwork"]

# The name of a noise: the layer that draws it anew for every batch, and what does the same to data once.
_NOISES: dict[str, tuple[Any, Callable[..., np.ndarray]]] = {
    "gaussian": (GaussianNoise, gaussian_noise),
    "masking": (Masking, masking),
    "salt_and_pepper": (SaltAndPepper, salt_and_pepper),
}
NOISES = tuple(_NOISES)


class DenoisingNetwork(AutoencoderNetwork):
    """An autoencoder that sees x~ = noise(x) whenever its loss is asked for, and is compared with x.

    L = alpha sum_{j in J} l(y_j, x_j) + beta sum_{j not in J} l(y_j, x_j), the mean over samples, where y is the
    reconstruction of x~, l the squared error or cross-entropy, J the elements that the noise chose and (alpha, beta)
    the `emphasis`. Without emphasis it is the plain loss of all elements. The loss of held-out data is the same, with
    the same noise at every call; codes and reconstructions are of what is given. Vincent et al., "Stacked denoising
    autoencoders", JMLR 11, 2010, section 3.4.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, noise: str = "gaussian", level: float = 0.3,
                 emphasis: Sequence[float] | None = None, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        if self.corruption:
            raise ValueError("a denoising autoencoder's noise is described by noise= and level=: leave corruption out")
        if noise not in _NOISES:
            raise ValueError(f"unknown noise {noise!r}: expected one of {', '.join(NOISES)}")
        self.noise = _NOISES[noise][0](level)
        self.emphasis = None if emphasis is None else _check_emphasis(emphasis)
        if emphasis is not None and not hasattr(self.noise, "disturb"):
            raise ValueError(f"{noise} noise reaches every element, so that none is left to emphasise the others over: "
                             "leave emphasis out, or choose masking or salt_and_pepper")
        self._noise_settings = {"noise": noise, "level": level, "emphasis": self.emphasis}

    def make(self, input_shape: Shape) -> None:
        self.noise.build(input_shape, self.place.child("noise"))
        super().make(input_shape)

    def corrupted(self, x: Tensor) -> Tensor:
        return self.noise.disturbed(x)

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        if self.emphasis is None:
            return super().loss_terms(x)
        disturbed, kept = self.noise.disturb(x)
        alpha, beta = self.emphasis
        z = self.decoder(self.encode(disturbed))
        loss = self.reconstruction.weighted_loss(z, x, kept * (beta - alpha) + alpha)
        return {"reconstruction": loss, **self.penalty_terms()}

    def children(self) -> dict[str, Layer]:
        return {**super().children(), "noise": self.noise}

    def config(self) -> dict[str, Any]:
        return {**super().config(), **self._noise_settings}


def _check_emphasis(emphasis: Any) -> tuple[float, float]:
    if not isinstance(emphasis, (tuple, list)) or len(emphasis) != 2:
        raise ValueError(f"emphasis is a pair of weights, (1.0, 0.5) for instance; got {emphasis!r}")
    corrupted, intact = (check_number("every weight of emphasis", weight) for weight in emphasis)
    if not corrupted + intact:
        raise ValueError("emphasis is (0, 0), so that nothing would be learned: give one of the weights a value")
    return corrupted, intact


class DenoisingAutoencoder(Autoencoder):
    """Learns to undo noise: it is shown a disturbed x and compared with the clean one.

    The noise is drawn anew for every batch; the loss is that of the clean x (see `DenoisingNetwork`). Held-out data are
    disturbed alike, so that `val_loss` and `patience` judge how well noise goes; `reconstruct` and `transform` take
    what they are given. All else is as in `Autoencoder`, layers of your own included.

    Parameters
    ----------
    noise : "gaussian" adds normal noise, "masking" sets elements to 0, "salt_and_pepper" to 0 or 1, half of the time
        each. It acts on the scaled data: where the data are not in [0, 1], scaling="minmax" makes them so.
    level : the standard deviation of Gaussian noise, the share of elements that others reach.
    emphasis : None, or the weights (corrupted, intact) that the loss gives elements that the noise chose and those that
        it left alone, for masking and salt and pepper: alpha and beta of the paper. (1, 0) looks at the former only.
        For the losses mse, and bce with a sigmoid output.

    >>> X = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    >>> model = DenoisingAutoencoder([16], 4, noise="masking", level=0.2, epochs=3).fit(X)
    >>> model.denoise(model.corrupt(X)).shape
    (100, 8)

    Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008; "Stacked
    denoising autoencoders", JMLR 11, 2010.
    """

    network_: DenoisingNetwork
    network_class = DenoisingNetwork
    network_settings = (*Autoencoder.network_settings, "noise", "level", "emphasis")

    def __init__(self, hidden: Sequence[int] = (128,), code: int = 32, *, noise: str = "gaussian", level: float = 0.3,
                 emphasis: Sequence[float] | None = None, **settings: Any):
        super().__init__(hidden, code, **settings)
        self.noise, self.level, self.emphasis = noise, level, emphasis

    def corrupt(self, X: Any, seed: int = 0) -> np.ndarray:
        """X (N, ...) with the noise that this model is trained on, in the units of the data. It is not clipped."""
        trained = self._network().config()
        _, disturb = _NOISES[trained["noise"]]
        return self.scaler_.inverse_transform(disturb(self._scaled(X), trained["level"], seed=seed))

    def denoise(self, X: Any) -> np.ndarray:
        """Noisy X (N, ...) without its noise, in the units of the data: the reconstruction of X.

        It differs from `reconstruct` in that X may lie outside of [0, 1] where the clean data may not.
        """
        rows = scaled(self._samples(X, self._network().input_shape), self.scaler_)
        return self.scaler_.inverse_transform(self._through(self.network_, rows))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("level", self.level)
