"""The methods: the fragments of ``configs/_base_/distill``, one or several."""
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

import click

from ..places import shipped

ALONE = 'none'  # the student without a teacher
# methods in which the student teaches itself
SELF_TAUGHT = ('snapshot', 'snapshot_kd', 'snapshot_sigmoid', 'frskd')
# for softmax classifiers, and for those that end in sigmoids
SHORT = dict(ctkd=('ctkd_global', 'ctkd_sigmoid'), kd=('kd_fixed', 'kd_sigmoid'),
             snapshot=('snapshot_kd', 'snapshot_sigmoid'))
# other weights are published for single-stage detectors; DETRs take those, too
_DENSE = ('cwd', 'fgd', 'mgd', 'pkd')


@dataclass
class Method:
    """What distilling by a method adds to a config."""
    losses: Dict[str, dict] = field(default_factory=dict)
    hooks: List[dict] = field(default_factory=list)
    optim_wrapper: Dict[str, Any] = field(default_factory=dict)
    # arguments of the detector beside those of the teacher, or with a teacher of the method's own
    model: Dict[str, Any] = field(default_factory=dict)


def fragments(sigmoids: bool = False, single_stage: bool = False) -> Dict[str, Path]:
    """Name of each method and its file, for a student of this kind.

    Args:
        sigmoids (bool): Whether its classifier ends in sigmoids.
        single_stage (bool): Whether it is no two-stage detector.
    """
    folder = shipped('ctkd_det', 'configs') / '_base_' / 'distill'
    files = {path.stem: path for path in sorted(folder.glob('*.py'))}
    if single_stage:
        files.update({name: files[f'{name}_dense'] for name in _DENSE})
    return {**{short: files[names[sigmoids]] for short, names in SHORT.items()}, **files}


def teaches_itself(name: str) -> bool:
    """Whether a method, or one of several joined with ``+``, needs no other teacher."""
    return any(part in SELF_TAUGHT for part in name.split('+'))


def check_teacher_options(given: Dict[str, Any], learning: Dict[str, Any]) -> None:
    """See whether the method has the teacher that it needs, and no option of one that it has not.

    Raises:
        click.UsageError: if not.
    """
    alone = given['method'] == ALONE
    by_itself = teaches_itself(given['method'])
    others = ('class_mapping', 'inherit') if by_itself else tuple(learning)
    unused = [name for name in ('teacher', 'teacher_ckpt', *others) if (alone or by_itself) and (
        given.get(name) or name in learning)]
    if unused:
        reason = 'the student is its own teacher' if by_itself else 'there is no teacher'
        raise click.UsageError(f'with --method {given["method"]} {reason}: leave out '
                               f'--{unused[0].replace("_", "-")}')
    if not alone and not by_itself and not given['teacher']:
        raise click.UsageError('the teacher is missing: give --teacher CONFIG, or --method '
                               f'{ALONE} to train the student without one')


def check_names(name: str) -> None:
    """Check that this method, or each of several joined with ``+``, exists.

    Raises:
        click.ClickException: if not; the message lists the names.
    """
    files = fragments()
    for part in name.split('+'):
        if part not in files and name != ALONE:
            close = difflib.get_close_matches(part, [*files, ALONE])
            raise click.ClickException(
                f'unknown method {part!r}' + (f'; perhaps {", ".join(close)}' if close else '')
                + f'. All: {", ".join([*files, ALONE])}')


