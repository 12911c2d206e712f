"""Spectrograms and WAV files."""

from __future__ import annotations

import struct
import wave

import numpy as np
import pytest

from miniae.data import DataError, griffin_lim, istft, read_wav, stft, wiener_gain, write_wav

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 1000])
@pytest.mark.parametrize("size, hop", [(64, 16), (64, 32)])
def test_there_and_back(length, size, hop):
    x = RNG.standard_normal(length)
    spectrogram = stft(x, size, hop)
    assert spectrogram.shape[1] == size // 2 + 1
    np.testing.assert_allclose(istft(spectrogram, length, hop), x, atol=1e-12)


def test_frames_by_the_formula():
    x, size, hop = RNG.standard_normal(100), 32, 8
    padded = np.concatenate([np.zeros(size), x, np.zeros(size)])
    n = np.arange(size)
    window = np.sin(np.pi * n / size) ** 2
    m, k = 5, 3
    expected = (window * padded[m * hop:m * hop + size] * np.exp(-2j * np.pi * k * n / size)).sum()
    np.testing.assert_allclose(stft(x, size, hop)[m, k], expected, rtol=1e-10)


def test_like_scipy():
    signal = pytest.importorskip("scipy.signal", reason="compares with scipy.signal")
    x = RNG.standard_normal(512)
    _, _, theirs = signal.stft(x, window="hann", nperseg=64, noverlap=48, boundary=None, padded=False, scaling="psd")
    ours = stft(x, 64, 16)[4:4 + theirs.shape[1]]  # those without zeros
    scale = ours[0, 3] / theirs[3, 0]
    np.testing.assert_allclose(ours, theirs.T * scale, atol=1e-10)


def test_the_nearest_sound_to_what_is_no_spectrogram():
    """istft is the least squares solution: the error is orthogonal to all spectrograms."""
    anything = RNG.standard_normal((20, 17)) + 1j * RNG.standard_normal((20, 17))
    anything[:, [0, -1]] = anything[:, [0, -1]].real
    length = 100
    frames = len(stft(np.zeros(length), 32, 8))
    anything = np.resize(anything, (frames, 17))
    rest = anything - stft(istft(anything, length, 8), 32, 8)
    other = stft(RNG.standard_normal(length), 32, 8)
    inner = (np.fft.irfft(rest, 32) * np.fft.irfft(other, 32)).sum()
    assert abs(inner) < 1e-8 * np.linalg.norm(rest) * np.linalg.norm(other)


def test_phases_are_found():
    t = np.arange(4000) / 8000
    x = np.sin(2 * np.pi * (300 * t + 500 * t ** 2)) * np.hanning(4000)
    magnitudes = np.abs(stft(x, 256, 64))

    def error(**settings):
        found = griffin_lim(magnitudes, len(x), 64, **settings)
        return np.linalg.norm(np.abs(stft(found, 256, 64)) - magnitudes) / np.linalg.norm(magnitudes)

    assert error(steps=60) < 0.1 < error(steps=0)
    assert error(steps=60) < error(steps=60, momentum=0.0)
    true = stft(x, 256, 64)
    assert error(steps=1, phases=true / np.maximum(np.abs(true), 1e-12)) < 1e-6


def test_refuses_what_is_no_sound():
    for arguments in ((np.zeros((2, 3)),), (np.array([np.nan]),), (np.zeros(9), 10, 4), (np.zeros(9), 8, 8)):
        with pytest.raises(ValueError):
            stft(*arguments)
    with pytest.raises(ValueError, match="a sound of 99 samples has"):
        istft(np.zeros((3, 17)), 99, 8)
    with pytest.raises(ValueError, match="none of them negative"):
        griffin_lim(-np.ones((3, 17)), 99, 8)


