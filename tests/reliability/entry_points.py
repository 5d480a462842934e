"""Gives each checkpoint to each entry point, in one process, and writes down what came of it.

Run as a script, so that a file that kills the interpreter kills this one only:
``python entry_points.py FOLDER ENTRY_POINT,... FILE...``. A line of JSON for
each pair: ``[entry point, file, kind of error or null, message]``.
"""
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Callable, Dict

import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ctkd_det.compat.contents import cleaned  # noqa: E402
from ctkd_det.compat.reading import explained, read_checkpoint  # noqa: E402
from ctkd_det.compat.unpickling import restricted_pickle  # noqa: E402
from ctkd_det_cli.main import cli  # noqa: E402
from ctkd_det_cli.tools import run_tool  # noqa: E402
from helpers import ROOT, build, distill, student_config  # noqa: E402

FOLDER = Path(sys.argv[1])  # has config.py, work/ of its training, and distilled.py
NAMES, FILES = sys.argv[2].split(','), [Path(file) for file in sys.argv[3:]]


def config(**changes) -> Config:
    cfg = Config.fromfile(FOLDER / 'config.py')
    cfg.update({'work_dir': str(FOLDER / 'new'), **changes})
    return cfg


def in_work_dir(file: Path) -> Path:
    """A work directory of a training whose last checkpoint is the file."""
    work = FOLDER / 'stranger'
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(FOLDER / 'work', work)
    shutil.copy(file, work / file.name)
    (work / 'last_checkpoint').write_text(str(work / file.name))
    return work


def teacher(file: Path) -> None:
    build(distill(student_config(), dict(teacher_config=str(FOLDER / 'config.py'),
                                         teacher_ckpt=str(file))))


def load_from(file: Path) -> None:
    Runner.from_cfg(config(load_from=str(file))).load_or_resume()


def resume(file: Path) -> None:
    Runner.from_cfg(config(load_from=str(file), resume=True)).train()


def resume_auto(file: Path) -> None:
    Runner.from_cfg(config(resume=True, work_dir=str(in_work_dir(file)))).train()


def pretrained(file: Path) -> None:
    cfg = config()
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(file), prefix='backbone')
    build(cfg)


def init_detector(file: Path) -> None:
    from mmdet.apis import init_detector
    init_detector(str(FOLDER / 'config.py'), str(file), palette='random', device='cpu')


def inferencer(file: Path) -> None:
    from mmdet.apis import DetInferencer
    DetInferencer(str(FOLDER / 'config.py'), str(file), device='cpu', palette='random')


def inferencer_without_config(file: Path) -> None:
    from mmdet.apis import DetInferencer
    DetInferencer(weights=str(file), device='cpu', palette='random')


def test_tool(file: Path) -> None:
    run_tool(ROOT / 'tools' / 'test.py',
             [str(FOLDER / 'config.py'), str(file), '--work-dir', str(FOLDER / 'new')])


def train_tool(file: Path) -> None:
    run_tool(ROOT / 'tools' / 'train.py',
             [str(FOLDER / 'config.py'), '--work-dir', str(FOLDER / 'new'), '--resume', str(file)])


def command(*words: str) -> None:
    """``ctkd-det``; what it prints is the message of an error."""
    done = CliRunner().invoke(cli, words)
    if done.exit_code:
        raise SystemExit(done.output + str(done.exception))


def train_command(file: Path) -> None:
    command('train', str(FOLDER / 'config.py'), '--work-dir', str(FOLDER / 'new'),
            '--resume', str(file))


def export_command(file: Path) -> None:
    command('export', str(FOLDER / 'distilled.py'), str(file), '--out', str(FOLDER / 'exported'))


def replay_command(file: Path) -> None:
    command('replay', str(file))


def report(file: Path) -> None:
    from ctkd_det.visualization.report import write_report
    page = write_report([in_work_dir(file)], FOLDER / 'report.html', images=1, val_images=2,
                        device='cpu').read_text()
    if 'is left out:' in page:
        raise SystemExit(page.partition('is left out:')[2].partition('</p>')[0])


def halve(file: Path) -> None:
    run_tool(ROOT / 'tools' / 'model_converters' / 'halve_checkpoint.py',
             [str(file), str(FOLDER / 'half.pth')])


def read(file: Path) -> None:
    read_checkpoint(file)


def mmengines_loader(file: Path) -> None:
    CheckpointLoader.load_checkpoint(str(file))


def own_unpickler(file: Path) -> None:
    """What reads before torch 2.6, without the check of names that comes first."""
    with explained(file):
        cleaned(torch.load(file, pickle_module=restricted_pickle(file)))


ENTRY_POINTS: Dict[str, Callable[[Path], None]] = {
    function.__name__: function for function in (
        teacher, load_from, resume, resume_auto, pretrained, init_detector, inferencer,
        inferencer_without_config, test_tool, train_tool, train_command, export_command,
        replay_command, report, halve, read, mmengines_loader, own_unpickler)}


def forget_runs() -> None:
    """A Runner leaves its state to the next one of the same process."""
    from mmdet.visualization import DetLocalVisualizer
    from mmengine.logging import MessageHub, MMLogger
    for manager in (MessageHub, DetLocalVisualizer, MMLogger):
        manager._instance_dict.clear()


def main() -> None:
    results = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what tools print goes where errors go
    for name in NAMES:
        for file in FILES:
            forget_runs()
            kind, message = None, ''
            try:
                ENTRY_POINTS[name](file)
            except (Exception, SystemExit) as error:
                kind, message = type(error).__name__, str(error)
            print(json.dumps([name, file.name, kind, message]), file=results, flush=True)


if __name__ == '__main__':
    main()
