"""Taking noise out of speech: an autoencoder over spectrogram windows against spectral subtraction and Wiener filters.

    pip install espeakng-loader
    OMP_NUM_THREADS=1 python benchmarks/speech.py

Speech is made by eSpeak NG (its library, called through ctypes). Sentences and voices that are measured are in no part
of what is learned. Noise is white or pink, at 0, 5 or 10 dB; what is learned has white and pink noise at -2 to 12 dB.
All estimate the noise's power from the half second before the speech. The Wiener filter's prior signal-to-noise ratio
is decision-directed (Ephraim and Malah, 1984); in ours the autoencoder says what the power of speech is
(`data.wiener_gain`, chosen, with its share, on utterances of two voices that were left out of learning), or its
magnitudes take the place of the noisy ones where these are larger. Measured are the signal-to-noise ratio and the
log-spectral distance (of frames, with a floor 50 dB below the loudest), where there is speech. Spectrograms are given
to the autoencoder as roots of magnitudes: with logarithms, errors where there is next to nothing outweigh all others.
"""

import ctypes
import importlib.util
import time
from pathlib import Path

import numpy as np
from results import write

from miniae.data import Windows, griffin_lim, istft, stft, wiener_gain, write_wav
from miniae.models import RestoringAutoencoder
from miniae.report import spectrograms

FOLDER = Path(__file__).parent / "results"
RATE, SIZE, HOP, FRAMES = 11025, 256, 128, 8
LEAD = RATE // 2  # samples of noise alone before the speech
TRAIN_VOICES = ("en-us", "en-us+m1", "en-us+m3", "en-us+f1", "en-us+f3")
TEST_VOICES = ("en-us+m7", "en-us+f4")
WORDS = """time person year way day thing man world life hand part child eye woman place work week case point company
number group problem fact river mountain yellow silver quickly often never under garden window winter summer music
letter father mother children green orange shadow village harbour people morning evening thunder paper""".split()


class Espeak:
    """eSpeak NG, without a sound card: text to samples."""

    def __init__(self):
        folder = Path(importlib.util.find_spec("espeakng_loader").submodule_search_locations[0])
        self._library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
        self.rate = self._library.espeak_Initialize(2, 0, str(folder).encode(), 0)  # 2: synchronous
        self._parts = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = kind(self._take)  # kept alive while the library calls it
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples, count, events):
        if samples and count:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text, voice):
        """Speech of unit power at RATE samples a second, after LEAD samples of silence."""
        self._parts.clear()
        self._library.espeak_SetVoiceByName(voice.encode())
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        x = np.concatenate(self._parts) / 32768.0
        n = len(x) * RATE // self.rate  # fewer samples a second: the spectrum's lower part
        x = np.fft.irfft(np.fft.rfft(x)[:n // 2 + 1], n)
        return np.concatenate([np.zeros(LEAD), x / x.std()])


def noise(n, kind, decibels, rng):
    x = rng.normal(size=n)
    if kind == "pink":
        spectrum = np.fft.rfft(x)
        x = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), n / 200)), n)
    return x / x.std() * 10 ** (-decibels / 20)


def windows_of(x):
    spectrogram = np.sqrt(np.abs(stft(x, SIZE, HOP)))
    windows = Windows(spectrogram.shape, (FRAMES, spectrogram.shape[1]), (2, 1))
    return windows.cut(spectrogram).astype(np.float32), windows


def loudness(model, x):
    """The magnitudes of the clean spectrogram, as the autoencoder has them."""
    cut, windows = windows_of(x)
    return np.square(np.maximum(windows.overlay(model.reconstruct(cut)), 0.0))


def with_gain(x, gain):
    return istft(stft(x, SIZE, HOP) * gain, len(x), HOP)


