"""The parts of gpu_check.py that compare the GPU with NumPy (see `miniae.gpucheck`)."""

from miniae.functions.catalogue import check, examples
from miniae.gpucheck import MODELS, check_curve, check_gradients, check_kernels, check_replay


def kernels(work):
    work.note(check_kernels(work.be, work.cpu, 8000 if work.quick else 1 << 62), "kernels")


def gradients(work):
    for name in work.each(MODELS):
        work.note(check_gradients(name, work.be, work.cpu, 4 if work.quick else 64), "gradients", name)
    by_name = {example.name: example for example in examples()}
    for name in work.each(list(by_name)[::20 if work.quick else 1]):
        row = check(by_name[name], work.be)
        work.note(max(row.gradient_error, row.jvp_error or 0.0), "differences", name)


def curves(work):
    for name in work.each(MODELS):
        work.note(check_curve(name, work.be, work.cpu, *((5, 8) if work.quick else (100, 128))), "curves", name)


def replay(work):
    for name in work.each(MODELS):
        work.note(check_replay(name, work.be, *((2, 17, 4) if work.quick else (3, 20, 128))), "replay", name)
