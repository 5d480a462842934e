"""What each process of test_strategies.py runs: mmengine's FlexibleRunner with a strategy."""
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.runner import FlexibleRunner
from torch.distributed.fsdp import FullyShardedDataParallel

import ctkd_det  # noqa: F401

# state_dict_cfg='full' offloads to the CPU, which crashes where the weights are there already
FULL = dict(
    type='FSDPStrategy',
    model_wrapper=dict(type='MMFullyShardedDataParallel', device_id='cpu'),
    state_dict_cfg=dict(
        state_dict_type='FULL_STATE_DICT',
        state_dict_config=dict(type='FullStateDictConfig'),
        optim_state_dict_config=dict(type='FullOptimStateDictConfig')))
STRATEGIES = dict(
    ddp=dict(type='DDPStrategy', model_wrapper=dict(
        type='MMDistributedDataParallel', device_ids=None)),
    fsdp=FULL)


def main(config: str, out: str) -> None:
    torch.distributed.init_process_group('gloo')
    results = {}
    for name, strategy in STRATEGIES.items():
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(dict(
            strategy=strategy, work_dir=str(Path(out) / name), experiment_name=name))
        runner = FlexibleRunner.from_cfg(cfg)
        runner.train()
        log = {key: runner.message_hub.get_scalar(f'train/{key}').data[0].tolist()
               for key in ('ctkd.theta_grad', 'ctkd.lambda', 'ctkd.tau_mean')}
        results[name] = dict(log=log, sharded=isinstance(runner.model, FullyShardedDataParallel))
    torch.save(results, Path(out) / f'rank{get_rank()}.pt')
    # without it gloo's threads may abort the process as it ends
    torch.distributed.destroy_process_group()

