"""How good a model is, in numbers and in pictures. matplotlib is imported when the first picture is drawn.

- reconstructions: `squared_error`, `mse`, `bce`, `bce_floor`, `psnr`, `ssim`
- codes: `knn_accuracy`, `leave_one_out_accuracy`, `trustworthiness`, `continuity`, `lifetime_sparsity`, `dead_units`
- samples of a model against data: `mmd`, `classifier_test`
- classes and anomalies: `confusion_matrix`, `class_scores`, `roc_auc`, `average_precision`
- pictures: `reconstructions`, `images`, `filters`, `latent`, `latent_3d`, `thumbnails`, `loss_curves`, `sample_grid`,
  `interpolations`, `manifold`, `traversal`, `heat_maps`, `neighbours`, `ranking_curves`, `confusion_picture`
- the page of `miniae explain`: `Explanation`, `explanation_page`
"""

from miniae.report.classes import ClassScores, class_scores, confusion_matrix, confusion_picture
from miniae.report.computation import Computation, computation
from miniae.report.decoder import DecoderSteps, NotInPage, decoder_steps
from miniae.report.explanation import Explanation
from miniae.report.generated import interpolations, manifold, sample_grid, traversal
from miniae.report.heat import heat_maps
from miniae.report.maps import latent, latent_3d, thumbnails
from miniae.report.metrics import bce, bce_floor, knn_accuracy, mse, psnr, squared_error, squared_errors, ssim
from miniae.report.neighbourhoods import continuity, leave_one_out_accuracy, trustworthiness
from miniae.report.neighbours import neighbours
from miniae.report.page_html import explanation_page, is_page
from miniae.report.pictures import filters, images, loss_curves, reconstructions
from miniae.report.ranking import average_precision, precision_recall_curve, ranking_curves, roc_auc, roc_curve
from miniae.report.rbm_pictures import histograms, monitors
from miniae.report.series_pictures import series_scores, spectrograms
from miniae.report.sparsity import (
    active_fraction,
    dead_units,
    lifetime_sparsity,
    mean_activity,
    population_sparsity,
)
from miniae.report.timing_pictures import roofline_shares, step_parts
from miniae.report.two_sample import classifier_test, mmd

__all__ = [
    "ClassScores", "Computation", "DecoderSteps", "Explanation", "NotInPage", "active_fraction", "average_precision",
    "bce", "bce_floor", "class_scores", "classifier_test", "computation", "confusion_matrix", "confusion_picture",
    "continuity", "dead_units", "decoder_steps", "explanation_page", "filters", "heat_maps", "histograms", "images",
    "interpolations", "is_page", "knn_accuracy", "latent", "latent_3d", "leave_one_out_accuracy",
    "lifetime_sparsity", "loss_curves", "manifold", "mean_activity", "mmd", "monitors", "mse", "neighbours",
    "population_sparsity", "precision_recall_curve", "psnr", "ranking_curves", "reconstructions", "roc_auc",
    "roc_curve", "roofline_shares", "sample_grid", "series_scores", "spectrograms", "squared_error", "squared_errors",
    "ssim", "step_parts", "thumbnails", "traversal", "trustworthiness",
]
