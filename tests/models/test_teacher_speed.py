"""A compiled teacher and one in channels_last say what the plain one says."""
import copy

import pytest
import torch
from mmengine.config import Config

from ctkd_det.models.teachers import TeacherError
from helpers import batch, build, distill, make_shapes, run, student_config


def roi_logits(model):
    data = batch(model)
    rois = torch.tensor([[0, 4., 4., 40., 30.], [1, 10., 0., 60., 63.], [1, 0., 0., 12., 12.]])
    return model.teacher.roi_logits(data['inputs'], data['data_samples'],
                                    [rois.to(data['inputs'].device)])[0]


def distilled(teacher, **options):
    cfg = distill(student_config(), teacher)
    cfg.model.update(options)
    return build(cfg).train()


@pytest.mark.parametrize('compile, device', [
    (dict(backend='aot_eager'), 'cpu'),
    pytest.param(True, 'cuda', marks=pytest.mark.skipif(
        not torch.cuda.is_available(), reason='needs a GPU: for the CPU, compiling takes minutes')),
])
def test_a_compiled_teacher_answers_the_same(compile, device, teacher):
    model = distilled(teacher, teacher_compile=compile).to(device)
    torch._dynamo.utils.counters.clear()
    found = roi_logits(model)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == 1
    # float32 through other kernels
    torch.testing.assert_close(found, roi_logits(distilled(teacher).to(device)),
                               rtol=1e-4, atol=1e-5)
    assert copy.deepcopy(model).teacher_model is model.teacher_model  # as EMA does
    losses = model(**batch(model), mode='loss')
    assert losses['loss_ctkd'].isfinite() and losses['loss_ctkd'].requires_grad


def test_options_reach_torch_compile(teacher):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward
    model = distilled(teacher, teacher_compile=dict(backend=backend))
    assert torch.equal(roi_logits(model), roi_logits(distilled(teacher)))
    modules = str(graphs[0].graph)
    assert len(graphs) == 1 and 'conv2d' in modules and 'roi' not in modules


def test_where_nothing_compiles_the_error_says_so(teacher):
    def backend(graph, inputs):
        raise OSError('no compiler for miles')
    model = distilled(teacher, teacher_compile=dict(backend=backend))
    with pytest.raises(TeacherError, match='no compiler for miles.*teacher_compile=False'):
        roi_logits(model)


@pytest.mark.skipif(torch.__version__ < '2.6', reason='older torch calls this error otherwise')
def test_without_a_compiler_the_error_names_it(teacher, tmp_path, monkeypatch):
    import torch._inductor.config
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', str(tmp_path))
    monkeypatch.setattr(torch._inductor.config.cpp, 'cxx', (None, '/nonexistent/g++'))
    torch._dynamo.reset()
    with pytest.raises(TeacherError, match='C.. compiler.*/nonexistent/g.*teacher_compile=False'):
        roi_logits(distilled(teacher, teacher_compile=True))


def test_channels_last_reaches_the_teacher_and_changes_nothing(teacher):
    expected = roi_logits(distilled(teacher).double().float())
    model = distilled(teacher).to(memory_format=torch.channels_last)
    for detector in (model, model.teacher_model):
        weight = detector.backbone.layer1[0].conv2.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()
    # float32, other kernels
    torch.testing.assert_close(roi_logits(model), expected, rtol=1e-4, atol=1e-5)


def test_channels_last_hook(teacher, tmp_path):
    cfg = distill(student_config(make_shapes(tmp_path / 'data'), max_epochs=1), teacher)
    cfg.custom_hooks = [dict(type='CurriculumHook'), dict(type='ChannelsLastHook')]
    cfg = Config.fromstring(cfg.pretty_text, '.py')
    model = run(cfg, tmp_path / 'work').model
    for detector in (model, model.teacher_model):
        weight = detector.backbone.layer1[0].conv2.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()
