"""The methods of the bench: each a shipped distillation fragment and what differs from it."""
import copy
from pathlib import Path
from typing import Any, Dict, Tuple

from mmengine.config import Config

from ctkd_det_cli.distill.methods import SHORT

FRAGMENTS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'distill'

# method -> fragment, changes of its loss (by name, if not the same for each), changes of its
# temperature
Methods = Dict[str, Tuple[str, dict, dict]]
GRID: Methods = {
    **{f'kd_tau{tau}': ('kd_fixed', dict(temperature=float(tau)), {})
       for tau in ('0.5', '1', '2', '4', '8')},
    'dkd': ('dkd', {}, {}),
    'scheduled': ('kd_scheduled', {}, {}),
    'ctkd': ('ctkd_global', {}, {}),
    'ctkd_instance': ('ctkd_instance', {}, {}),
    'ctkd_foreground': ('ctkd_foreground', {}, {}),
    'ctkd_class': ('ctkd_class', {}, {}),
    'ctkd+dkd': ('ctkd_dkd', {}, {}),
    'ctkd_paper': ('ctkd_paper', {}, {}),
}
# a loss of another kind, with a fixed temperature and with CTKD's
RELATIONS: Methods = {'dist': ('dist', {}, {}), 'ctkd+dist': ('ctkd_dist', {}, {})}
# temperatures without an adversary
RIVALS: Methods = {
    'dtkd': ('dtkd', {}, {}),
    'dtkd_tau2': ('dtkd', dict(loss_dtkd_kd=dict(temperature=2.0)), dict(temperature=2.0)),
    # its temperature and weights for classification
    'dtkd_paper': ('dtkd', dict(loss_dtkd=dict(loss_weight=3.0),
                                loss_dtkd_kd=dict(loss_weight=1.0, temperature=4.0)),
                   dict(temperature=4.0, tau_min=0.5)),
    'ttm': ('ttm', {}, {}),
    'wttm': ('wttm', {}, {}),
    'ttm_tau4': ('ttm', dict(temperature=4.0), {}),
    'wttm_tau4': ('wttm', dict(temperature=4.0), {}),
    'kd_multi': ('kd_multi', {}, {}),
}
# Losses between features, by themselves and beside KD or CTKD. A weight is chosen by one rule,
# from `loss_scale.py` on the untrained student: the loss's gradient is half of the detector's own;
# where a trained part of the loss's own stands between student and teacher (VID, MGD, ReviewKD),
# whose first gradient says little, its value is half of the detector's own. A pair without a
# row takes that of the shapes.
FEATURE_WEIGHTS: Dict[str, Dict[str, float]] = dict(
    shapes=dict(
        fitnet=0.8, at=80.0, sp=5e3, pkt=1.5e5, vid=0.5, pkd=9.0, cwd=4.0, reviewkd=0.4, mgd=3e-5,
        fgd=20.0, srrl=0.3, crd=0.3),
    deeppcb=dict(
        fitnet=1.2, at=540.0, sp=1.6e3, pkt=7.1e4, vid=0.51, pkd=6.1, cwd=6.0, reviewkd=0.26,
        mgd=6.3e-6, fgd=15.0, srrl=0.37, crd=0.31))
FEATURES: Methods = {name: (name, {}, {}) for name in FEATURE_WEIGHTS['shapes']}
# the student teaches itself
SELF_TEACHING: Methods = {'snapshot': ('snapshot_kd', {}, {}), 'frskd': ('frskd', {}, {})}
# a self-teacher that teaches before it has learned
AT_ONCE: Methods = {'frskd_at_once': ('frskd', dict(window={}), {}),
                    'ctkd_at_once': ('ctkd_global', dict(window={}), {})}
