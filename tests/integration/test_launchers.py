"""The command lines that the launch scripts make, seen by a stand-in for the launcher."""
import os
import subprocess

import pytest

from helpers import ROOT

TOOLS = ROOT / 'tools'


@pytest.fixture
def launch(tmp_path):
    """Run a script with fake launchers first on PATH; returns what these were called with."""
    for name in ('srun', 'torchrun'):
        fake = tmp_path / 'bin' / name
        fake.parent.mkdir(exist_ok=True)
        fake.write_text('#!/bin/sh\necho "$0" | sed "s:.*/::"\nprintf "%s\\n" "$@"\n')
        fake.chmod(0o755)

    def call(script, *args, check=True, **env):
        return subprocess.run(
            [str(TOOLS / script), *args], capture_output=True, text=True, check=check, cwd=tmp_path,
            env=dict(PATH=f'{tmp_path / "bin"}:{os.environ["PATH"]}', **env))
    return call


@pytest.mark.parametrize('script, args', [
    ('dist_train.sh', ['my config.py', '4']),
    ('dist_test.sh', ['my config.py', 'a.pth', '4'])])
def test_torchrun(script, args, launch):
    tool = str(TOOLS / script.removeprefix('dist_').replace('.sh', '.py'))
    options = ['--cfg-options', "a='b c'", '--resume']
    command = [tool, *args[:-1], '--launcher', 'pytorch', *options]
    found = launch(script, *args, *options).stdout.splitlines()
    assert found == ['torchrun', '--nnodes=1', '--node_rank=0', '--master_addr=127.0.0.1',
                     '--master_port=29500', '--nproc_per_node=4', *command]
    found = launch(script, *args, *options, NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.7',
                   PORT='1234').stdout.splitlines()
    assert found == ['torchrun', '--nnodes=2', '--node_rank=1', '--master_addr=10.0.0.7',
                     '--master_port=1234', '--nproc_per_node=4', *command]


@pytest.mark.parametrize('script, fourth', [
    ('slurm_train.sh', ['--work-dir=work dirs/x']), ('slurm_test.sh', ['work dirs/x'])])
def test_srun(script, fourth, launch):
    tool = str(TOOLS / script.removeprefix('slurm_').replace('.sh', '.py'))
    args = ['part', 'my job', 'my config.py', 'work dirs/x', '--cfg-options', "a='b c'"]
    command = ['python', '-u', tool, 'my config.py', *fourth, '--launcher=slurm',
               '--cfg-options', "a='b c'"]
    found = launch(script, *args).stdout.splitlines()
    assert found == ['srun', '--partition=part', '--job-name=my job', '--gres=gpu:8',
                     '--ntasks=8', '--ntasks-per-node=8', '--cpus-per-task=5',
                     '--kill-on-bad-exit=1', *command]
    found = launch(script, *args, GPUS='16', GPUS_PER_NODE='4', CPUS_PER_TASK='2',
                   SRUN_ARGS='--qos=high --mem=0').stdout.splitlines()
    assert found == ['srun', '--partition=part', '--job-name=my job', '--gres=gpu:4',
                     '--ntasks=16', '--ntasks-per-node=4', '--cpus-per-task=2',
                     '--kill-on-bad-exit=1', '--qos=high', '--mem=0', *command]
    # fewer than one machine has
    found = launch(script, *args, GPUS='2').stdout.splitlines()
    assert {'--gres=gpu:2', '--ntasks=2', '--ntasks-per-node=2'} <= set(found)


@pytest.mark.parametrize('script, args, begins', [
    ('dist_train.sh', ['config.py'], 'CONFIG'), ('dist_test.sh', ['config.py', 'a.pth'], 'CONFIG'),
    ('slurm_train.sh', ['part', 'job', 'config.py'], 'PARTITION'),
    ('slurm_test.sh', ['part', 'job', 'config.py'], 'PARTITION')])
def test_without_enough_arguments(script, args, begins, launch):
    for given in (args, []):
        result = launch(script, *given, check=False)
        assert result.returncode and f'usage: tools/{script} {begins} ' in result.stderr
        assert not result.stdout  # nothing was launched
