"""Denoising autoencoders that learn from noisy data alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniae.autodiff import Tensor
from miniae.models.denoising import DenoisingAutoencoder, DenoisingNetwork
from miniae.training import check_number

__all__ = ["RecorruptedAutoencoder", "RecorruptedNetwork"]


class RecorruptedNetwork(DenoisingNetwork):
    """A denoising network that is never shown a clean x, but y = x + s e, of which the noise's deviation s is known.

    With noise d of its own, normal and of deviation a s, it is given y + d and compared with y - d / a^2. The noises of
    the two are s e + d and s e - d / a^2: their covariance is s^2 - a^2 s^2 / a^2 = 0, and being normal they are
    independent. So the target is on average x, whatever the input, and what is minimised is, up to a constant, the
    squared error against the clean x at noise of deviation s sqrt(1 + a^2):

        L = mean_n |f(y + d) - (y - d / a^2)|^2,    E L = E |f(x + n) - x|^2 + constant

    `level` is a s, the deviation of d; `ratio` is a. Pang, Zheng, Quan and Ji, "Recorrupted-to-recorrupted:
    unsupervised deep learning for image denoising", CVPR 2021.
    """

    def __init__(self, *args: Any, ratio: float = 0.5, **kwargs: Any):
        super().__init__(*args, **kwargs)
        settings = self._noise_settings
        if settings["noise"] != "gaussian" or self.reconstruction.name != "mse":
            raise ValueError(f"learning from noisy data holds for gaussian noise and the loss mse, got "
                             f"{settings['noise']} and {self.reconstruction.name}: leave both out")
        if not check_number("ratio", ratio):
            raise ValueError("ratio is 0, so that nothing would be added: give it a value, 0.5 say")
        self.ratio = ratio

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        z = self.noise.disturbed(x)
        target = x - (z - x) * (1.0 / self.ratio ** 2)
        loss = self.reconstruction.loss(self.decoder(self.encode(z)), target)
        return {"reconstruction": loss, **self.penalty_terms()}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "ratio": self.ratio}


class RecorruptedAutoencoder(DenoisingAutoencoder):
    """A denoising autoencoder for data of which there are only noisy samples, with normal noise of a known deviation.

    `fit` takes the noisy samples; see `RecorruptedNetwork` for why that will do. Its losses are those of a noisy target
    and do not come near 0. All else is as in `DenoisingAutoencoder`.

    Parameters
    ----------
    level : the deviation of the noise that is added in training: `ratio` times that of the data's own.
    ratio : how much noise is added, in units of what is there. Less of it makes targets noisier, more of it inputs.

    Pang et al., "Recorrupted-to-recorrupted: unsupervised deep learning for image denoising", CVPR 2021.
    """

    network_: RecorruptedNetwork
    network_class = RecorruptedNetwork
    network_settings = (*DenoisingAutoencoder.network_settings, "ratio")

    def __init__(self, hidden: Sequence[int] = (128,), code: int = 32, *, ratio: float = 0.5, **settings: Any):
        super().__init__(hidden, code, **settings)
        self.ratio = ratio
