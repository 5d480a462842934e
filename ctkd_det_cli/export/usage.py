"""How the exported student is used, and what that needs."""
from pathlib import Path

from mmengine.config import Config

from ctkd_det.configs import imported_modules
from ..doctor.ops_file import NONE, ops_of_mmcv
from ..reading import modules_beside
from .student import Exported

SNIPPET = """\
from mmdet.apis import DetInferencer

inferencer = DetInferencer({config!r}, {checkpoint!r}, device='cpu')
inferencer('image.jpg', out_dir='outputs')"""


def usage(exported: Exported, source: Path) -> str:
    """Lines to copy; with ``mmcv-lite`` they import its operators first.

    Args:
        exported (Exported): What was written.
        source (Path): The config that it was made from. What it imports from
            its own folder is not written, so it is named.
    """
    code = SNIPPET.format(config=str(exported.config), checkpoint=str(exported.checkpoint))
    if ops_of_mmcv() == NONE:
        code = 'import ctkd_det  # the operators that mmcv-lite lacks\n' + code
    lines = '\n'.join(f'  {line}'.rstrip() for line in code.splitlines())
    return (f'To use it:\n\n{lines}\n\n'
            "It needs MMDetection 3.3 and mmcv's operators. With mmcv-lite plain MMDetection "
            "fails: No module named 'mmcv._ext'. There import ctkd_det first, or write the "
            'operators once with ctkd-det doctor --fix.' + _modules(exported.config, source))


def _modules(config: Path, source: Path) -> str:
    imported = imported_modules(Config.fromfile(config, import_custom_modules=False))
    beside = [name for name in imported if modules_beside(source, [name])]
    if not beside:
        return ''
    folder = source.resolve().parent
    return (f' It imports {" and ".join(beside)} from {folder}: take that along, and set '
            f'PYTHONPATH to the folder that holds it (here PYTHONPATH={folder}).')