def test_a_gain_by_the_formula():
    noisy, wanted, noise = RNG.random((5, 4)), RNG.random((5, 4)), RNG.random(4)
    noisy[0, 0] = wanted[0, 0] = 0.0
    gain = wiener_gain(noisy, wanted, noise)
    for (m, k), found in np.ndenumerate(gain):
        power = 0.8 * wanted[m, k] + 0.2 * max(noisy[m, k] - noise[k], 0)
        assert found == pytest.approx(power / (power + noise[k]))
    assert gain[0, 0] == 0 and wiener_gain(np.zeros((1, 2)), [[0, 3]], 0.0).tolist() == [[0, 1]]
    assert wiener_gain(np.zeros((0, 4)), np.zeros((0, 4)), noise).shape == (0, 4)


def test_what_is_wanted_and_known_is_found_again():
    n = np.arange(8000)
    x, noise = np.sin(0.3 * n), RNG.standard_normal(8000)
    spectrogram = stft(x + noise, 256, 64)
    gain = wiener_gain(np.abs(spectrogram) ** 2, np.abs(stft(x, 256, 64)) ** 2, 256 * 3 / 8)
    error = istft(spectrogram * gain, 8000, 64) - x
    assert np.square(error).mean() < 0.1 * np.square(noise).mean()


@pytest.mark.parametrize("noisy, wanted, noise, share, message", [
    (-1.0, 1.0, 1.0, 0.5, "noisy holds"), (1.0, np.nan, 1.0, 0.5, "wanted holds"), (1.0, 1.0, 1j, 0.5, "noise holds"),
    (1.0, 1.0, 1.0, 1.5, "share is 1.5"), (1.0, 1.0, 1.0, np.nan, "share is nan")])
def test_refuses_what_are_no_powers(noisy, wanted, noise, share, message):
    with pytest.raises(ValueError, match=message):
        wiener_gain(noisy, wanted, noise, share)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_wav_there_and_back(bits, channels, tmp_path):
    x = RNG.uniform(-1, 1, (500, *channels))
    x[0], x[1] = -1.0, 3.0
    write_wav(tmp_path / "a.wav", x, 22050, bits)
    again, rate = read_wav(tmp_path / "a.wav")
    assert rate == 22050 and again.shape == x.shape
    np.testing.assert_allclose(again, np.minimum(x, 1 - 2.0 ** (1 - bits)), atol=1.01 * 2.0 ** -bits)
    write_wav(tmp_path / "b.wav", again, rate, bits)
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()


def test_the_bytes_are_those_of_the_wave_module(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(struct.pack("<4h", 0, 16384, -32768, 32767))
    x, rate = read_wav(tmp_path / "a.wav")
    assert rate == 8000 and x.dtype == np.float32
    np.testing.assert_array_equal(x, np.float32([0, 0.5, -1, 32767 / 32768]))


def test_bad_wav_files(tmp_path):
    write_wav(tmp_path / "good.wav", np.zeros(100), 8000)
    good = (tmp_path / "good.wav").read_bytes()
    for name, data, message in (("empty", b"", "ends too early"), ("text", b"hello, no sound at all", "not a WAV"),
                                ("cut", good[:-20], "cut off"), ("head", good[:30], "not a WAV"),
                                ("float", good[:20] + b"\x03\x00" + good[22:], "not a WAV"),
                                ("silent", good[:40] + bytes(4), "empty")):
        (tmp_path / f"{name}.wav").write_bytes(data)
        with pytest.raises(DataError, match=message) as caught:
            read_wav(tmp_path / f"{name}.wav")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        read_wav(tmp_path / "none.wav")
    for x, rate, bits in ((np.zeros((2, 2, 2)), 8000, 16), (np.array([np.nan]), 8000, 16), (np.zeros(3), 0, 16),
                          (np.zeros(3), 8000, 12), (np.zeros(0), 8000, 16)):
        with pytest.raises(DataError, match="can't write"):
            write_wav(tmp_path / "x.wav", x, rate, bits)
    assert not (tmp_path / "x.wav").exists()
