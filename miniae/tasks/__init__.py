"""What people do with autoencoders, from data to results on disk."""

from miniae.tasks.config import LAYERS, RunConfig, further_settings
from miniae.tasks.run import Run, new_folder
from miniae.tasks.variants import own_measures, with_labels

__all__ = ["LAYERS", "Run", "RunConfig", "further_settings", "new_folder", "own_measures", "with_labels"]
