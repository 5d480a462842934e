"""Downloads checkpoints: over https only, and with the hash that is in their names."""
import hashlib
import http.client
import re
import shutil
import tempfile
import urllib.request
from pathlib import Path
from typing import Optional
from urllib.parse import urlparse

import torch
from rich.progress import wrap_file

from ..checksums import sha256
from .reading import CheckpointError

# publish_model.py of mmdet, and torch, put the first digits of a file's SHA-256 at its end;
# eight digits of a date look like them
_DIGEST = re.compile(r'-(?!20\d\d[01]\d[0-3]\d\.)([0-9a-f]{8,64})\.\w+$')


def fetch(url: str, folder: Optional[str] = None, progress: bool = True) -> Path:
    """Download a checkpoint, unless it is there already.

    Args:
        url (str): It must begin with ``https://``. So must redirections.
        folder (str, optional): Where to keep it. Defaults to None, torch's own.
        progress (bool): Whether to show it. Defaults to True.

    Returns:
        Path: The file.

    Raises:
        CheckpointError: if the URL is of another kind, the download fails, or
            the file does not have the hash that its name states.
    """
    insist_on_https(url)
    target = Path(folder or Path(torch.hub.get_dir(), 'checkpoints')) / _kept_as(url)
    if target.exists():
        _check_digest(target, _name(url), f'{target} of {url} is refused (remove it)')
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # in a folder beside the target, and moved there when it is complete
        with tempfile.TemporaryDirectory(dir=target.parent) as partial:
            file = Path(partial, target.name)
            _download(url, file, progress)
            _check_digest(file, _name(url), f'{url} is refused')
            file.replace(target)
    except (OSError, http.client.HTTPException) as error:
        raise CheckpointError(
            f'{url} could not be downloaded ({error}). Fetch it where there is a network and '
            'give its path instead.') from error
    return target


class _OnlyHttps(urllib.request.HTTPRedirectHandler):

    def redirect_request(self, request, response, code, message, headers, url):
        insist_on_https(url)
        return super().redirect_request(request, response, code, message, headers, url)


def _download(url: str, file: Path, progress: bool) -> None:
    request = urllib.request.Request(url, headers={'User-Agent': 'ctkd-det'})
    with urllib.request.build_opener(_OnlyHttps).open(request, timeout=60) as response:
        size = response.headers.get('Content-Length')
        with open(file, 'wb') as target, wrap_file(
                response, int(size or 0), description=_name(url),
                disable=not (progress and size)) as reader:
            shutil.copyfileobj(reader, target)
    if size and file.stat().st_size != int(size):
        raise OSError(f'it ended after {file.stat().st_size} of {size} bytes')


def insist_on_https(url: str) -> None:
    """Refuse any other kind of address.

    Raises:
        CheckpointError: if it is one.
    """
    if urlparse(url).scheme != 'https':
        raise CheckpointError(f'{url} could not be downloaded: it is not https, so anybody on the '
                              'way could change the file; give its https:// address or a path')


def _name(url: str) -> str:
    name = Path(urlparse(url).path).name
    if not name:
        raise CheckpointError(f'{url} could not be downloaded: it names no file')
    return name


def _kept_as(url: str) -> str:
    """The file's name; two URLs share one only if it states the hash of what they contain."""
    name = _name(url)
    if _DIGEST.search(name):
        return name
    return f'{hashlib.sha256(url.encode()).hexdigest()[:8]}_{name}'


def _check_digest(file: Path, name: str, refusal: str) -> None:
    stated = _DIGEST.search(name)
    if stated is None:
        return
    digest = sha256(file)
    if not digest.startswith(stated.group(1)):
        raise CheckpointError(f'{refusal}: its SHA-256 begins with {digest[:8]}, '
                              f'its name says {stated.group(1)}')
