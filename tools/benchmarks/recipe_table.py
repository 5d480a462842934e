"""Table and plot of what recipe_search.py found.

mAP in points (0 to 100): mean and standard deviation over seeds, and the
difference to ``--against`` over the seeds that both have, with the p-value of
a two-sided paired t-test. Sorted by the difference to the first of these,
since methods with few seeds may have had lucky ones. Below it, how many seeds
resolve half a point. ``--curves`` adds mAP against epochs, for a bench whose
runs are validated more than once, on the seeds of the first of ``--against`` and of
the methods that have them all.
"""
import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
from scipy import stats

Results = Dict[str, Dict[int, dict]]
# told apart by the colour-blind, too (Okabe and Ito)
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#666666', '#cc79a7', '#e69f00', '#56b4e9')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', type=Path, help='.jsonl that recipe_search.py wrote')
    parser.add_argument('--against', nargs='+', default=['student', 'kd_tau4'], metavar='METHOD')
    parser.add_argument('--plot', type=Path,
                        help='also draw the differences to the first of --against, to this .png')
    parser.add_argument('--curves', type=Path,
                        help='also print mAP by epoch, and draw it to this .png')
    return parser.parse_args()


def read(path: Path) -> Results:
    """Results by method and seed."""
    results: Results = defaultdict(dict)
    for line in map(json.loads, path.read_text(encoding='utf-8').splitlines()):
        results[line['method']][line['seed']] = line
    return results


def points(runs: Dict[int, dict]) -> np.ndarray:
    return 100 * np.array([runs[seed]['mAP'] for seed in sorted(runs)])


def paired(runs: Dict[int, dict], others: Dict[int, dict]) -> np.ndarray:
    """Differences in points on the seeds that both have."""
    seeds = sorted(runs.keys() & others.keys())
    return 100 * np.array([runs[s]['mAP'] - others[s]['mAP'] for s in seeds])


def ranked(results: Results, baseline: str) -> List[str]:
    """Methods, the best first, by their paired difference to ``baseline``."""
    other = results.get(baseline, {})
    means = {name: paired(runs, other).mean() for name, runs in results.items()
             if runs.keys() & other.keys()}
    return sorted(means, key=means.__getitem__, reverse=True)


def describe(difference: np.ndarray) -> str:
    """Mean difference, and p where there are enough pairs to speak of it."""
    if len(difference) == 0 or not difference.any():
        return ''
    if len(difference) < 3:
        return f'{difference.mean():+.1f}'
    return f'{difference.mean():+.1f} (p {stats.ttest_1samp(difference, 0).pvalue:.2g})'


def spread(results: Results, baseline: str) -> float:
    """Standard deviation, over seeds, of the paired differences to ``baseline``.

    Pooled over the methods with three seeds or more; NaN if there is none.
    """
    differences = [paired(runs, results[baseline]) for name, runs in results.items()
                   if name != baseline]
    differences = [d for d in differences if len(d) >= 3]
    squares = sum(((d - d.mean())**2).sum() for d in differences)
    freedom = sum(len(d) - 1 for d in differences)
    return float(np.sqrt(squares / freedom)) if freedom else float('nan')


def seeds_needed(std: float, difference: float = 0.5, alpha: float = 0.05,
                 power: float = 0.8) -> int:
    """Pairs with which a two-sided paired t-test finds ``difference`` with ``power``."""
    for pairs in range(2, 10_000):
        limit = stats.t.ppf(1 - alpha / 2, pairs - 1)
        # the chance of the wrong sign is below the precision of this
        if stats.nct.sf(limit, pairs - 1, difference / std * np.sqrt(pairs)) >= power:
            return pairs
    raise ValueError(f'a standard deviation of {std} is too large to resolve {difference}')


def resolution(results: Results, baseline: str) -> str:
    std = spread(results, baseline)
    if not std > 0:
        return ''
    few, many = (seeds_needed(std, alpha=alpha) for alpha in (0.05, 0.01))
    return (f'Paired differences to {baseline} have a standard deviation of {std:.2f} over seeds: '
            f'{few} seeds find 0.5 points at p < 0.05 in four of five experiments, '
            f'{many} at p < 0.01.')


