"""Describes a folder without annotations in the usual places, and says what to do."""
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from .findings import DataError
from .reading import has_lists, read_json

# other tools put their files no deeper; the limit ends the walk through a home folder
_DEPTH, _FILES, _ENTRIES = 3, 12, 20000


def describe(root: Path) -> Tuple[str, str]:
    """Describe the folder: its JSON files with their numbers, and the tool that wrote it.

    Returns:
        tuple: What there is, and what to do with it, or ''.
    """
    files = _walk(root)
    jsons = {f: _look(f) for f in files if f.suffix.lower() == '.json'}
    lines = []
    if jsons:
        lines.append('JSON files that are there:')
        lines += [f'  {f.relative_to(root)}: {json.what}'
                  for f, json in list(jsons.items())[:_FILES]]
        lines += [f'  and {len(jsons) - _FILES} more'] if len(jsons) > _FILES else []
    else:
        lines.append('There is no JSON file in it')
    return '\n'.join(lines), '\n'.join(dict.fromkeys(_guesses(root, files, jsons)))


@dataclass(frozen=True)
class _Json:
    """What a JSON file is; it may hold an image, and is read once and not kept.

    Attributes:
        what: In words.
        kind: The tool that wrote it, if it is not COCO's format.
        coco: Whether it has the lists of COCO's format.
    """
    what: str
    kind: Optional[str] = None
    coco: bool = False


def _convert(root: Path) -> str:
    return f'ctkd-det data {shlex.quote(str(root))} OUT turns it into what is wanted'


def _walk(root: Path) -> List[Path]:
    found: List[Path] = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        if len(Path(folder).relative_to(root).parts) >= _DEPTH or len(found) > _ENTRIES:
            folders.clear()
        found += [Path(folder, name) for name in sorted(names)]
    return found


def _look(file: Path) -> _Json:
    try:
        content = read_json(file, unique=False)[0]
    except DataError:
        return _Json('no JSON')
    kind = _kind(content)
    if isinstance(content, dict) and isinstance(content.get('images'), list):
        boxes = content.get('annotations')
        number = f'{len(boxes)} boxes' if isinstance(boxes, list) else 'no boxes'
        what = f'{len(content["images"])} images, {number}'
    else:
        what = f'not COCO{f", {kind}" if kind else ""}'
    return _Json(what, kind, has_lists(content))


def _kind(content: object) -> Optional[str]:
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return None
    if {'shapes', 'imagePath'} <= first.keys():
        return 'labelme'
    if isinstance(content, list) and ({'data', 'annotations'} <= first.keys()
                                      or {'data', 'completions'} <= first.keys()):
        return 'Label Studio'
    if '_via_img_metadata' in first or any(
            isinstance(v, dict) and {'regions', 'filename'} <= v.keys() for v in first.values()):
        return 'VIA'
    if {'classes', 'labels'} <= first.keys():
        return 'FiftyOne'
    return None


def _guesses(root: Path, files: List[Path], jsons: Dict[Path, _Json]) -> Iterator[str]:
    names = {f.name for f in files}
    texts = [f for f in files if f.suffix == '.txt' and 'labels' in f.parts]
    if texts or any(f.suffix in ('.yaml', '.yml') and 'data' in f.stem for f in files) \
            and any(f.suffix == '.txt' for f in files):
        yield f'This looks like YOLO: {_convert(root)}.'
    if any(f.suffix.lower() == '.xml' for f in files):
        yield f'This looks like Pascal VOC (XML files): {_convert(root)}.'
    if any(json.kind == 'labelme' for json in list(jsons.values())[:3]):
        yield f'This looks like labelme (a JSON file for each image): {_convert(root)}.'
    fiftyones = [f for f in jsons if f.stem == 'labels' and (f.parent / 'data').is_dir()]
    yield from _misplaced(root, [f for f in jsons if jsons[f].coco and f not in fiftyones])
    if 'result.json' in names:
        yield ('result.json is the COCO export of Label Studio, all images in one: '
               'ctkd-det data splits it into train.json and val.json.')
    for f in jsons:
        if f.stem == 'instances_default':
            yield (f'{f.name} is the COCO export of CVAT, all images in one: '
                   'ctkd-det data splits it into train.json and val.json.')
    if len(fiftyones) > 1:
        yield ('labels.json beside data/ is how FiftyOne exports COCO: call the folders of the two '
               'parts train and val.')
    if 'result.json' not in names and sum(json.coco for json in jsons.values()) == 1:
        yield ('There is one COCO file, not a part for training and one for validation: '
               'ctkd-det data splits it.')
    for inner in sorted({root / f.relative_to(root).parts[0] for f in files}):
        if _has_both(inner):
            yield f'The folder that is meant is probably {inner}.'
    if root.name.lower() in ('train', 'val', 'valid') and _has_both(root.parent):
        yield f'The folder that is meant is probably {root.parent}.'


def _misplaced(root: Path, cocos: List[Path]) -> Iterator[str]:
    """Suggest COCO files whose path contains ``train`` or ``val`` in another spelling."""
    for part in ('train', 'val'):
        near = [f for f in cocos if part in f.relative_to(root).as_posix().lower()
                and 'trainval' not in f.stem.lower()]
        if near:
            yield (f'For {part}, {near[0].relative_to(root)} is probably meant: call it '
                   f'{part}.json in {root}.')


def _has_both(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {f.relative_to(folder).as_posix().lower() for f in _walk(folder)}
    return all(any(part in name for name in names if name.endswith('.json'))
               for part in ('train', 'val'))
