"""What people do with autoencoders, from data to results on disk."""

from miniae.tasks.bench import bench
from miniae.tasks.config import LAYERS, RunConfig, further_settings
from miniae.tasks.detection import AnomalyDetector
from miniae.tasks.kernels import Sizes
from miniae.tasks.machine import machine
from miniae.tasks.profile import Profile, profile
from miniae.tasks.run import Run, new_folder
from miniae.tasks.variants import own_measures, with_labels

__all__ = [
    "LAYERS", "AnomalyDetector", "Profile", "Run", "RunConfig", "Sizes", "bench", "further_settings", "machine",
    "new_folder", "own_measures", "profile", "with_labels",
]
