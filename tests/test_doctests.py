"""The examples in the docstrings run, and no loss or temperature is without one."""
import doctest
import importlib
import inspect
import pkgutil

import pytest
import torch

import ctkd_det
from ctkd_det import models
from ctkd_det.models.temperatures import BaseTemperature

MODULES = sorted(module.name for module in pkgutil.walk_packages(ctkd_det.__path__, 'ctkd_det.')
                 if module.name.startswith('ctkd_det.models'))
# losses between logits, temperatures
WITH_EXAMPLES = [cls for cls in vars(models).values() if isinstance(cls, type)
                 and issubclass(cls, (models.LogitLoss, BaseTemperature, models.GradientReversal))
                 and cls is not models.LogitLoss]


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    torch.manual_seed(0)
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, name, extraglobs=dict(torch=torch)):
        result = runner.run(test)
        assert result.failed == 0, f'{test.name}: see the printed difference'


@pytest.mark.parametrize('cls', WITH_EXAMPLES, ids=lambda cls: cls.__name__)
def test_losses_and_temperatures_have_an_example(cls):
    assert '>>>' in inspect.getdoc(cls)
