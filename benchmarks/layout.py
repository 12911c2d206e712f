"""What the README's tables are made with: result files, and Markdown."""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent


def load(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def made_by(content):
    machine = content["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return f"`{content['command']}`, {content['date']}, {machine['cores']} cores of {machine['cpu']}{gpu}; {versions}."


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
