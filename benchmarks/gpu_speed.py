"""Training steps of miniae on the GPU beside PyTorch's, in several ways, and beside miniae on NumPy.

All data lie on the device, and every step gathers its minibatch there by the numbers of the rows; float32. A turn is an
epoch of `steps_of` steps with its shuffle; the device is waited for before and after it. The contestants take turns in
one process; milliseconds a step, medians and quartiles over the turns. miniae's turns are epochs of one training, which
it records in the first.

Before anything is timed, each contestant makes a few steps from the same weights, and must have the same losses.
"""

import gc
import statistics
import threading
import time

import numpy as np
from contest import BOLTZMANN, CONVOLUTIONAL, shaped, take_turns, trainer_of
from gpu_work import set_tf32

from miniae.backend import get
from miniae.backend.philox import Generator, host_generator
from miniae.gpucheck.models import images
from miniae.tasks.bench import Clock
from miniae.training import Callback

try:
    import gpu_twins
    import torch
except ImportError:  # a yardstick only
    gpu_twins = torch = None

CASES = {f"{model}, batch {batch}": (model, batch) for model, batches in {
    "784-128-64-32-64-128-784": (128, 1024), "784-1000-500-250-30": (128, 4096), CONVOLUTIONAL: (128, 1024),
    BOLTZMANN: (100, 1000)}.items() for batch in batches}
# Where the same is measured once more with TF32, in miniae and in PyTorch.
WITH_TF32 = ("784-1000-500-250-30, batch 4096", f"{CONVOLUTIONAL}, batch 1024")
TURNS, CHECKED = 7, 3
# How far the losses of the first step, and of the next ones, may be from those on NumPy, relative; and with TF32.
SAME, SAME_WITH_TF32 = (1e-5, 1e-3, 1e-3), (1e-2, 1e-2, 1e-2)