# for single-stage pairs
CROSSED: Methods = {'crosskd': ('crosskd', {}, {})}
# rotated images; its weights are chosen by the same rule, see the fragment, whose window was this
ROTATED: Methods = {'sskd': ('sskd', dict(loss_sskd_ss=dict(window=dict(begin=500))), {})}
# between box distributions, for GFL
BOXES: Methods = {
    **{f'ld_tau{tau}': ('ld', dict(temperature=float(tau)), {}) for tau in ('1', '3', '10')},
    'ld_vlr': ('ld_vlr', {}, {}), 'ctkd_ld': ('ctkd_ld', {}, {}),
    # from 1 on, in CTKD's range for detectors
    'ctkd_ld_from1': ('ctkd_ld', {}, dict(tau_min=0.5, tau_range=1.5, initial_temperature=1.0)),
}
# between decoded boxes
BOXES_IN_PIXELS: Methods = {name: (name, {}, {}) for name in ('boxkd', 'boxkd_iou')}
# fragments for softmax classifiers -> for those that end in sigmoids
SIGMOID = dict(SHORT.values())
BESIDE = ('kd_tau1', 'ctkd')
# and what the search tried besides
METHODS: Methods = {
    **GRID,
    **RELATIONS,
    **RIVALS,
    **FEATURES,
    **SELF_TEACHING,
    **AT_ONCE,
    **CROSSED,
    **ROTATED,
    **BOXES,
    **BOXES_IN_PIXELS,
    # the adversary's learning rate as high as the detector's; as shipped a twentieth of it
    'ctkd_lr1': ('ctkd_global', {}, dict(lr_mult=1.0)),
    # its weight decay as strong as the detector's
    'ctkd_decay1': ('ctkd_global', {}, dict(decay_mult=1.0)),
    # other curricula, see CURRICULA
    'ctkd_lambda4': ('ctkd_global', {}, {}),
    'ctkd_end1': ('ctkd_global', {}, {}),
    # a wider range, so that tau gets further the longer a training takes
    **{f'ctkd_range{width}': ('ctkd_global', {}, dict(tau_range=float(width)))
       for width in ('3.5', '7.5')},
    # an interior optimum
    'ctkd_power1_weight1': ('ctkd_global', dict(tau_power=1.0, relative_adversary=True),
                            dict(tau_range=7.5, lr_mult=0.2)),
    # see formulations.py
    'ctkd_log': ('ctkd_global', {}, dict(type='LogTemperature')),
    'ctkd_scale': ('ctkd_global', {}, dict(type='TeacherScaleTemperature')),
    # the schedule along the curve that an adversary takes
    **{f'scheduled_to{tau}': ('kd_scheduled', {}, dict(end=float(tau))) for tau in ('1.1', '1.4')},
    'kd_standardized': ('kd_standardized', {}, {}),
    # a range in units of the logits' own deviation
    'ctkd_standardized': ('ctkd_global', dict(standardize=True),
                          dict(tau_range=3.5, initial_temperature=2.0)),
    **{f'kd_tau{tau}_weight{w}': (
        'kd_fixed', dict(temperature=float(tau), loss_weight=float(w)), {})
       for tau, w in (('1', '4'), ('4', '0.25'), ('4', '0.0625'))},
    **{f'kd_tau{tau}_all_weight{w}': (
        'kd_fixed', dict(temperature=float(tau), loss_weight=float(w), foreground_weight=None), {})
       for tau, w in (('1', '1'), ('2', '1'), ('4', '1'), ('1', '4'))},
}
# method -> the methods that it joins
JOINED = {f'{beside}+{name}': (beside, name)
          for beside in BESIDE
          for name in (*FEATURES, *SELF_TEACHING, *ROTATED, 'ld_tau10', 'ctkd_ld', 'boxkd')}
JOINED['crosskd+pkd'] = ('crosskd', 'pkd')
JOINED['ctkd+frskd_at_once'] = ('ctkd_at_once', 'frskd_at_once')
# method -> changes of its CurriculumHook
CURRICULA = {'ctkd_lambda4': dict(lambda_max=4.0), 'ctkd_end1': dict(end=1)}


def additions(method: str, num_classes: int, pair: str = 'shapes',
              sigmoids: bool = False) -> Dict[str, Any]:
    """What ``method`` adds to the config of a distilled detector.

    Args:
        method (str): Of METHODS or JOINED.
        num_classes (int): Of the student.
        pair (str): Whose FEATURE_WEIGHTS are taken.
        sigmoids (bool): Whether the student's classifier ends in sigmoids.

    Returns:
        dict: With ``distill_losses``, ``custom_hooks``, ``custom_imports`` and
        ``paramwise_cfg``, as in the fragments; ``teacher_config`` is that of
        a student that teaches itself, else None, and ``detector`` has further
        arguments of the detector.
    """
    parts = [_additions(part, num_classes, pair, sigmoids) for part in JOINED.get(method, [method])]
    joined = parts[0]
    for part in parts[1:]:
        joined['distill_losses'].update(part['distill_losses'])
        joined['teacher_config'] = joined['teacher_config'] or part['teacher_config']
        joined['detector'].update(part['detector'])
        joined['custom_hooks'] += [h for h in part['custom_hooks']
                                   if h not in joined['custom_hooks']]
        joined['paramwise_cfg'].setdefault('custom_keys', {}).update(
            part['paramwise_cfg'].get('custom_keys', {}))
    return joined


def _additions(method: str, num_classes: int, pair: str, sigmoids: bool) -> Dict[str, Any]:
    fragment, of_loss, of_temperature = METHODS[method]
    fragment = SIGMOID.get(fragment, fragment) if sigmoids else fragment
    if method in FEATURES:
        weights = FEATURE_WEIGHTS.get(pair, FEATURE_WEIGHTS['shapes'])
        of_loss = dict(of_loss, loss_weight=weights[method])
    cfg = copy.deepcopy(Config.fromfile(FRAGMENTS / f'{fragment}.py').to_dict())
    for hook in cfg.get('custom_hooks', []):
        if hook['type'] == 'CurriculumHook':
            hook.update(CURRICULA.get(method, {}))
    if 'type' in of_temperature:
        cfg['custom_imports']['imports'].append('formulations')
    named = of_loss.keys() & cfg['distill_losses'].keys()
    for name, loss in cfg['distill_losses'].items():
        loss.update(of_loss.get(name, {}) if named else of_loss)
        if isinstance(loss.get('temperature'), dict):
            loss['temperature'].update(of_temperature)
            for key in ('lr_mult', 'decay_mult'):
                if key in loss['temperature']:
                    keys = cfg['temperature_paramwise']['custom_keys']['temperature']
                    keys[key] = loss['temperature'].pop(key)
            if 'num_classes' in loss['temperature']:
                loss['temperature']['num_classes'] = num_classes
    multipliers = [cfg[name] for name in ('temperature_paramwise', 'adapter_paramwise')
                   if name in cfg]
    keys = {key: value for part in multipliers for key, value in part['custom_keys'].items()}
    return dict(teacher_config=cfg.get('teacher_config'), detector=cfg.get('detector', {}),
                distill_losses=cfg['distill_losses'],
                custom_hooks=cfg.get('custom_hooks', []),
                custom_imports=cfg['custom_imports'],
                paramwise_cfg=dict(custom_keys=keys) if keys else {})
