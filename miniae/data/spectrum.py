"""Sound as a spectrogram, and back: the short-time Fourier transform, and the recovery of lost phases."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.data.windows import Windows

__all__ = ["griffin_lim", "istft", "stft", "wiener_gain"]


def stft(x: Any, size: int = 512, hop: int = 128) -> np.ndarray:
    """The short-time Fourier transform of a sound x (T,): complex (frames, size // 2 + 1).

        X[m, k] = sum_n h[n] x[m hop + n - size] exp(-2 pi i k n / size)        h : a periodic Hann window

    There are `size` zeros before x, and at least as many after it, so that each sample is in size / hop frames; the
    magnitudes of a sine wave of amplitude a peak at a size / 4. `size` is a multiple of `hop`, at least twice it.
    `istft` is the inverse. Raises `ValueError` for other arguments.
    """
    x = np.asarray(x)
    if x.ndim != 1 or x.dtype.kind not in "fiu" or not np.isfinite(x).all():
        raise ValueError(f"a sound is (T,), of finite real numbers; got shape {x.shape}, {x.dtype}: take a channel, or "
                         "mix them")
    frames = _frames(len(x), size, hop)
    padded = np.zeros(frames.extent, np.result_type(x, np.float32))
    padded[size:size + len(x)] = x
    return np.fft.rfft(frames.cut(padded) * _hann(size), axis=1)


def istft(spectrogram: Any, length: int, hop: int = 128) -> np.ndarray:
    """The sound (length,) whose short-time Fourier transform is nearest to this one, (frames, size // 2 + 1):

        x[t] = sum_m h[t - m hop] y_m[t - m hop] / sum_m h[t - m hop]^2        y_m : the inverse transform of frame m

    Of what `stft` gave, that is the sound itself, up to rounding. Griffin and Lim, "Signal estimation from modified
    short-time Fourier transform", IEEE Transactions on Acoustics, Speech, and Signal Processing 32, 1984, equation 6.
    """
    spectrogram = np.asarray(spectrogram)
    size = 2 * (spectrogram.shape[-1] - 1) if spectrogram.ndim == 2 else 0
    frames = _frames(length, size, hop)
    if len(spectrogram) != len(frames):
        raise ValueError(f"a sound of {length} samples has {len(frames)} frames of {size}, got {len(spectrogram)}: "
                         "give the length and the hop that stft was given")
    # A weighted mean of y / h by the weights h^2. A periodic window's first value is 0, and nothing is known there.
    window = _hann(size)
    inverse = np.fft.irfft(spectrogram, size, axis=1)
    known = np.maximum(window, 1e-6)
    return frames.overlay(np.divide(inverse, known), np.square(known))[size:size + length]


def wiener_gain(noisy: Any, wanted: Any, noise: Any, share: float = 0.8) -> np.ndarray:
    """By what to multiply a noisy spectrogram Y to come near to what is wanted, whose power a model says is S:

        G = R / (R + N)        R = share S + (1 - share) max(|Y|^2 - N, 0)

    `noisy` are the powers |Y|^2 (frames, frequencies), `wanted` the model's S of the same shape, and `noise` those of
    the noise, N, of a shape that fits: (frequencies,) for noise that stays the same. G is between 0, where all is
    noise, and 1; where R and N are 0, it is 0. The filter R / (R + N) has the least expected squared error where R is
    the power that is wanted (Lim and Oppenheim, "Enhancement and bandwidth compression of noisy speech", Proc. IEEE 67,
    1979). R is formed as in Ephraim and Malah, "Speech enhancement using a minimum mean-square error short-time
    spectral amplitude estimator", IEEE Transactions on Acoustics, Speech, and Signal Processing 32, 1984, equation 51,
    with a model in the place of the frame before. Raises `ValueError` for powers that are negative or not finite, and a
    share that is none.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share!r}, expected a number from 0 to 1")
    for name, powers in (("noisy", noisy), ("wanted", wanted), ("noise", noise)):
        powers = np.asarray(powers)
        if powers.dtype.kind not in "fiu" or not (np.isfinite(powers) & (powers >= 0)).all():
            raise ValueError(f"{name} holds values that are no powers, expected finite real numbers of at least 0: "
                             "take the squared absolute values of a spectrogram")
    noise = np.asarray(noise, np.float64)
    power = share * np.asarray(wanted) + (1 - share) * np.maximum(np.asarray(noisy) - noise, 0.0)
    return power / np.where(power + noise > 0, power + noise, 1.0)


def griffin_lim(magnitudes: Any, length: int, hop: int = 128, *, steps: int = 50, momentum: float = 0.99,
                phases: Any = None, seed: int = 0) -> np.ndarray:
    """A sound (length,) whose short-time Fourier transform has nearly these magnitudes (frames, size // 2 + 1).

    Phases, random ones or `phases` (complex, of length 1) to begin with, become those of the sound that they give with
    the magnitudes, `steps` times; with `momentum` they go on beyond that, which finds nearer sounds in fewer steps (0
    is the original method). Griffin and Lim, 1984 (see `istft`), section IV; Perraudin, Balazs and Sondergaard, "A fast
    Griffin-Lim algorithm", WASPAA 2013.
    """
    magnitudes = np.asarray(magnitudes, np.float64)
    if magnitudes.ndim != 2 or not (np.isfinite(magnitudes) & (magnitudes >= 0)).all():
        raise ValueError(f"magnitudes are (frames, frequencies), none of them negative; got shape {magnitudes.shape}")
    size = 2 * (magnitudes.shape[1] - 1)
    if phases is None:
        phases = np.exp(2j * np.pi * np.random.default_rng(seed).random(magnitudes.shape))
    before: Any = 0.0
    for _ in range(steps):
        nearest = stft(istft(magnitudes * phases, length, hop), size, hop)
        ahead = nearest + momentum * (nearest - before)
        phases, before = ahead / np.maximum(np.abs(ahead), 1e-12), nearest
    return istft(magnitudes * phases, length, hop)


def _frames(length: int, size: int, hop: int) -> Windows:
    """The frames of so many samples, with zeros on both sides."""
    if not all(isinstance(n, int | np.integer) and n >= 1 for n in (size, hop)) or size % hop or size < 2 * hop:
        raise ValueError(f"the size of frames is a multiple of their hop, at least twice it; got {size} and {hop}")
    return Windows(size + -(-max(length, 1) // hop) * hop + size, size, hop)


def _hann(size: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