def steps_of(batch):
    """Training steps in a turn: enough for the clock and for most to be replayed, on data that devices can hold."""
    return min(256, max(64, 2**17 // batch))


def speed(work):
    if torch is None:
        work.note("PyTorch is not installed: miniae alone was measured", "without_pytorch")
    elif work.is_gpu and not torch.cuda.is_available():
        work.note(f"PyTorch {torch.__version__} finds no GPU: miniae alone was measured", "without_pytorch")
    work.note({"miniae": "off", "pytorch": "off", "where": "everywhere but in the rows that say so"}, "tf32")
    share = work.left() / len(CASES)
    for number, case in enumerate(work.each(CASES, 5 if not work.quick else 0)):
        name, batch = CASES[case]
        # what is left, evenly for the cases that are left
        until = time.monotonic() + min(work.left(), max(share, work.left() / (len(CASES) - number)))
        work.note(measured(work, name, batch, until, tf32=False), "cases", case)
        if case in WITH_TF32:
            work.note(measured(work, name, batch, until + share / 2, tf32=True), "cases", f"{case}, TF32")


def measured(work, name, batch, until, tf32):
    """Milliseconds of all contestants, whether their losses are the same, and what that is beside the targets."""
    result = {"model": name, "batch": batch, "tf32": tf32, "left_out": {}, "ms": {}}
    steps, epochs, ends = 4 if work.quick else steps_of(batch), {}, []
    X = np.resize(images(min(steps * batch, 4096)), (steps * batch, 784))
    if not with_tf32(work.be, tf32) and tf32:
        result["left_out"]["miniae"] = "it has no TF32"
    try:
        epochs, result["losses"], clock = contestants(work, name, batch, X, until, result["left_out"], tf32,
                                                         ends)
        turns = 1 if work.quick else TURNS
        while turns > 1 and time.monotonic() + sum(map(seconds_of, epochs.values())) * turns > until + 5:
            turns -= 1
        if epochs:
            times = take_turns(epochs, steps, max(turns, 2), lambda: synchronize(work))
            result["ms"] = {who: {"median": q[1], "quartiles": [q[0], q[2]]} for who, q in times.items()}
        result |= {"turns": max(turns, 2), "steps_a_turn": steps}
        if clock.seconds:
            result["steady_ms"] = 1e3 * statistics.median(clock.seconds[1:] or clock.seconds)
    finally:
        with_tf32(work.be, False)
        for end in ends:
            end()
    epochs.clear()
    let_go(work)
    if not tf32:
        result["ms"]["miniae on NumPy"] = {"median": on_numpy(work, name, batch, X)}
    return result | judged(result["ms"])


def contestants(work, name, batch, X, until, left_out, tf32, ends):
    """An epoch of each, by name; how far their first losses are from miniae's on NumPy; the clock of miniae's steps.

    What is to be called in the end is added to `ends`.
    """
    found, clock = {}, Clock(4 if len(X) > 8 * batch else 1)
    weights, losses, uniforms = first_steps(work.cpu, name, batch, X)
    differences = {}

    def checked(who, step_losses):
        off = [abs(a - b) / abs(b) for a, b in zip(step_losses, losses, strict=True)]
        differences[who] = max(off)
        if all(d <= bound for d, bound in zip(off, SAME_WITH_TF32 if tf32 else SAME, strict=True)):
            return True
        left_out[who] = f"its losses differ by {max(off):.2g}: it does something else"
        return False

    if "miniae" not in left_out and checked("miniae", first_steps(work.be, name, batch, X)[1]):
        training = Paced(trainer_of(name, X[:batch], batch, work.be, callbacks=[clock]),
                         work.be.asarray(shaped(name, X)))
        ends.append(training.end)
        found["miniae"] = training.epoch
    if torch is None or (work.is_gpu and not torch.cuda.is_available()):
        return found, differences, clock
    data = torch.from_numpy(X).to("cuda" if work.is_gpu else "cpu")
    for way in gpu_twins.WAYS:
        if gpu_twins.settings_of(name, way) is None:
            continue
        if time.monotonic() > until:
            left_out[way] = "no time was left"
            continue
        if "captured" in way and not work.is_gpu:
            left_out[way] = "it needs a GPU"
            continue
        if "reduce-overhead" in way and not work.is_gpu:
            left_out[way] = "it is the same as eager without a GPU"
            continue
        try:
            twin, step = gpu_twins.step_of(name, way, weights, data, batch)
            if name == BOLTZMANN and way != "eager":  # their draws are PyTorch's own
                differences[way] = None
                twin.load(weights)
            elif not checked(way, twin_losses(name, twin, step, batch, uniforms)):
                continue
            found[way] = epoch_of(step, len(X), batch, data.device)
        except Exception as why:  # the yardstick must not end the measurement
            left_out[way] = f"{type(why).__name__}: {str(why).splitlines()[0] if str(why) else ''}"
    return found, differences, clock


class Paced(Callback):
    """One long training whose epochs are made when they are asked for, so that it can take turns with others.

    It has a thread of its own. Recordings of steps last as long as the training does.
    """

    def __init__(self, trainer, rows):
        self.trainer, self.error = trainer, None
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._train, args=(rows,), daemon=True)
        trainer.callbacks.append(self)
        self._thread.start()
        self._wait()

    def epoch(self):
        """The next epoch, with all that comes after one."""
        self._go.release()
        self._wait()

    def end(self):
        """End the training, after one more epoch."""
        self.trainer.epochs = self.trainer.epoch + 1
        self._go.release()
        self._thread.join()

    def on_epoch_begin(self, trainer):
        self._done.release()  # the epoch before, if there was one
        self._go.acquire()

    def _train(self, rows):
        try:
            self.trainer.fit(rows, 10**9)
        except BaseException as why:
            self.error = why
        self._done.release()

    def _wait(self):
        self._done.acquire()
        if self.error is not None:
            raise self.error


def first_steps(be, name, batch, X, dtype="float32"):
    """The weights before the first steps of training, their losses, and the uniform numbers that an RBM drew."""
    trainer = trainer_of(name, X[:batch], batch, be, dtype)
    weights = [be.to_host(p._data) for p in trainer.model.parameters()]
    uniforms = []
    if name == BOLTZMANN:
        drawn = trainer.model.rng
        source = Generator(drawn.seed, drawn.stream, get("numpy"))
        uniforms = [source.uniform((batch, len(weights[2])), dtype) for _ in range(CHECKED)]
    losses = [trainer.fit(shaped(name, part).astype(dtype), trainer.epoch + 1)[-1]["loss"]
              for part in np.split(X[:CHECKED * batch], CHECKED)]
    return weights, losses, uniforms


def twin_losses(name, twin, step, batch, uniforms):
    """The losses of the twin's first steps, on the batches and by the draws of `first_steps`."""
    losses = []
    for i in range(CHECKED):
        order = i * batch + host_generator(0, "shuffle", i).permutation(batch)  # as the trainer shuffles
        if name == BOLTZMANN:
            drawn = torch.from_numpy(uniforms[i]).to(twin.data.device)
            twin.uniform = lambda h, drawn=drawn: drawn
        losses.append(float(step(torch.from_numpy(order).to(twin.data.device))))
    if name == BOLTZMANN:
        twin.uniform = torch.rand_like
    return losses


def epoch_of(step, n, batch, device):
    """An epoch of PyTorch's steps, as its users write it, on whole batches."""
    def epoch():
        order = torch.randperm(n, device=device)
        for i in range(0, n, batch):
            step(order[i:i + batch])
    return epoch


def on_numpy(work, name, batch, X):
    """Milliseconds a step of miniae on NumPy: the median of a few steps."""
    trainer, times = trainer_of(name, X[:batch], batch, work.cpu), []
    end = time.monotonic() + (0.1 if work.quick else 2.0)
    rows = shaped(name, X[:4 * batch])
    while len(times) < 2 or time.monotonic() < end:
        began = time.perf_counter()
        trainer.fit(rows, trainer.epoch + 1)
        times.append((time.perf_counter() - began) * 1e3 / 4)
    return statistics.median(times[1:])


def seconds_of(epoch):
    """How long an epoch takes, for a first guess."""
    began = time.perf_counter()
    epoch()
    return time.perf_counter() - began


def synchronize(work):
    """Wait for whatever the device still has to do, on any stream."""
    if work.is_gpu:
        work.be.xp.cuda.Device().synchronize()
    else:
        work.be.synchronize()


def let_go(work):
    """Give back the memory of the case before, of both libraries."""
    gc.collect()
    if work.is_gpu:
        work.be.xp.get_default_memory_pool().free_all_blocks()
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def with_tf32(be, on):
    """Lets matrix products and convolutions round their factors to TF32, or not, in PyTorch and in miniae; whether that
    can.

    (PyTorch's convolutions do by itself.)
    """
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on
    return set_tf32(be, on)


# How many times as long as miniae these are to take: where launches bound PyTorch, and where arithmetic does.
TARGETS = {"launches": {"eager": 4.0, "reduce-overhead": 1.5, "captured": 1.0}, "arithmetic": {"fastest PyTorch": 0.8}}
LAUNCHES = 1.5  # eager PyTorch is bound by launches where it takes this many times as long as its captured step


def judged(ms):
    """What the others take divided by what miniae takes, what bounds the model, and which targets are met."""
    mine = ms.get("miniae", {}).get("median")
    times = {who: m["median"] for who, m in ms.items()}
    others = {who: t for who, t in times.items() if not who.startswith("miniae")}
    if mine is None or not others:
        return {"ratios": {who: t / mine for who, t in times.items()} if mine else {}, "bound_by": None, "targets": {}}
    if "captured" in others and "eager" in others:
        bound_by = "launches" if others["eager"] >= LAUNCHES * others["captured"] else "arithmetic"
    else:
        bound_by = None
    times["fastest PyTorch"] = min(others.values())
    ratios = {who: t / mine for who, t in times.items() if who != "miniae"}
    targets = {who: {"wanted": wanted, "measured": ratios.get(who), "met": who in ratios and ratios[who] >= wanted}
               for who, wanted in TARGETS.get(bound_by, {}).items()}
    return {"ratios": ratios, "bound_by": bound_by, "targets": targets}
