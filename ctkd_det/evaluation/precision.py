"""What precision is on the average."""
import numpy as np


def mean_precision(precision: np.ndarray, nothing: float = np.nan) -> float:
    """The mean of an evaluation's precision, from 0 to 1.

    Args:
        precision (np.ndarray): Of any shape; -1 where there is no object.
        nothing (float): What is returned if that is so everywhere. Defaults
            to NaN.
    """
    known = precision[precision > -1]
    return float(known.mean()) if known.size else nothing
