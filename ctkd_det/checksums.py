"""Checksums of files."""
import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits; it is read block by block."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
