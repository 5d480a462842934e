"""Says in a few lines how weights do not fit a detector."""
import re
from typing import Dict, List

_NAMES = re.compile(r'(Missing|Unexpected) key\(s\) in state_dict: (.*)')
_SIZE = r'(?:torch\.Size\()?(.*?)\)?'
_SHAPES = re.compile(rf'size mismatch for (\S+): copying a param with shape {_SIZE} from '
                     rf'checkpoint, the shape in current model is {_SIZE}\.?$')
_MOST = 3


def misfits(error: RuntimeError) -> str:
    """What torch's ``load_state_dict`` says of each weight, in a line for each kind of misfit.

    Of many weights of a kind the first ones are named, and the others counted.

    Args:
        error (RuntimeError): What it raised.
    """
    found: Dict[str, List[str]] = {}
    for line in map(str.strip, str(error).splitlines()):
        names, shapes = _NAMES.match(line), _SHAPES.match(line)
        if names:
            found.setdefault(names[1].lower(), []).extend(re.findall('"(.*?)"', names[2]))
        elif shapes:
            found.setdefault('size mismatch (checkpoint / detector)', []).append(
                f'{shapes[1]} {shapes[2]} / {shapes[3]}')
        elif not line.startswith('Error(s) in loading'):
            found.setdefault('other', []).append(line)
    return '\n'.join(f'  {kind}: {_first_of(ones)}' for kind, ones in list(found.items())[:_MOST])


def _first_of(ones: List[str]) -> str:
    more = f', and {len(ones) - _MOST} more' if len(ones) > _MOST else ''
    return ', '.join(ones[:_MOST]) + more
