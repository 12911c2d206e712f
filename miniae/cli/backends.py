"""List the devices that can be used, and why the others can't."""

from __future__ import annotations

import argparse

from miniae.backend import BackendUnavailable, get, names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    for backend in names():
        try:
            devices = get(backend).devices()
        except BackendUnavailable as why:
            print(f"{backend:<8} not available: {why}")
            continue
        for name, info in devices.items():
            memory = ""
            if "memory_total" in info:
                free = f"{info['memory_free'] / 2**30:.1f} of " if "memory_free" in info else ""
                memory = f", {free}{info['memory_total'] / 2**30:.1f} GiB {'free' if free else 'of memory'}"
            print(f"{name:<8} available: {info['device']}{memory}")
    print(f"auto     is {get('auto').name}")
    return 0
