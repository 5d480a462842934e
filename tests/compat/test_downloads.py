"""Checkpoints come over https only, whole, and with the hash that their names state."""
import hashlib
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

import ctkd_det  # noqa: F401
from ctkd_det.compat import downloads
from ctkd_det.compat.reading import CheckpointError


def load(url: str) -> dict:
    return CheckpointLoader.load_checkpoint(url, map_location='cpu')


def cached(tmp_path) -> list:
    return sorted(p.name for p in (tmp_path / 'cache' / 'hub' / 'checkpoints').glob('*'))


def test_the_hash_in_a_name_is_checked_whenever_it_is_loaded(served, tmp_path):
    folder, url = served
    torch.save(dict(state_dict=dict(w=torch.ones(1))), folder / 'model.pth')
    content = (folder / 'model.pth').read_bytes()
    right = f'model_2x_20200101-{hashlib.sha256(content).hexdigest()[:8]}.pth'
    for name in (right, 'model-20240131.pth'):  # a date is no hash
        (folder / name).write_bytes(content)
        assert load(f'{url}/{name}')['state_dict']['w'] == 1
    (folder / 'model-0badc0de.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'model-0badc0de\.pth is refused: its SHA-256'):
        load(f'{url}/model-0badc0de.pth')
    of_url = hashlib.sha256(f'{url}/model-20240131.pth'.encode()).hexdigest()[:8]
    assert cached(tmp_path) == [f'{of_url}_model-20240131.pth', right]
    (tmp_path / 'cache' / 'hub' / 'checkpoints' / right).write_bytes(content + b'1')
    with pytest.raises(CheckpointError, match=r'remove it\): its SHA-256'):
        load(f'{url}/{right}')


def test_two_urls_that_end_alike_are_two_files(served):
    folder, url = served
    for value, name in enumerate(('a/model.pth', 'b/model.pth')):
        (folder / name).parent.mkdir()
        torch.save(dict(state_dict=dict(w=torch.tensor(value))), folder / name)
    for _ in range(2):  # the second time from where they are kept
        assert [int(load(f'{url}/{name}/model.pth')['state_dict']['w']) for name in 'ab'] == [0, 1]


@pytest.mark.parametrize('url', ['http://example.com/a.pth', 'http://127.0.0.1:9/a.pth'])
def test_http_is_refused_unopened(url, monkeypatch):
    monkeypatch.setattr(downloads, '_download', None)
    with pytest.raises(CheckpointError, match=rf'{url} .*https'):
        load(url)


def test_a_way_that_leaves_https_is_refused(served, tmp_path, monkeypatch):
    folder, url = served

    def redirect(self):
        self.send_response(302)
        self.send_header('Location', 'http://example.com/evil.pth')
        self.end_headers()

    monkeypatch.setattr('http.server.SimpleHTTPRequestHandler.do_GET', redirect)
    with pytest.raises(CheckpointError, match=r'http://example\.com/evil\.pth .*not https'):
        load(f'{url}/a.pth')
    assert cached(tmp_path) == []


def test_a_download_that_ends_early_is_not_kept(served, tmp_path, monkeypatch):
    folder, url = served

    def half(self: BaseHTTPRequestHandler):
        self.send_response(200)
        self.send_header('Content-Length', '1000')
        self.end_headers()
        self.wfile.write(b'1' * 10)

    monkeypatch.setattr('http.server.SimpleHTTPRequestHandler.do_GET', half)
    with pytest.raises(CheckpointError, match='could not be downloaded'):
        load(f'{url}/a.pth')
    assert cached(tmp_path) == []


def test_a_server_without_trusted_certificate_is_refused(served, monkeypatch):
    folder, url = served
    (folder / 'a.pth').write_bytes(Path(__file__).read_bytes())
    monkeypatch.delenv('SSL_CERT_FILE')
    with pytest.raises(CheckpointError, match=r'a\.pth could not be downloaded.*certificate'):
        load(f'{url}/a.pth')
