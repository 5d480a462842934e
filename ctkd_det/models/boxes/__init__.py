from .dense import check_dense_boxes, dense_box_side, location_boxes
from .distributions import (
    DISTRIBUTIONS,
    check_valuable_region,
    distribution_side,
    num_bins,
)
from .roi import check_regressor, regressed, roi_box_side

__all__ = [
    'DISTRIBUTIONS', 'check_dense_boxes', 'check_regressor', 'check_valuable_region',
    'dense_box_side', 'distribution_side', 'location_boxes', 'num_bins',
    'regressed', 'roi_box_side'
]
