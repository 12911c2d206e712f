"""Layers that own parameters, and models made of them.

- `Layer`, what all layers have; `Sequential`, one after the other
- dense: `Dense`, `TiedDense`, `Activation`, `Flatten`, `Reshape`
- images: `Conv2D`, `ConvTranspose2D`, `MaxPool2D`, `AvgPool2D`, `UpSample2D`, `Crop`
- series: `Conv1D`, `ConvTranspose1D`, `MaxPool1D`, `AvgPool1D`, `UpSample1D`, `Crop1D`
- normalisation: `BatchNorm`, `LayerNorm`, `UnitNorm`
- noise, in training only: `Dropout`, `GaussianNoise`, `Masking`, `SaltAndPepper`
- what parameters are, and where they lie: `Parameter`, `ParameterPack`, `Build`
"""

from miniae.nn.conv import Conv2D, ConvTranspose2D
from miniae.nn.dense import Dense, TiedDense
from miniae.nn.layer import LAYERS, Build, Layer, layer_config, layer_from_config
from miniae.nn.noise import Dropout, GaussianNoise, Masking, SaltAndPepper
from miniae.nn.normalization import BatchNorm, LayerNorm, UnitNorm
from miniae.nn.parameter import Parameter, ParameterPack
from miniae.nn.pooling import AvgPool2D, Crop, MaxPool2D, UpSample2D
from miniae.nn.sequential import Sequential
from miniae.nn.series import AvgPool1D, Conv1D, ConvTranspose1D, Crop1D, MaxPool1D, UpSample1D
from miniae.nn.shape import Activation, Flatten, Reshape

__all__ = ["LAYERS", "Activation", "AvgPool1D", "AvgPool2D", "BatchNorm", "Build", "Conv1D", "Conv2D",
           "ConvTranspose1D", "ConvTranspose2D", "Crop", "Crop1D", "Dense", "Dropout", "Flatten", "GaussianNoise",
           "Layer", "LayerNorm", "Masking", "MaxPool1D", "MaxPool2D", "Parameter", "ParameterPack", "Reshape",
           "SaltAndPepper", "Sequential", "TiedDense", "UnitNorm", "UpSample1D", "UpSample2D", "layer_config",
           "layer_from_config"]
