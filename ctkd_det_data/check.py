"""All checks of one annotation file and its images."""
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Mapping, Optional, Set, Tuple

from . import boxes, joins, numbers, objects, pictures, rows
from .findings import FAIL, OK, Finding
from .image_folder import ImageFolder


@dataclass
class Part:
    """A file, its images, and what a config does with them.

    Attributes:
        file: The annotation file.
        images: The folder that its ``file_name`` entries are relative to.
        content: What the file says, as :func:`ctkd_det_data.read` returns it.
        evaluated: Whether it is evaluated on, rather than trained on.
        min_size: Images with a shorter side than this many pixels are left
            out of the training.
        classes: Names by label as a config states them; None: those of the file.
        masks: Whether masks are learnt; None: not known.
        settings: The config of the data set that reads the file.
        usable: After :func:`check`: the number of boxes that are learnt from
            or evaluated on.
        total: The number of boxes in the file.
        gone: ``id()`` of the boxes that are to be left out.
    """
    file: Path
    images: Path
    content: dict
    evaluated: bool = False
    min_size: int = 32
    classes: Optional[Tuple[str, ...]] = None
    masks: Optional[bool] = None
    settings: Mapping = field(default_factory=dict)
    usable: int = field(default=0, init=False)
    total: int = field(default=0, init=False)
    gone: Set[int] = field(default_factory=set, init=False)


def check(part: Part) -> List[Finding]:
    """Check everything, and correct in ``part.content`` what has only one correction.

    A :class:`Finding` with ``read_as`` is corrected in the content. The file
    does not change.

    Raises:
        DataError: if the content cannot be read as a data set.
    """
    part.total = len(part.content['annotations'])
    files = ImageFolder(part.images)
    findings = [
        *numbers.values(part), *rows.images(part), *rows.categories(part),
        *numbers.identities(part), *joins.partners(part), *pictures.names(part, files),
        *pictures.sizes(part, files)]
    places = list(boxes.places(part))
    findings += places
    # boxes in other units cannot be checked further
    if all(finding.level != FAIL for finding in places):
        findings += [*objects.objects(part), *boxes.leftovers(part)]
        if part.classes is not None:
            findings += joins.labels(part)
        findings += joins.reach(part)
    return [finding for finding in findings if finding.level != OK]
