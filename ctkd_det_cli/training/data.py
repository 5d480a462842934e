"""Checks from a config that the training's data exist and are fit for training."""
import os
from typing import Any, Optional

import click

from ctkd_det_data import DataError

PARTS = dict(train='training', val='validation')
OWN_DATA = '. To distil on a data set of your own: ctkd-det distill ... --data FOLDER'


def missing_data(cfg: Any) -> Optional[str]:
    """The first annotation file that is not there, in a sentence without its end.

    Only local files are looked at; None if all are there.
    """
    from ctkd_det.configs import leaf_datasets
    for part, name in PARTS.items():
        loader = cfg.get(f'{part}_dataloader') or {}
        for file in map(_ann_file, leaf_datasets(loader.get('dataset'))):
            if file and '://' not in file and not os.path.exists(file):
                return f'the {name} data are not there: {os.path.abspath(file)} does not exist'
    return None


def look_at_data(cfg: Any) -> None:
    """Do what ``CheckDataHook`` does, but before the data sets are built, which may fail.

    Every config is looked at, also one without that hook. If the last one has
    ``strict=False``, there are only warnings. Of several processes the first one
    looks.

    Raises:
        click.ClickException: if nothing, or something wrong, would be learnt.
    """
    if os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) != '0':
        return
    from ctkd_det.configs import type_name
    from ctkd_det.datasets.configured import check_data
    default = [hook for hook in (cfg.get('default_hooks') or {}).values() if hook]
    hooks = [hook for hook in [*default, *(cfg.get('custom_hooks') or ())]
             if type_name(hook) == 'CheckDataHook']
    try:
        findings = check_data(cfg, strict=not hooks or hooks[-1].get('strict', True))
    except DataError as error:
        raise click.ClickException(str(error)) from error
    for finding in findings:
        click.echo(f'Warning: {finding}', err=True)


def _ann_file(dataset: dict) -> Optional[str]:
    """Its path or address; None if it states none, or one in a file system of its own."""
    file, root = dataset.get('ann_file'), dataset.get('data_root') or ''
    if not isinstance(file, str) or not file or dataset.get('backend_args'):
        return None
    return file if '://' in file else os.path.join(root, file)
