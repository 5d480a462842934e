"""Plot the temperature of one or more runs; the same as ``ctkd-det plot``."""
from ctkd_det_cli.tools import plot

if __name__ == '__main__':
    plot()
