"""Which detector of MMDetection's model zoo may teach which student."""
import click

# How a student's config begins, and its teacher's config: of the same kind, so that logits can be
# compared, and of those the best of the zoo whose cost in training stays within reason. The table
# in docs/detectors.md shows them; no gain of these pairs on full COCO has been measured.
KNOWN_TEACHERS = {
    'rtmdet_tiny': 'rtmdet_l_8xb32-300e_coco',
    'rtmdet_s': 'rtmdet_l_8xb32-300e_coco',
    'rtmdet_m': 'rtmdet_x_8xb32-300e_coco',
    'yolox_tiny': 'yolox_l_8xb8-300e_coco',
    'yolox_s': 'yolox_l_8xb8-300e_coco',
    'faster-rcnn_r18_fpn': 'faster-rcnn_r101_fpn_ms-3x_coco',
    'faster-rcnn_r50_fpn': 'faster-rcnn_x101-64x4d_fpn_ms-3x_coco',
    'faster-rcnn_mobilenetv2_fpn': 'faster-rcnn_r101_fpn_ms-3x_coco',
    'retinanet_r18_fpn': 'retinanet_r101_fpn_ms-640-800-3x_coco',
    'mask-rcnn_r50_fpn': 'mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco',
}


def known_teacher(student: str) -> str:
    """Name of the config that ``--teacher auto`` takes.

    Args:
        student (str): Name of the student's config, without ``.py``.

    Raises:
        click.ClickException: if none is known for it.
    """
    for name, teacher in KNOWN_TEACHERS.items():
        if student == name or student.startswith(f'{name}_'):
            return teacher
    raise click.ClickException(
        f'--teacher auto knows no teacher for {student}, only for configs that begin with '
        f'{", ".join(KNOWN_TEACHERS)}: name one, --teacher CONFIG')
