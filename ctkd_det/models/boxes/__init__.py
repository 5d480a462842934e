from .distributions import (
    DISTRIBUTIONS,
    check_valuable_region,
    distribution_side,
    num_bins,
)

__all__ = ['DISTRIBUTIONS', 'check_valuable_region', 'distribution_side', 'num_bins']
