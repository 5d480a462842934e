"""Two real processes with gloo: the temperature stays one."""
import subprocess
import sys

import torch

from helpers import GLOBAL, ROOT, distill, make_shapes, student_config

SCRIPT = '''
import sys, torch, ctkd_det
torch.distributed.init_process_group('gloo')  # mmengine's own start wants a GPU
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.runner import Runner
runner = Runner.from_cfg(Config.fromfile(sys.argv[1]))
runner.train()
model = runner.model.module
torch.save(dict(theta=model.distill_losses['loss_ctkd'].temperature.theta.detach(),
                weights=model.state_dict(),
                own=runner.message_hub.get_scalar('train/loss_ctkd').data[0]),
           f'{sys.argv[2]}/rank{get_rank()}.pt')
# without it gloo's threads may abort the process as it ends
torch.distributed.destroy_process_group()
'''


def test_theta_is_the_same_on_both_ranks_although_their_images_differ(teacher, tmp_path):
    cfg = distill(student_config(make_shapes(tmp_path / 'data', 20)), teacher,
                  dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5)))
    cfg.merge_from_dict(dict(
        launcher='pytorch', work_dir=str(tmp_path / 'work'),
        train_cfg=dict(max_epochs=1, val_interval=5),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        # no find_unused_parameters: every parameter is in every rank's graph
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
        custom_hooks=[dict(type='CurriculumHook', schedule='constant')]))
    cfg.dump(tmp_path / 'config.py')
    (tmp_path / 'train.py').write_text(SCRIPT)
    result = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=0',
         '--rdzv-backend=c10d', '--rdzv-endpoint=127.0.0.1:0', str(tmp_path / 'train.py'),
         str(tmp_path / 'config.py'), str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-3000:]
    ranks = [torch.load(tmp_path / f'rank{i}.pt') for i in range(2)]
    assert ranks[0]['theta'] == ranks[1]['theta'] != 1.0
    # the gradients were averaged: not only theta, all that is learned is equal
    statistics = ('running_mean', 'running_var')
    assert all(torch.equal(a, ranks[1]['weights'][k]) for k, a in ranks[0]['weights'].items()
               if not k.endswith(statistics))
    assert len(ranks[0]['own']) == 5 and (ranks[0]['own'] != ranks[1]['own']).all()
