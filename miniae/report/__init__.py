"""How good a model is, in numbers and in pictures. matplotlib is imported when the first picture is drawn."""

from miniae.report.metrics import bce, bce_floor, knn_accuracy, mse, psnr, squared_error, squared_errors, ssim
from miniae.report.pictures import filters, images, latent, loss_curves, reconstructions
from miniae.report.rbm_pictures import histograms, monitors
from miniae.report.sparsity import (
    active_fraction,
    dead_units,
    lifetime_sparsity,
    mean_activity,
    population_sparsity,
)

__all__ = [
    "active_fraction", "bce", "bce_floor", "dead_units", "filters", "histograms", "images", "knn_accuracy", "latent",
    "lifetime_sparsity", "loss_curves", "mean_activity", "monitors", "mse", "population_sparsity", "psnr",
    "reconstructions", "squared_error", "squared_errors", "ssim",
]
