"""The one screen at the start of a training."""
from pathlib import Path
from typing import Any, Dict, Optional

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop, Runner

from ctkd_det.configs import with_names
from ctkd_det.models.distilled_config import SELF_TAUGHT, is_beside_student
from . import Training
from .advice import batch_advice, warm_up_advice


def opening(runner: Runner, training: Training, log: Path) -> str:
    """Print student, teacher, losses, data, schedule and the work directory."""
    cfg = with_names(runner.cfg)
    model = cfg.model
    images = cfg.train_dataloader.get('batch_size', 1) * get_world_size()  # torch's default
    epochs = epochs_of(runner)
    facts = {'student': _size(runner)}
    if 'teacher_config' in model:
        facts['teacher'] = ', '.join(filter(None, [_teacher(model), model.get('teacher_ckpt')]))
        facts['losses'] = ', '.join(_loss(*item) for item in model.distill_losses.items())
    facts.update({
        'training data': _data(runner.train_dataloader.dataset),
        'validation data': _data(runner.val_dataloader.dataset) if runner.val_loop else 'none',
        'batch': f'{images} images on {_devices(runner)}',
        'learning rate': _rate(cfg, images),
        'length': (f'{epochs} epochs, {runner.max_iters} iterations' if epochs
                   else f'{runner.max_iters} iterations'),
        'seed': str(runner.seed), 'writes to': str(runner.work_dir), 'log': str(log)})
    if cfg.get('load_from') and not cfg.get('resume'):
        facts['begins with'] = str(cfg.load_from)
    if runner.iter:
        facts['resumed at'] = f'iteration {runner.iter}'
    width = max(map(len, facts))
    title = f'{training.config.stem} learns ' + (
        f'from {_teacher(model)}' if 'teacher' in facts else 'without a teacher')
    notes = [batch_advice(cfg, images), warm_up_advice(cfg, runner.max_iters, epochs)]
    return '\n'.join([title, *(f'  {key:{width}}  {value}' for key, value in facts.items()),
                      *(f'! {note}' for note in notes if note)])


def epochs_of(runner: Runner) -> Optional[int]:
    """The number of epochs, or None if the training counts iterations."""
    loop = runner.train_loop
    return loop.max_epochs if isinstance(loop, EpochBasedTrainLoop) else None


def _size(runner: Runner) -> str:
    own = sum(p.numel() for name, p in runner.model.named_parameters()
              if not is_beside_student(name))
    return f'{own / 1e6:.3g} million parameters'


def _teacher(model: dict) -> str:
    """Its name."""
    named = model['teacher_config']
    if isinstance(named, str) and named in SELF_TAUGHT:
        return SELF_TAUGHT[named]
    return named['model']['type'] if isinstance(named, dict) else Path(str(named)).stem


def _loss(name: str, loss: dict) -> str:
    tau = loss.get('temperature')
    tau = tau['type'] if isinstance(tau, dict) else tau
    return f'{name} ({loss["type"]}' + (f', temperature {tau}' if tau is not None else '') + ')'


def _data(dataset: Any) -> str:
    inner = dataset
    while hasattr(inner, 'dataset'):  # RepeatDataset and the like
        inner = inner.dataset
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes', ())
    file: Optional[str] = getattr(inner, 'ann_file', None)
    return f'{len(dataset)} images, {len(classes)} classes' + (f', {file}' if file else '')


def _devices(runner: Runner) -> str:
    number, kind = get_world_size(), next(runner.model.parameters()).device.type
    return f'1 device ({kind})' if number == 1 else f'{number} devices ({kind})'


def _rate(cfg: Any, images: int) -> str:
    optimizer: Dict[str, Any] = cfg.optim_wrapper.get('optimizer') or {}
    rate: Optional[float] = optimizer.get('lr')
    if rate is None:
        return 'as the config says'
    scale, words = cfg.get('auto_scale_lr') or {}, [optimizer.get('type', '')]
    if scale.get('enable'):
        words.append(f'scaled from {rate:g} for {scale["base_batch_size"]} images')
        rate *= images / scale['base_batch_size']
    return f'{rate:.4g} ({", ".join(map(str, words))})'
