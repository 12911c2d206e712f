"""Taking the noise out of speech: noisy spectrogram in, clean spectrogram out.

    python examples/denoise_speech.py [--quick]

Syllables are made with a source and filters: pulses of a voice, or noise, through the resonances of vowels and
fricatives (Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67, 1980, in small). An autoencoder over
windows of the spectrogram learns from many voices, and is tried on one that it never heard.
"""

import sys
from pathlib import Path

import numpy as np

from miniae.data import Windows, istft, stft, wiener_gain, write_wav
from miniae.models import RestoringAutoencoder
from miniae.report import spectrograms

RATE, SIZE, HOP, FRAMES = 8000, 128, 32, 8
FORMANTS = {"a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410),
            "u": (300, 870, 2240), "s": (3200, 3600, 3800), "f": (1400, 2800, 3600)}  # Peterson and Barney, 1952
quick = "--quick" in sys.argv


def phone(name, seconds, pitch, size, rng):
    """One sound: pulses (vowels) or noise through three resonances, as long as `seconds`."""
    n = int(seconds * RATE)
    if name in "sf":
        source = 0.3 * rng.normal(size=n)
    else:
        phase = np.cumsum(pitch * (1 + 0.1 * np.sin(np.linspace(0, 3, n)))) / RATE
        source = np.diff(np.floor(phase), prepend=0.0)
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    gain = sum(80.0 / (80.0 + 1j * (frequency - size * f)) / (i + 1) for i, f in enumerate(FORMANTS[name]))
    return np.fft.irfft(np.fft.rfft(source) * gain, n) * np.hanning(n) ** 0.3


def sentence(pitch, size, rng):
    """Eight syllables with a silence before them, of unit power."""
    parts = [np.zeros(RATE // 4)]
    for _ in range(8):
        parts += [phone(rng.choice(list("sf")), 0.08, pitch, size, rng),
                  phone(rng.choice(list("aeiou")), rng.uniform(0.12, 0.25), pitch, size, rng)]
    x = np.concatenate(parts)
    return x / x.std()


def windows_of(x):
    """Windows (n, FRAMES, frequencies) of the roots of x's magnitudes, and where they lie in the spectrogram."""
    spectrogram = np.sqrt(np.abs(stft(x, SIZE, HOP)))
    windows = Windows(spectrogram.shape, (FRAMES, spectrogram.shape[1]), (2, 1))
    return windows.cut(spectrogram), windows


def powers(noisy):
    """The powers of a spectrogram, and those of its noise, by the first quarter of a second."""
    power = np.square(np.abs(stft(noisy, SIZE, HOP)))
    return power, power[SIZE // HOP:RATE // 4 // HOP].mean(axis=0)


def restored(model, noisy):
    """Noisy sound to clean, by a Wiener filter to which the autoencoder says how loud speech is."""
    cut, windows = windows_of(noisy)
    power, noise = powers(noisy)
    speech = windows.overlay(model.reconstruct(cut)).clip(0) ** 4
    return istft(stft(noisy, SIZE, HOP) * wiener_gain(power, speech, noise), len(noisy), HOP)


def subtracted(noisy):
    """Spectral subtraction (Boll, 1979)."""
    power, noise = powers(noisy)
    return istft(stft(noisy, SIZE, HOP) * np.sqrt(np.clip(1 - noise / power.clip(1e-12), 0.01, 1.0)), len(noisy), HOP)


def snr(clean, x):
    return 10 * np.log10(np.square(clean).sum() / np.square(x - clean).sum())


rng = np.random.default_rng(0)
# The pitch of a voice in Hz, and how short its vocal tract is.
clean = [sentence(rng.uniform(80, 240), rng.uniform(0.9, 1.15), rng) for _ in range(24 if quick else 80)]
noisy = [x + 0.56 * rng.uniform(0.3, 1.8) * rng.normal(size=len(x)) for x in clean]
good, spoilt = (np.concatenate([windows_of(x)[0] for x in part]) for part in (clean, noisy))
model = RestoringAutoencoder([256], 128, scaling="standard", epochs=5 if quick else 20,
                             batch_size=32).fit(spoilt, good)

new = sentence(150, 1.05, rng)  # another voice
spoilt = new + 0.56 * rng.normal(size=len(new))
results = {"noisy": spoilt, "spectral subtraction": subtracted(spoilt), "autoencoder": restored(model, spoilt)}
for name, x in results.items():
    print(f"{name}: {snr(new, x):.1f} dB")

folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
for name, x in {"clean": new, **results}.items():
    write_wav(folder / f"speech_{name.replace(' ', '_')}.wav", 0.1 * x, RATE)
spectrograms(folder / "denoise_speech.png", {"clean": new, **results}, RATE, SIZE, HOP)
print(f"drawn to {folder}/denoise_speech.png, and written beside it as WAV files")