def read_method(name: str, num_classes: int, sigmoids: bool = False,
                single_stage: bool = False) -> Method:
    """Read a method, or several joined with ``+``.

    Args:
        name (str): As in 'ctkd' or 'ctkd+dkd'.
        num_classes (int): Number of the student's classes.
        sigmoids (bool): See :func:`fragments`.
        single_stage (bool): See the same.

    Raises:
        click.ClickException: if a name is unknown, or of a method for
            another kind of classifiers, or two are of students that teach
            themselves in different ways.
    """
    from mmengine.config import Config
    check_names(name)
    files, method = fragments(sigmoids, single_stage), Method()
    for part in name.split('+'):
        fragment = Config.fromfile(files[part]).to_dict()
        if not _suits(fragment, sigmoids):
            raise click.ClickException(_unsuitable(part, sigmoids, single_stage))
        for key, loss in fragment['distill_losses'].items():
            # two methods may call their loss loss_ctkd
            key = f'loss_{files[part].stem}' if key in method.losses else key
            method.losses[key] = _with_classes(loss, num_classes)
        method.hooks += [h for h in fragment.get('custom_hooks', []) if h not in method.hooks]
        for key in ('temperature_paramwise', 'adapter_paramwise'):
            if key in fragment:
                method.optim_wrapper.setdefault('paramwise_cfg', {}).setdefault(
                    'custom_keys', {}).update(fragment[key]['custom_keys'])
        method.model.update(fragment.get('detector', {}))
        if 'teacher_config' in fragment:
            own = method.model.setdefault('teacher_config', fragment['teacher_config'])
            if own != fragment['teacher_config']:
                raise click.ClickException(
                    f'--method {name}: these methods cannot be joined. Two of them make the '
                    'student its own teacher, each in another way')
        if 'clip_grad' in fragment:
            method.optim_wrapper['clip_grad'] = fragment['clip_grad']
    return method


def sources(name: str) -> Set[str]:
    """What the losses of a method compare: 'logits', the maps of the 'neck', or 'roi' features.

    Raises:
        click.ClickException: if the method is unknown.
    """
    from mmengine.config import Config

    from ctkd_det.models.detectors.loss_configs import sources_of
    check_names(name)
    return {source for part in name.split('+')
            for source in sources_of(Config.fromfile(fragments()[part]).distill_losses).values()}


def cross_head(name: str) -> Optional[dict]:
    """The ``cross_head`` of a method's detector; None if it crosses no heads."""
    from mmengine.config import Config
    options: Dict[str, Any] = {}
    for part in name.split('+'):
        options.update(Config.fromfile(fragments()[part]).to_dict().get('detector', {}))
    return options.get('cross_head')


def _suits(fragment: dict, sigmoids: bool) -> bool:
    from mmdet.registry import MODELS

    from ctkd_det.models.detectors.loss_configs import sources_of
    losses = fragment['distill_losses']
    # losses between features or boxes are for any classifier
    return all(getattr(MODELS.get(losses[name]['type']), 'for_sigmoids', sigmoids) == sigmoids
               for name, source in sources_of(losses).items() if source == 'logits')


def _unsuitable(name: str, sigmoids: bool, single_stage: bool) -> str:
    ends = 'sigmoids, as those of single-stage detectors do' if sigmoids else 'a softmax'
    from mmengine.config import Config
    suitable = [other for other, file in fragments(sigmoids, single_stage).items()
                if teaches_itself(other) == teaches_itself(name)
                and _suits_all(Config.fromfile(file).to_dict(), sigmoids, single_stage)]
    return (f"method {name} is not for this student: its classifier ends in {ends}. For all of "
            f'its kind there are {", ".join(suitable)}')


def _suits_all(fragment: dict, sigmoids: bool, single_stage: bool) -> bool:
    """Whether it suits every student of a kind: boxes, masks and crossed heads depend on more."""
    from ctkd_det.models.detectors.loss_configs import sources_of
    compared = {'logits', 'neck'} if single_stage else {'logits', 'neck', 'roi'}
    return ('detector' not in fragment and _suits(fragment, sigmoids)
            and compared.issuperset(sources_of(fragment['distill_losses']).values()))


def _with_classes(config: Any, num_classes: int) -> Any:
    """Set every ``num_classes`` in a config."""
    if not isinstance(config, dict):
        return config
    return {key: num_classes if key == 'num_classes' else _with_classes(value, num_classes)
            for key, value in config.items()}
