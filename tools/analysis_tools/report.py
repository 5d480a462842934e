"""Write an interactive report on runs; the same as ``ctkd-det report``."""
from ctkd_det_cli.report import report

if __name__ == '__main__':
    report()
