"""Data sets, the user's own files, scaling, splitting, corruption, and files written whole or not at all.

- data sets and files: `load`, `find`, `read`, `Dataset`, `Samples`, `write`
- batches from anywhere: `Stream`; sparse matrices: `Sparse`; ratings: `Ratings`, `read_ratings`
- getting data ready: `split`, `balanced`, `Scaler`, `Standard`, `make_scaler`, `gaussian_noise`, `masking`,
  `salt_and_pepper`, `Windows`
- pictures and sounds: `read_picture`, `write_picture`, `write_images`, `read_wav`, `write_wav`, `stft`, `istft`
- files written whole or not at all: `writing`, `save_tensors`, `load_tensors`
- what is wrong, in one line: `DataError`, `StorageError`
"""

from miniae.data.arrays import as_array
from miniae.data.corruption import gaussian_noise, masking, salt_and_pepper
from miniae.data.datasets import DATASETS, Dataset, about_columns, find, load
from miniae.data.errors import DataError, StorageError
from miniae.data.files import Samples, read, write
from miniae.data.images import eight_bits, write_images
from miniae.data.pictures import picture_files, read_picture, write_picture
from miniae.data.ratings import Ratings, read_ratings
from miniae.data.rows import Kept, Order, Rows, rows_on
from miniae.data.scaling import SCALINGS, Scaler, Standard, make_scaler, scaler_from
from miniae.data.sound import read_wav, write_wav
from miniae.data.sparse import Sparse
from miniae.data.spectrum import griffin_lim, istft, stft, wiener_gain
from miniae.data.split import balanced, split
from miniae.data.storage import load_tensors, save_tensors
from miniae.data.stream import Stream
from miniae.data.whole_files import check_unused, write_json, write_table, write_text, writing
from miniae.data.windows import Windows

__all__ = [
    "DATASETS", "SCALINGS", "DataError", "Dataset", "Kept", "Order", "Ratings", "Rows", "Samples", "Scaler", "Sparse",
    "Standard", "StorageError", "Stream", "Windows", "about_columns", "as_array", "balanced", "check_unused",
    "eight_bits", "find", "gaussian_noise", "griffin_lim", "istft", "load", "load_tensors", "make_scaler", "masking",
    "picture_files", "read", "read_picture", "read_ratings", "read_wav", "rows_on", "salt_and_pepper", "save_tensors",
    "scaler_from", "split", "stft", "wiener_gain", "write", "write_images", "write_json", "write_picture",
    "write_table", "write_text", "write_wav", "writing",
]