def powers(x):
    """Of each frequency of each frame, and of the noise, by the frames before the speech."""
    power = np.square(np.abs(stft(x, SIZE, HOP)))
    return power, power[SIZE // HOP:LEAD // HOP - 1].mean(axis=0)


def restored(model, x):
    power, of_noise = powers(x)
    return with_gain(x, wiener_gain(power, np.square(loudness(model, x)), of_noise))


def subtraction(x):
    power, of_noise = powers(x)
    return with_gain(x, np.sqrt(np.clip(1 - of_noise / power.clip(1e-12), 0.01, 1.0)))


def wiener(x):
    power, of_noise = powers(x)
    gain, before = np.empty_like(power), np.zeros(power.shape[1])
    for m, posterior in enumerate(power / of_noise):
        prior = np.maximum(0.98 * before + 0.02 * np.maximum(posterior - 1, 0), 10 ** -2.5)
        gain[m] = prior / (1 + prior)
        before = np.square(gain[m]) * posterior
    return with_gain(x, gain)


def snr(clean, x):
    return 10 * np.log10(np.square(clean[LEAD:]).sum() / np.square(x[LEAD:] - clean[LEAD:]).sum())


def spectral_distance(clean, x):
    """The root mean square over frequencies of the difference in decibels, the mean over frames."""
    a, b = (np.abs(stft(y[LEAD:], SIZE, HOP)) for y in (clean, x))
    floor = a.max() * 10 ** -2.5
    decibels = 20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
    return np.sqrt(np.square(decibels).mean(axis=1)).mean()


def main():
    rng, espeak = np.random.default_rng(0), Espeak()
    half = len(WORDS) // 2  # other words for the sentences that are measured

    def sentence(words):
        return " ".join(rng.choice(words, 7))

    clean = [espeak.say(sentence(WORDS[:half]), voice) for voice in TRAIN_VOICES for _ in range(10)]
    noisy = [x + noise(len(x), kind, rng.uniform(-2, 12), rng) for x in clean for kind in ("white", "pink")]
    spoilt = np.concatenate([windows_of(x)[0] for x in noisy])
    good = np.concatenate([windows_of(x)[0] for x in clean for _ in range(2)])
    begin = time.perf_counter()
    model = RestoringAutoencoder([384], 192, scaling="standard", epochs=8, batch_size=64).fit(spoilt, good)
    seconds = time.perf_counter() - begin
    methods = {
        "noisy": lambda x: x, "subtraction": subtraction, "wiener": wiener,
        "ours": lambda x: restored(model, x),
        "ours_magnitudes": lambda x: with_gain(x, np.clip(loudness(model, x) / np.sqrt(powers(x)[0]).clip(1e-9), 0, 1)),
        "ours_griffin_lim": lambda x: griffin_lim(loudness(model, x), len(x), HOP, steps=30)}
    tests = [espeak.say(sentence(WORDS[half:]), voice) for voice in TEST_VOICES for _ in range(3)]
    results = {"windows": len(good), "seconds": seconds, "sentences": len(tests), "methods": {m: {} for m in methods}}
    for kind in ("white", "pink"):
        for level in (0, 5, 10):
            spoilt = [x + noise(len(x), kind, level, rng) for x in tests]
            for name, method in methods.items():
                values = [(snr(x, y), spectral_distance(x, y)) for x, y in zip(tests, map(method, spoilt), strict=True)]
                results["methods"][name][f"{kind} {level}"] = dict(zip(("snr", "lsd"), np.mean(values, axis=0).tolist(),
                                                                       strict=True))
            print(kind, level, {n: r[f"{kind} {level}"] for n, r in results["methods"].items()}, flush=True)
    x = tests[0]
    spoilt = x + noise(len(x), "pink", 5, rng)
    shown = {"clean": x, "pink noise at 5 dB": spoilt, "Wiener filter, decision-directed": wiener(spoilt),
             "RestoringAutoencoder": methods["ours"](spoilt)}
    spectrograms(FOLDER / "speech.png", {title: y[LEAD // 2:] for title, y in shown.items()}, RATE, SIZE, HOP,
                 columns=2)
    write("speech", results)
    for name, y in zip(("clean", "noisy", "wiener", "ours"), shown.values(), strict=True):
        Path("runs").mkdir(exist_ok=True)
        write_wav(f"runs/speech_{name}.wav", 0.15 * y, RATE)


if __name__ == "__main__":
    main()
