"""Fixtures: data and teachers are made once per worker."""
import functools
import gc
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import helpers  # noqa: E402
import quick_mmengine  # noqa: E402, F401


def pytest_collection_finish():
    """Keep what was imported out of the garbage collections that MMEngine's data sets start."""
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Whole runs first, so that no worker is left with a long file while the others are done."""
    items.sort(key=lambda item: item.path.parent.name not in ('integration', 'reliability', 'cli'))


@pytest.fixture(autouse=True)
def no_runner_before():
    """A Runner leaves its state and its visualizer to the next one of the same process."""
    from mmdet.visualization import DetLocalVisualizer
    from mmengine.logging import MessageHub
    for manager in (MessageHub, DetLocalVisualizer):
        manager._instance_dict.clear()


@pytest.fixture(scope='session')
def shapes(tmp_path_factory) -> Path:
    """Folder of a data set with 8 + 8 images."""
    return helpers.make_shapes(tmp_path_factory.mktemp('shapes'))


@pytest.fixture(scope='session')
def teacher(tmp_path_factory) -> dict:
    """The detector's arguments for a teacher with random weights."""
    return helpers.make_teacher(tmp_path_factory.mktemp('teacher'))


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder behind an https server on this machine that is trusted, and its URL."""
    if shutil.which('openssl') is None:
        pytest.skip('needs openssl, which makes the certificate of a server')
    certificate = tmp_path / 'certificate.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                    '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1',
                    '-keyout', str(certificate) + '.key', '-out', str(certificate)],
                   check=True, capture_output=True)
    monkeypatch.setenv('SSL_CERT_FILE', str(certificate))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'www').mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / 'www'))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, str(certificate) + '.key')
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / 'www', f'https://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.fixture
def coco_mini() -> Path:
    """125 real COCO images; the test is skipped where they are absent."""
    if not helpers.COCO_MINI.is_dir():
        pytest.skip(f'needs {helpers.COCO_MINI.name}, real COCO images beside the checkout')
    return helpers.COCO_MINI
