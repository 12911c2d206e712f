"""What is said when there is not enough memory."""

from __future__ import annotations

__all__ = ["shortage"]


def shortage(device: str, wanted: str, free: int | None = None, total: int | None = None) -> str:
    """One line: what was wanted, what there is on that device, and what to do."""
    there = "" if free is None or total is None else f"; {readable(free)} of {readable(total)} are free"
    return (f"out of memory on {device}: {wanted}{there}. Lower batch_size or the sizes of the layers, keep the data "
            "in a .npy file that is mapped (numpy.load with mmap_mode), or choose another device")


def readable(nbytes: int) -> str:
    return f"{nbytes / 2**30:.2f} GiB" if nbytes >= 2**30 / 100 else f"{nbytes / 2**20:.2f} MiB"
