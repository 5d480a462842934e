"""What the end of a training says that the teacher has."""
import json

import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from ctkd_det_cli.training.teacher import teachers_metric

KEY = 'coco/bbox_mAP'


def test_a_checkpoint_is_saved_before_its_epoch_is_validated(tmp_path):
    """Validated after epochs 2 and 4; epoch_4.pth itself knows the value of epoch 2 alone."""
    logged = tmp_path / '20260101_000000' / 'vis_data'
    logged.mkdir(parents=True)
    data = dict(val_evaluator=dict(type='CocoMetric', ann_file=str(tmp_path / 'val.json')))
    Config(data).dump(logged / 'config.py')
    (logged / 'scalars.json').write_text('\n'.join(map(json.dumps, (
        dict(lr=.1, epoch=1, iter=1, step=1), {KEY: 0.3, 'step': 2}, {KEY: 0.5, 'step': 4}))))
    history = HistoryBuffer()
    history.update(0.3)
    found = {}
    for name, epoch in (('epoch_2.pth', 2), ('epoch_3.pth', 3), ('epoch_4.pth', 4),
                        ('best_coco_bbox_mAP_epoch_2.pth', 2), ('renamed.pth', 4)):
        torch.save(dict(state_dict={}, meta=dict(epoch=epoch, iter=epoch), message_hub=dict(
            log_scalars={f'val/{KEY}': history})), tmp_path / name)
        cfg = Config(dict(data, model=dict(teacher_ckpt=str(tmp_path / name))))
        found[name] = teachers_metric(cfg, KEY)
    assert found == {'epoch_2.pth': 0.3, 'epoch_3.pth': None, 'epoch_4.pth': 0.5,
                     'best_coco_bbox_mAP_epoch_2.pth': 0.3, 'renamed.pth': None}
    cfg.model.teacher_ckpt = str(tmp_path / 'epoch_4.pth')
    for other in (dict(type='CocoMetric', ann_file='other.json'), dict(type='VOCMetric'),
                  [dict(type='CocoMetric', ann_file='other.json')]):
        cfg.val_evaluator = other
        assert teachers_metric(cfg, KEY) is None
    cfg.val_evaluator = [data['val_evaluator']]
    assert teachers_metric(cfg, KEY) == 0.5
    content = dict(images=[], annotations=[dict(id=1)], categories=[])
    (tmp_path / 'val.json').write_text(json.dumps(content))
    copy = tmp_path / 'of_another_config.json'
    cfg.val_evaluator = dict(type='CocoMetric', ann_file=str(copy))
    copy.write_text(json.dumps(dict(content, info=dict(cleaned_from='somewhere'))))
    assert teachers_metric(cfg, KEY) == 0.5
    copy.write_text(json.dumps(dict(content, annotations=[])))
    assert teachers_metric(cfg, KEY) is None
