"""What runs are called whose folders may bear one name."""
import os
from pathlib import Path
from typing import List, Sequence, Union


def folder_names(work_dirs: Sequence[Union[str, Path]]) -> List[str]:
    """The folders' names; of several folders the paths from where they part."""
    paths = [os.path.abspath(work_dir) for work_dir in work_dirs]
    if len(paths) == 1:
        return [os.path.basename(paths[0])]
    return [os.path.relpath(path, os.path.commonpath(paths)) for path in paths]
