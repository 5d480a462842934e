"""Memory and open files stay what they are over 1,500 iterations."""
import os

import psutil
import pytest
from mmengine.hooks import Hook

from helpers import GLOBAL, distill, make_shapes, run, student_config


class Usage(Hook):
    """Resident bytes and open files, every 100 iterations."""
    priority = 'LOWEST'

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if (runner.iter + 1) % 100 == 0:
            process = psutil.Process()
            self.seen.append((process.memory_info().rss, process.num_fds()))


@pytest.mark.skipif('CTKD_DET_LONG' not in os.environ, reason='long: set CTKD_DET_LONG=1')
def test_memory_and_open_files_are_flat(teacher, tmp_path):
    cfg = distill(student_config(make_shapes(tmp_path / 'data', 30), max_epochs=100), teacher,
                  dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5)))
    cfg.custom_hooks = [dict(type='CurriculumHook')]
    cfg.train_cfg.val_interval = 50
    usage = Usage()
    run(cfg, tmp_path / 'work', hooks=(usage, ))
    memory, files = zip(*usage.seen[4:], strict=True)  # after validation and warm-up
    assert len(usage.seen) == 15 and max(files) <= files[0] + 2
    # mmengine's log keeps some numbers of each iteration
    assert memory[-1] - memory[0] < 40e6, memory
