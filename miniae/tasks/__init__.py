"""What people do with autoencoders, from data to results on disk.

- anomalies: `AnomalyDetector` in tables and images, `SeriesDetector` in series, `TextureInspector` in textures
- pictures: `PatchDenoiser`, `ImageCompressor`, `VectorQuantisedCompressor`
- what is like a sample or a text: `SemanticIndex`, `Neighbours`, `BagOfWords`, `Documents`, `read_documents`; `CodeMap`
- whole runs, from data to a folder of results: `Run`, `RunConfig`, `RunFolder`, `explain`, `describe`
- how fast it is here: `bench`, `profile`, `machine`
"""

from miniae.tasks.advice import advice, still_falling
from miniae.tasks.bench import bench
from miniae.tasks.compression import ImageCompressor
from miniae.tasks.config import LAYERS, RunConfig, further_settings
from miniae.tasks.description import describe
from miniae.tasks.detection import AnomalyDetector
from miniae.tasks.explain import explain
from miniae.tasks.folder import RunFolder, check_ranks, new_folder
from miniae.tasks.index_coder import IndexCoder
from miniae.tasks.inspection import Finding, TextureInspector
from miniae.tasks.kernels import Sizes
from miniae.tasks.machine import machine
from miniae.tasks.maps import CodeMap
from miniae.tasks.patches import PatchDenoiser, noise_level
from miniae.tasks.profile import Profile, profile
from miniae.tasks.quantised_compression import VectorQuantisedCompressor, load_compressor
from miniae.tasks.retrieval import Neighbours, SemanticIndex
from miniae.tasks.run import Run
from miniae.tasks.series import Segment, SeriesDetector, period
from miniae.tasks.table_defaults import FOR_TABLES, for_table
from miniae.tasks.text import BagOfWords, Documents, read_documents
from miniae.tasks.variants import own_measures, with_labels

__all__ = [
    "FOR_TABLES", "LAYERS", "AnomalyDetector", "BagOfWords", "CodeMap", "Documents", "Finding", "ImageCompressor",
    "IndexCoder", "Neighbours", "PatchDenoiser", "Profile", "Run", "RunConfig", "RunFolder", "Segment",
    "SemanticIndex", "SeriesDetector", "Sizes", "TextureInspector", "VectorQuantisedCompressor", "advice", "bench",
    "check_ranks", "describe", "explain", "for_table", "further_settings", "load_compressor", "machine", "new_folder",
    "noise_level", "own_measures", "period", "profile", "read_documents", "still_falling", "with_labels",
]
