"""The list of commands."""
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

import click

from .convert import data
from .distill import distill
from .doctor import doctor
from .export import export
from .replay import replay
from .report import report
from .tools import benchmark, demo, plot, test
from .training import train


def _version() -> str:
    try:
        return version('ctkd_det')
    except PackageNotFoundError:
        return 'not installed, running from a checkout'


@click.group(context_settings=dict(help_option_names=['-h', '--help']))
@click.version_option(_version(), prog_name='ctkd-det')
def cli() -> None:
    """Distil MMDetection's detectors with a temperature that learns.

    \b
    ctkd-det doctor                    does everything work together?
    ctkd-det demo                      see it on a small data set
    ctkd-det distill STUDENT --teacher TEACHER --teacher-ckpt auto
    ctkd-det distill --help            what STUDENT and TEACHER may be
    """
    # what an output's encoding cannot show must not end a training
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='replace')
    # mmengine imports it, also where ctkd_det is not imported; requirements/ keep it importable
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')


for command in (demo, distill, train, test, report, plot, export, doctor, data, benchmark,
                replay):
    cli.add_command(command)