def table(results: Results, against: List[str]) -> List[str]:
    header = ['method', 'seeds', 'mAP', 'std', *(f'against {name}' for name in against),
              'final tau']
    rows = [header, ['---'] * len(header)]
    for method in ranked(results, against[0]):
        runs, mAP = results[method], points(results[method])
        taus = [run['temperatures'].get('tau_mean') for run in runs.values()]
        taus = [tau for tau in taus if tau is not None]
        rows.append([
            method, str(len(runs)), f'{mAP.mean():.1f}',
            f'{mAP.std(ddof=1):.2f}' if len(mAP) > 1 else '',
            *(describe(paired(runs, results.get(name, {}))) for name in against),
            f'{np.mean(taus):.2f}' if taus else ''])
    return lines(rows)


def lines(rows: List[List[str]]) -> List[str]:
    return [f'| {" | ".join(row)} |' for row in rows]


def by_epoch(runs: Dict[int, dict]) -> Tuple[np.ndarray, np.ndarray]:
    """Epochs (E,) and mAP in points (seeds, E) of a method's runs."""
    curves = np.array([runs[seed]['mAP_by_epoch'] for seed in sorted(runs)])
    return curves[0, :, 0], 100 * curves[:, :, 1]


def on_the_seeds_of(results: Results, baseline: str) -> Results:
    """Methods that have every seed of ``baseline``, on these alone, the best first."""
    seeds = results[baseline].keys()
    return {method: {seed: results[method][seed] for seed in seeds}
            for method in ranked(results, baseline) if results[method].keys() >= seeds}


def curve_table(results: Results, baseline: str) -> List[str]:
    """Mean mAP over seeds after each epoch."""
    rows = []
    for method, runs in on_the_seeds_of(results, baseline).items():
        epochs, mAP = by_epoch(runs)
        rows.append([method, *(f'{value:.1f}' for value in mAP.mean(0))])
    header = ['epoch', *(f'{epoch:.0f}' for epoch in epochs)]
    return lines([header, ['---'] * len(header), *rows])


def plot_curves(results: Results, baseline: str, out: Path) -> None:
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axis = plt.subplots(figsize=(8, 4.5), layout='constrained')
    shown = on_the_seeds_of(results, baseline)
    for (method, runs), colour in zip(shown.items(), COLOURS, strict=False):
        epochs, mAP = by_epoch(runs)
        axis.plot(epochs, mAP.T, color=colour, alpha=.3, linewidth=1)
        axis.plot(epochs, mAP.mean(0), 'o-', color=colour, linewidth=2.5, markersize=4,
                  label=method)
    axis.set(xlabel='epoch', ylabel='mAP in %; thick: mean over seeds', ylim=(0, None))
    axis.grid(alpha=.3)
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(out, dpi=110)


def plot(results: Results, baseline: str, out: Path) -> None:
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    methods = [name for name in ranked(results, baseline) if name != baseline][::-1]
    figure, axis = plt.subplots(figsize=(8, 1 + 0.3 * len(methods)), layout='constrained')
    axis.axvline(0, color='black', linewidth=1)
    for row, method in enumerate(methods):
        difference = paired(results[method], results[baseline])
        colour = '#0072b2' if method.startswith('ctkd') else '#666666'
        axis.plot(difference, [row] * len(difference), 'o', color=colour, alpha=.45, markersize=5)
        axis.plot(difference.mean(), row, '|', color=colour, markersize=16, markeredgewidth=2.5)
    axis.set_yticks(range(len(methods)), methods)
    axis.set_xlabel(f'mAP points against {baseline} of the same seed; a dot for each seed, '
                    'a bar for their mean')
    axis.grid(axis='x', alpha=.3)
    axis.spines[['top', 'right']].set_visible(False)
    figure.savefig(out, dpi=110)


def main() -> None:
    args = parse_args()
    results = read(args.results)
    print('\n'.join(table(results, args.against)))
    print('\n' + resolution(results, args.against[0]))
    if args.plot:
        plot(results, args.against[0], args.plot)
    if args.curves:
        print('\n'.join(['', *curve_table(results, args.against[0])]))
        plot_curves(results, args.against[0], args.curves)


if __name__ == '__main__':
    main()
