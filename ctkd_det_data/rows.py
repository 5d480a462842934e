"""Checks that images and categories are listed once, with unique ids and names."""
import json
from collections import Counter
from typing import Iterator, List

from .alike import ALIKE, SPELL, pairs
from .findings import FAIL, WARN, Finding, Tally, row


def images(part) -> Iterator[Finding]:
    """Check that each image has one row and one id."""
    yield from _repeated(part, 'images')
    yield from _one_id_twice(part, 'images', 'file_name', 'give each image an id of its own')
    yield from _one_file_twice(part)


def categories(part) -> Iterator[Finding]:
    """Check that each category has one row, one id and a name of its own."""
    entries = part.content['categories']
    text = Tally(part.file, len(entries), 'categories')
    for index, entry in enumerate(entries):
        if not isinstance(entry['name'], str):
            text.add(f'{row("categories", index, entry)} has name={entry["name"]!r}')
            entry['name'] = str(entry['name'])
    if text:
        yield text.finding(FAIL, 'have a name that is no text', 'write names as text', 'as text')
    yield from _templates(part)
    yield from _repeated(part, 'categories')
    yield from _one_id_twice(part, 'categories', 'name', 'give each category an id of its own, '
                             'and its boxes that id')
    yield from _one_name_twice(part)
    if alike := pairs(entry['name'] for entry in part.content['categories']):
        yield Finding(WARN, part.file, f'{alike} {ALIKE}', SPELL)


def _templates(part) -> Iterator[Finding]:
    """Find names with ``{{``, which MMEngine replaces in a config's text.

    What it replaces can end the quotation, so such a name could run code.
    """
    entries = part.content['categories']
    wrong = Tally(part.file, len(entries), 'categories')
    for index, entry in enumerate(entries):
        if '{{' in entry['name']:
            wrong.add(f'{row("categories", index, entry)} has name={entry["name"]!r}')
    if wrong:
        yield wrong.finding(FAIL, "have '{{' in their names, which MMEngine replaces in a config",
                            'give them other names')


def _repeated(part, key: str) -> Iterator[Finding]:
    """Remove rows that repeat another one exactly."""
    entries = part.content[key]
    ids = Counter(entry['id'] for entry in entries)
    if len(ids) == len(entries):
        return
    seen, kept = set(), []
    again = Tally(part.file, len(entries), key)
    for index, entry in enumerate(entries):
        text = json.dumps(entry, sort_keys=True)
        if ids[entry['id']] > 1 and text in seen:
            name = entry['file_name' if key == 'images' else 'name']
            again.add(f'{row(key, index, entry)}, {name!r}, which is equal to an earlier row')
        else:
            kept.append(entry)
        seen.add(text)
    if again:
        part.content[key] = kept
        yield again.finding(FAIL, 'are repetitions of others (equal rows)',
                            'delete the repetitions; labels are positions in that list'
                            if key == 'categories' else 'delete the repetitions', 'once')


def _one_id_twice(part, key: str, name: str, mend: str) -> Iterator[Finding]:
    first, wrong = {}, Tally(part.file, len(part.content[key]), key)
    for entry in part.content[key]:
        other = first.setdefault(entry['id'], entry)
        if other is not entry:
            wrong.add(f'id {entry["id"]!r} is {other[name]!r} and {entry[name]!r}')
    if wrong:
        yield wrong.finding(FAIL, 'have the id of another one', mend)


def _one_file_twice(part) -> Iterator[Finding]:
    """Join images that are listed under several ids.

    Otherwise the boxes of one are background in the others.
    """
    entries = part.content['images']
    first, new = {}, {}
    again = Tally(part.file, len(entries), 'images')
    for entry in entries:
        other = first.setdefault(str(entry['file_name']), entry)
        if other['id'] != entry['id']:
            again.add(f'{entry["file_name"]!r} is image {other["id"]!r} and {entry["id"]!r}')
            new[entry['id']] = other['id']
    if again:
        part.content['images'] = [entry for entry in entries if entry['id'] not in new]
        for box in part.content['annotations']:
            box['image_id'] = new.get(box['image_id'], box['image_id'])
        yield again.finding(FAIL if again.share > 0.05 else WARN,
                            'are listed before under another id, so the boxes of one row are '
                            'background in the other', 'list each image once',
                            'one image with the boxes of all its rows')


def _one_name_twice(part) -> Iterator[Finding]:
    entries = part.content['categories']
    used = {box['category_id'] for box in part.content['annotations']}
    for name, number in Counter(entry['name'] for entry in entries).items():
        if number == 1:
            continue
        rows = [entry for entry in entries if entry['name'] == name]
        ids = [entry['id'] for entry in rows]
        if len(set(ids)) < len(ids):
            continue  # the same id twice is another finding
        where = [f'{row("categories", entries.index(r))} with id {r["id"]!r}' for r in rows]
        what = f'the category {name!r} is listed {number} times: {", ".join(where)}'
        with_boxes = [entry for entry in rows if entry['id'] in used]
        if len(with_boxes) <= 1:
            keep = with_boxes[0] if with_boxes else rows[-1]
            empty = [entry for entry in rows if entry is not keep]
            _drop(part, empty)
            yield Finding(
                FAIL, part.file, f'{what}. No box has {_ids(empty)}'
                + (', the name of the group' if _is_group(empty[0]) else '')
                + ', but labels are positions in that list, so MMDetection would count it',
                f'delete the row of {_ids(empty)}', f'only the row of id {keep["id"]!r}')
        elif len({json.dumps(e.get('supercategory')) for e in rows}) == 1:
            new = {i: ids[0] for i in ids}
            for box in part.content['annotations']:
                box['category_id'] = new.get(box['category_id'], box['category_id'])
            _drop(part, rows[1:])
            yield Finding(FAIL, part.file, what, 'keep one row and give all its boxes that id',
                          f'one class with id {ids[0]!r}')
        else:
            yield Finding(FAIL, part.file, f'{what}; several of them have boxes',
                          'give them different names, or their boxes one id')


def _drop(part, unwanted: List[dict]) -> None:
    gone = {id(entry) for entry in unwanted}
    part.content['categories'] = [e for e in part.content['categories'] if id(e) not in gone]


def _is_group(entry: dict) -> bool:
    return entry.get('supercategory') == 'none'


def _ids(entries: List[dict]) -> str:
    return ', '.join(f'id {entry["id"]!r}' for entry in entries)


def class_names(entries: List[dict], used: set) -> tuple:
    """Names by label, without Roboflow's first entry, which names the group and has no box."""
    groups = {str(entry.get('supercategory')) for entry in entries}
    return tuple(entry['name'] for entry in entries
                 if entry['id'] in used or entry['name'] not in groups or not _is_group(entry))
