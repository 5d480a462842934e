from .comparison import compares_classes
from .distributions import (
    DISTRIBUTIONS,
    check_valuable_region,
    distribution_side,
    num_bins,
)
from .roi import check_regressor, is_foreground, regressed, roi_box_side

__all__ = [
    'DISTRIBUTIONS', 'check_regressor', 'check_valuable_region', 'compares_classes',
    'distribution_side', 'is_foreground', 'num_bins', 'regressed', 'roi_box_side'
]
