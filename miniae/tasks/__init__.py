"""What people do with autoencoders, from data to results on disk."""

from miniae.tasks.config import RunConfig
from miniae.tasks.run import Run, new_folder

__all__ = ["Run", "RunConfig", "new_folder"]
