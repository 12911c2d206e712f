"""The recipe of hinton2006.py on the machine at hand, beside what it took and gave on the CPU."""

import os
import time

from hinton import CODE, falling, fine_tuned, pretrained, seconds
from layout import load as load_results

from miniae.data import load
from miniae.report import metrics
from miniae.training import Callback

MOST_SECONDS = 180  # what the recipe is to take on a GPU


class Deadline(Callback):
    """Ends training when a part's time is up."""

    def __init__(self, work):
        self.work = work

    def on_epoch_end(self, trainer, logs):
        if self.work.left() <= 0:
            trainer.stop = True


def hinton2006(work):
    if not os.environ.get("MINIAE_DATA"):
        return work.leave_out("hinton2006", "no MNIST: set MINIAE_DATA, or give --data")
    data, epochs = load("mnist"), 1 if work.quick else 50
    train = data.train[:1000] if work.quick else data.train
    began = time.perf_counter()
    stack = pretrained(train, CODE, epochs, lambda title: [Deadline(work)], work.be)
    found = {"epochs": epochs, "pretraining_seconds": seconds(*stack.histories),
             **{f"rbm_{i + 1}_squared_error": history[-1]["loss"] for i, history in enumerate(stack.histories)},
             "stack": metrics.squared_error(data.test, stack.reconstruct(data.test))}
    work.note(found, "hinton2006")
    deep = fine_tuned(stack.unroll(), train, epochs, [falling(epochs), Deadline(work)])
    found |= {"fine_tuning_seconds": seconds(deep.history_),
              "deep": metrics.squared_error(data.test, deep.reconstruct(data.test)),
              "whole_seconds": time.perf_counter() - began}
    done = [len(history) for history in (*stack.histories, deep.history_)]
    if min(done) < epochs:
        work.leave_out("hinton2006", f"the time was up: {done} of {epochs} epochs were made")
    on_cpu = load_results("hinton2006")["results"]
    found["on_cpu"] = {name: on_cpu[name] for name in found if name in on_cpu}
    found["target"] = {"seconds": MOST_SECONDS, "met": min(done) == epochs and found["whole_seconds"] <= MOST_SECONDS}
    work.note(found, "hinton2006")
