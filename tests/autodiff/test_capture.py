"""Recording a training step and replaying it: what a CUDA graph does, checked on the strict backend."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae import nn, optim
from miniae.autodiff import Tensor
from miniae.backend import CaptureError, get
from miniae.backend.base import Backend
from miniae.backend.philox import Generator
from miniae.nn.parameter import Parameter

strict = get("strict")
ROWS, FEATURES, CODE, BATCH = 22, 6, 3, 4


class DenoisingStep:
    """One training step of a dense denoising autoencoder, everything that changes being on the device: the minibatch's
    place in the shuffled order, the noise's step, the parameters, the optimizer's state, the sum of the losses."""

    def __init__(self, be, optimizer=optim.Adam):
        self.be = be
        host = np.random.default_rng(0)
        self.rows = be.asarray(host.uniform(size=(ROWS, FEATURES)), "float32")
        self.order = be.asarray(host.permutation(ROWS), "int64")
        self.place = be.asarray(np.arange(BATCH), "int64")
        self.noise = Generator(5, "noise", be)
        shapes = (FEATURES, CODE), (CODE,), (CODE, FEATURES), (FEATURES,)
        self.parameters = [Parameter(host.standard_normal(s), dtype="float32", backend=be) for s in shapes]
        self.optimizer = optimizer(self.parameters, lr=0.05)
        self.total = be.zeros((), "float32")

    def __call__(self):
        be, (w1, b1, w2, b2) = self.be, self.parameters
        clean = be.gather(self.rows, be.gather(self.order, self.place))
        be.add(self.place, BATCH, out=self.place)
        be.elementwise(be.xp.mod, self.place, ROWS, out=self.place)
        noise = self.noise.normal(clean.shape, clean.dtype)
        noisy = be.add(clean, be.multiply(noise, 0.3))
        code = F.sigmoid(F.dense(Tensor._wrap(noisy, be), w1, b1))
        loss = F.binary_cross_entropy_with_logits(F.dense(code, w2, b2), Tensor._wrap(clean, be))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        be.add(self.total, loss._data, out=self.total)

    def state(self):
        return [self.be.to_host(a) for a in (self.optimizer.pack.data, self.total, self.place, self.noise._step)]


def in_arena(step):
    """The step as `capture` runs it, but eagerly."""
    return step.be._in_arena(step)


@pytest.mark.parametrize("optimizer", [o for o in optim.OPTIMIZERS.values()
                                       if not issubclass(o, optim.LineSearchOptimizer)])
def test_replays_equal_eager_steps(optimizer):
    """2 warm-up steps and 5 replays on the strict backend are 7 steps of the same kernels on NumPy."""
    eager = DenoisingStep(Backend(np), optimizer)
    for _ in range(7):
        eager()
    recorded = DenoisingStep(strict, optimizer)
    replay = strict.capture(recorded, warmup=2)
    for _ in range(5):
        replay()
    for mine, theirs in zip(recorded.state(), eager.state(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_capture_on_every_backend(backend):
    """Whether a backend records or calls the step again, the numbers are those of eager steps."""
    eager, captured = DenoisingStep(backend), DenoisingStep(backend)
    run = in_arena(eager)
    for _ in range(5):
        run()
    replay = backend.capture(captured, warmup=2)
    for _ in range(3):
        replay()
    for mine, theirs in zip(captured.state(), eager.state(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_recording_does_nothing_but_record():
    """As on a GPU, only the warm-up steps have happened when `capture` returns."""
    eager, captured = DenoisingStep(strict), DenoisingStep(strict)
    run = in_arena(eager)
    for _ in range(2):
        run()
    strict.capture(captured, warmup=2)
    for mine, theirs in zip(captured.state(), eager.state(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_replay_does_not_run_the_step_and_does_not_wait():
    calls = []
    step = DenoisingStep(strict)
    replay = strict.capture(lambda: (calls.append(1), step())[1], warmup=2)
    recorded, before = len(calls), strict.waits
    replay()
    assert len(calls) == recorded and strict.waits == before


def test_a_replay_reads_what_is_written_between_replays():
    """A learning rate set from outside takes effect, as it lives on the device."""
    step = DenoisingStep(strict, optim.SGD)
    replay = strict.capture(step)
    step.optimizer.lr = 0.0
    before = step.state()[0]
    replay()
    np.testing.assert_array_equal(step.state()[0], before)
    step.optimizer.lr = 0.1
    replay()
    assert (step.state()[0] != before).any()


class LayerStep:
    """One training step of a model made of layers, on the same batch each time."""

    def __init__(self, be, layers, input_shape):
        self.model = nn.Sequential(layers, input_shape=input_shape, backend=be).train()
        self.optimizer = optim.Momentum(self.model.parameters(), lr=0.01)
        host = np.random.default_rng(1)
        x, t = (host.standard_normal((3, *shape)) for shape in (input_shape, self.model.output_shape(input_shape)))
        self.x, self.t = (Tensor(a, dtype="float32", backend=be) for a in (x, t))

    def __call__(self):
        self.optimizer.zero_grad()
        F.squared_error(self.model(self.x), self.t).backward()
        self.optimizer.step()


@pytest.mark.parametrize("layers,input_shape", [
    (lambda: [nn.Dense(5, "relu"), nn.Dropout(0.5), nn.Dense(6, "leaky_relu")], (6,)),
    (lambda: [nn.GaussianNoise(0.1), nn.Dense(5, "tanh"), nn.Dense(6, "softplus")], (6,)),
    (lambda: [nn.Conv2D(2, 3, padding="same"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3)], (1, 6, 6)),
    (lambda: [nn.Conv2D(2, 3, padding="same"), nn.AvgPool2D(2), nn.UpSample2D(2), nn.Conv2D(1, 3)], (1, 6, 6)),
    (lambda: [nn.Conv2D(2, 3, stride=2), nn.ConvTranspose2D(1, 3, stride=2)], (1, 7, 7)),
], ids=["dropout", "noise", "max pooling", "average pooling", "transposed convolution"])
def test_layers_can_be_recorded(layers, input_shape):
    eager, recorded = (LayerStep(be, layers(), input_shape) for be in (Backend(np), strict))
    for _ in range(5):
        eager()
    replay = strict.capture(recorded, warmup=2)
    for _ in range(3):
        replay()
    for mine, theirs in zip(recorded.model.parameters(), eager.model.parameters(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


# ---------------------------------------------------------------- mistakes that a graph would hide

def test_a_step_count_on_the_host_is_found():
    """The classic mistake: Adam's bias correction worked out in Python."""
    step = DenoisingStep(strict)
    count = [0]

    def wrong():
        count[0] += 1
        strict.fill(step.optimizer.rate, 0.05 / (1 - 0.9 ** count[0]))
        step()

    with pytest.raises(CaptureError, match=r"fill \(primitive 0\) got another number"):
        strict.capture(wrong)


def test_a_loss_read_at_every_step_is_found():
    step = DenoisingStep(strict)
    losses = []

    def wrong():
        step()
        losses.append(float(strict.to_host(step.total)))

    with pytest.raises(CaptureError, match="to_host waits for the device"):
        strict.capture(wrong)
