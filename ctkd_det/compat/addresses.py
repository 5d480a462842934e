"""What a checkpoint may be given as: a path, or an address that a loader knows."""
import difflib
import re
from urllib.request import url2pathname

from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .downloads import insist_on_https
from .reading import CheckpointError

_ZOOS = {'open-mmlab': get_external_models, 'openmmlab': get_external_models,
         'mmcls': get_mmcls_models, 'torchvision': get_torchvision_models,
         'modelzoo': get_torchvision_models}


def checked_address(where: str) -> str:
    """A path or an address as mmengine's loaders take it; nothing is fetched.

    Args:
        where (str): A path, ``file:///...``, ``https://...``, ``s3://...``, or a
            name of one of mmengine's lists, ``open-mmlab://...``.

    Returns:
        str: A path for ``file://``; the scheme is in lower case.

    Raises:
        CheckpointError: if nothing can be there: it is http, no loader knows
            the scheme, or no list the name.
    """
    scheme, separator, rest = where.partition('://')
    if not separator or not re.fullmatch(r'[\w.+:-]+', scheme):
        return where
    # before a colon stands the name of a cluster, of which Petrel has several
    cluster, colon, scheme = scheme.rpartition(':')
    scheme = cluster + colon + scheme.lower()
    address = f'{scheme}://{rest}'
    if scheme == 'file':
        host, slash, path = rest.partition('/')
        if host not in ('', 'localhost') or not path:
            raise CheckpointError(f'{where} names no file of this machine, as '
                                  'file:///folder/file.pth does')
        return url2pathname(slash + path)
    if scheme == 'http':
        insist_on_https(address)
    if CheckpointLoader._get_checkpoint_loader(address) is CheckpointLoader._schemes['']:
        raise CheckpointError(f'{where} cannot be fetched: no loader knows {scheme}://. Give an '
                              'https:// address or a path')
    if scheme in _ZOOS:
        known = {*_ZOOS[scheme](), *(get_deprecated_model_names() if 'mmlab' in scheme else ())}
        if rest not in known:
            close = difflib.get_close_matches(rest, known, n=3)
            raise CheckpointError(f"{where} is not in mmengine's list of weights"
                                  + (f'; perhaps {" or ".join(close)}' if close else ''))
    return address
