"""Looks at the data that a config trains and validates on, before anything is built."""
import copy
import logging
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Set, Tuple

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from ctkd_det_data import FAIL, DataError, Finding, Part, check, read
from ctkd_det_data.splits import apart
from ..configs import leaf_datasets, registered_class
from .evaluators import judged_by, judges_of

# what has been looked at in this process and was found fit
_FIT: Set[tuple] = set()
# findings that an error lists
_MOST = 10


def check_data(cfg: Any, parts: Sequence[str] = ('train', 'val'),
               strict: bool = True) -> List[Finding]:
    """Look at the data sets of a config; the same files are looked at once in a process.

    Args:
        cfg (Config): Of a training. Files elsewhere than on this machine,
            and data sets of other kinds than ``CocoDataset``, are passed over,
            which the log says.
        parts (Sequence[str]): Of 'train', 'val' and 'test', those that are
            looked at. Defaults to ('train', 'val').
        strict (bool): Whether what is wrong for certain raises an error.
            Defaults to True.

    Returns:
        list[Finding]: What is wrong; nothing if it was looked at before.

    Raises:
        DataError: if nothing, or something wrong, would be learnt or
            evaluated, and ``strict`` is True; or if a ``CocoDataset`` cannot be
            built with what names its file.
    """
    by_name = {name: list(_parts(cfg, name)) for name in parts}
    found = [part for name in parts for part in by_name[name]]
    judges = {name: judges_of(cfg, name) for name in parts}
    key = (*map(_key, found), *(str(file) for files in judges.values() for file in files))
    if key in _FIT:
        return []
    findings: List[Finding] = []
    for part in found:
        findings += _of_config(part, cfg)
        if part.file.is_file():
            content, on_the_way = read(part.file)
            part.content.update(content)
            findings += [*on_the_way, *check(part)]
        else:
            raise DataError(f'there is no annotation file {part.file.absolute()}',
                            'correct data_root and ann_file of the data set')
    findings += _apart(found)
    for name in parts:
        findings += judged_by(by_name[name], judges[name], name)
    for part in found:
        part.content.clear()  # of COCO, gigabytes
    wrong = [str(finding) for finding in findings if finding.level == FAIL]
    if strict and wrong:
        more = f'\nand {len(wrong) - _MOST} more' if len(wrong) > _MOST else ''
        raise DataError('\n'.join(wrong[:_MOST]) + more, '' if not _mendable(findings) else
                        'ctkd-det distill --data, which writes a cleaned copy of the file')
    _FIT.add(key)
    return findings


def _parts(cfg: Any, name: str) -> Iterator[Part]:
    """The COCO files behind a dataloader, each once."""
    seen = set()
    for config in leaf_datasets((cfg.get(f'{name}_dataloader') or {}).get('dataset')):
        part = _part(config, name)
        if part and (part.file, part.images) not in seen:
            seen.add((part.file, part.images))
            yield part


def _part(config: dict, name: str) -> Optional[Part]:
    kind = registered_class(DATASETS, config.get('type'))
    file, root = config.get('ann_file'), config.get('data_root') or ''
    if kind is CocoDataset and isinstance(file, (list, tuple)):
        raise DataError(f'the {name} data set has a list of {len(file)} files as ann_file, which '
                        'MMDetection 2.x took and 3 does not',
                        "write type='ConcatDataset', datasets=[...] with a CocoDataset for each")
    if kind is None or not isinstance(file, str):
        return _pass_over(config, 'it states no single ann_file of a registered data set')
    if not issubclass(kind, CocoDataset) or any(
            getattr(kind, method) is not getattr(CocoDataset, method)
            for method in ('load_data_list', 'parse_data_info')):
        return _pass_over(config, 'it reads another format than CocoDataset')
    if '://' in f'{root} {file}' or (config.get('backend_args') or {}).get('backend', 'local') \
            != 'local':
        return _pass_over(config, 'its files are not on this machine')
    prefix = config.get('data_prefix') or {}
    rules = config.get('filter_cfg') or {}
    evaluated = name != 'train' or bool(config.get('test_mode'))
    return Part(
        Path(root, file), Path(root, prefix.get('img', prefix.get('img_path', ''))), {},
        evaluated=evaluated, min_size=0 if evaluated else rules.get('min_size', 0),
        classes=class_names(config), masks=any(
            step.get('with_mask') for step in config.get('pipeline') or ()
            if hasattr(step, 'get')), settings=config)


def _pass_over(config: dict, why: str) -> None:
    print_log(f'The data set {config.get("type")} is not looked at: {why}.', 'current',
              logging.INFO)


def class_names(config: dict) -> Tuple[str, ...]:
    """The classes of the data set that a config describes, none if it states none.

    They are what the built one says: its ``metainfo``, from a file, too, or its type's own.
    """
    kind: Any = registered_class(DATASETS, config['type'])
    if not hasattr(kind, '_load_metainfo'):
        return ()
    classes = kind._load_metainfo(copy.deepcopy(config.get('metainfo'))).get('classes') or ()
    return (classes, ) if isinstance(classes, str) else tuple(classes)


def _of_config(part: Part, cfg: Any) -> Iterator[Finding]:
    """What the config says of the classes: under the right name, as many as the head has."""
    metainfo = part.settings.get('metainfo') or {}
    stated = metainfo.get('classes')
    others = [key for key in metainfo if key.lower() in ('class', 'classes', 'class_names', 'names')
              and key != 'classes']
    if isinstance(stated, str) and not Path(stated).is_file():
        yield Finding(FAIL, part.file, f"metainfo's classes is the text {stated!r}, not a tuple",
                      f'write classes=({stated!r}, ), with the comma')
    elif stated is None and others:
        yield Finding(FAIL, part.file, f'metainfo has {others[0]!r}, which MMDetection ignores, so '
                      f'that it takes the {len(part.classes)} names of COCO',
                      'write classes=..., in lower case')
    for heads in _class_counts(cfg.get('model')):
        if heads != len(part.classes) and not part.settings.get('return_classes'):
            yield Finding(FAIL, part.file, f'the data set has {len(part.classes)} classes'
                          + ('' if stated else ' (COCO\'s: metainfo names none)')
                          + f', the head of the model has num_classes={heads}',
                          'make metainfo.classes and num_classes agree')


def _class_counts(model: Any) -> List[int]:
    """``num_classes`` of the box heads of a detector, as far as the config states them."""
    if not hasattr(model, 'get'):
        return []
    heads = (model.get('roi_head') or model).get('bbox_head')
    heads = heads if isinstance(heads, (list, tuple)) else [heads]
    return list(dict.fromkeys(head['num_classes'] for head in heads
                              if hasattr(head, 'get') and 'num_classes' in head))


def _apart(parts: Sequence[Part]) -> Iterator[Finding]:
    for train in parts:
        for val in parts:
            if not train.evaluated and val.evaluated:
                yield from apart(train, val)


def _mendable(findings: Sequence[Finding]) -> bool:
    return any(finding.read_as and finding.level == FAIL for finding in findings)


def _key(part: Part) -> tuple:
    stat = part.file.stat() if part.file.is_file() else None
    return (str(part.file.absolute()), str(part.images.absolute()), part.classes, part.evaluated,
            part.min_size, part.masks, stat and (stat.st_size, stat.st_mtime_ns))
