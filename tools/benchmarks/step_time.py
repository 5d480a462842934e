"""What distillation costs: a step with the teacher against the student's and the teacher's apart.

All kinds of steps take turns in one process, on one batch of noise. A step is
a forward and a backward pass, without the optimizer. Whatever a step costs
beyond the student's own and one pass of the teacher is the overhead:
(distilled - student - teacher) / (student + teacher).
"""
import argparse
import json
from typing import Dict, Optional, Tuple

import torch
from clock import Clock, medians
from growth import AXES, grow, growth_plot, growth_table
from loss_costs import cost_table, costs
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from steps import VARIANTS, StepBench

import ctkd_det  # noqa: F401

DTYPES = dict(bf16=torch.bfloat16, fp16=torch.float16)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a distilled detector')
    parser.add_argument('--batch', type=int, help="images in a step; else the config's")
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'),
                        help="of the images; else the config's, padded, or 96 96")
    parser.add_argument('--rounds', type=int, help='of all kinds; else as many as fit into 15 s')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--processor-time', action='store_true',
                        help='of all threads, instead of the time that passes: for busy machines')
    parser.add_argument('--amp', choices=DTYPES, help='autocast around student and teacher')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--compile-teacher', action='store_true', help='teacher_compile=True')
    parser.add_argument('--variants', nargs='+', default=[], choices=VARIANTS, metavar='NAME',
                        help=f'cheaper teachers beside it: {", ".join(VARIANTS)}')
    parser.add_argument('--losses', nargs='+', metavar='NAME',
                        help='instead: what these losses cost (files of configs/_base_/distill), '
                             'or all that suit the config')
    parser.add_argument('--grow', nargs='+', metavar='AXIS', choices=('all', *AXES),
                        help=f'instead: how the cost grows with {", ".join(AXES)}, or all')
    parser.add_argument('--plot', metavar='PICTURE', help='of --grow')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='changes of the config, as in train')
    parser.add_argument('--json', action='store_true', help='the last line is JSON')
    return parser.parse_args()


def image_size(cfg: Config) -> Tuple[int, int]:
    """Height and width of a landscape image after the training pipeline, padded to 32."""
    for transform in cfg.get('train_pipeline') or cfg.train_dataloader.dataset.get('pipeline', ()):
        scale = transform.get('scale')
        if str(transform['type']).endswith('Resize') and isinstance(scale, (tuple, list)):
            return tuple(-(-side // 32) * 32 for side in sorted(scale)[:2])
    return 96, 96


def result(args: argparse.Namespace, times: Dict[str, float],
           memory: Dict[str, Optional[float]], rounds: int) -> dict:
    """What ``--json`` prints: seconds, the overhead, MiB beyond what is held between steps."""
    both = times['student'] + times['teacher']
    return dict(
        config=args.config, device=args.device, threads=torch.get_num_threads(), batch=args.batch,
        size=list(args.size), rounds=rounds, clock='processor' if args.processor_time else 'wall',
        **times, overhead=(times['distilled'] - both) / both, memory=memory,
        images_per_second={name: args.batch / seconds for name, seconds in times.items()})


def table(found: dict) -> Table:
    title = ('{config}, {batch} x {size[0]} x {size[1]}, {device}, {threads} threads, '
             '{rounds} rounds')
    columns = Table('', 'ms', 'of the student', 'of distilled', 'images / s', 'MiB',
                    title=title.format(**found))
    for name, memory in found['memory'].items():
        seconds = found[name]
        columns.add_row(name, f'{1e3 * seconds:.1f}', f'{seconds / found["student"]:.2f}',
                        f'{seconds / found["distilled"]:.2f}', f'{found["batch"] / seconds:.2f}',
                        'not known' if memory is None else f'{memory:.0f}')
    return columns


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    init_default_scope('mmdet')
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    args.batch = args.batch or cfg.get('train_dataloader', ConfigDict()).get('batch_size', 1)
    args.size = tuple(args.size or image_size(cfg))
    clock, console = Clock(torch.device(args.device), args.processor_time), Console()
    if args.grow:
        found = grow(cfg, args, clock)
        shown = growth_table(found)
        if args.plot:
            growth_plot(found, args.plot)
    elif args.losses:
        found = costs(cfg, args, clock)
        shown = cost_table(found)
    else:
        bench = StepBench(cfg, args.batch, args.size, args.device, DTYPES.get(args.amp),
                      args.channels_last,
                      **(dict(teacher_compile=True) if args.compile_teacher else {}))
        kinds = bench.kinds()
        kinds.update({name: bench.variant(name) for name in args.variants})
        for function in kinds.values():
            function()
        memory = {name: clock.memory(function) for name, function in kinds.items()}
        times = clock.turns(kinds, args.rounds, budget=15)
        found = result(args, medians(times), memory, len(times['student']))
        shown = table(found)
    console.print(shown)
    if 'overhead' in found:
        console.print(f'overhead {100 * found["overhead"]:+.1f} % of student and teacher apart')
    if args.json:
        print(json.dumps(found))


if __name__ == '__main__':
    main()
