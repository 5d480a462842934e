"""Writes images and texts of small data sets in other layouts, and reads what became of them."""
import json

from PIL import Image


def image(path, size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 50).convert('RGB').save(path)


def text(path, content):
    """Write text, bytes, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def boxes(out, part='val'):
    """Class, box and crowd flag of each object."""
    content = json.loads((out / f'{part}.json').read_text())
    names = {c['id']: c['name'] for c in content['categories']}
    return [(names[b['category_id']], b['bbox'], b['iscrowd']) for b in content['annotations']]


def files(out, part='val'):
    """Names of the images."""
    return [e['file_name'] for e in json.loads((out / f'{part}.json').read_text())['images']]
