"""How the exported student is used, and what that needs."""
from ..doctor.ops_file import NONE, ops_of_mmcv
from .student import Exported

SNIPPET = """\
from mmdet.apis import DetInferencer

inferencer = DetInferencer({config!r}, {checkpoint!r}, device='cpu')
inferencer('image.jpg', out_dir='outputs')"""


def usage(exported: Exported) -> str:
    """Lines to copy; with ``mmcv-lite`` they import its operators first."""
    code = SNIPPET.format(config=str(exported.config), checkpoint=str(exported.checkpoint))
    if ops_of_mmcv() == NONE:
        code = 'import ctkd_det  # the operators that mmcv-lite lacks\n' + code
    lines = '\n'.join(f'  {line}'.rstrip() for line in code.splitlines())
    return (f'To use it:\n\n{lines}\n\n'
            'It needs MMDetection 3 and the compiled mmcv. With mmcv-lite plain MMDetection fails: '
            "No module named 'mmcv._ext'. There import ctkd_det first, or write the operators once "
            'with ctkd-det doctor --fix.')
