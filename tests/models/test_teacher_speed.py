"""A teacher that is compiled, folded, in half precision or in channels_last says what it said."""
import copy

import pytest
import torch
from mmengine.config import Config
from torch import nn

from ctkd_det.models.teachers import TeacherError
from helpers import TORCH_BEFORE_2_6, batch, build, distill, make_shapes, run, student_config


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
    code = str(graphs[0]).lower()
    assert len(graphs) == 1 and 'conv2d' in code and 'roi' not in code


def test_where_nothing_compiles_the_error_says_so(teacher):
    def backend(graph, inputs):
        raise OSError('no compiler for miles')
    model = distilled(teacher, teacher_compile=dict(backend=backend))
    with pytest.raises(TeacherError, match='no compiler for miles.*teacher_compile=False'):
        roi_logits(model)


@pytest.mark.skipif(TORCH_BEFORE_2_6, reason='older torch calls this error otherwise')
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


def test_a_folded_teacher_answers_the_same_and_is_inherited_from_before(teacher):
    model = distilled(teacher, teacher_fold=True, inherit=['neck']).double()
    generator = torch.Generator().manual_seed(0)
    for module in model.teacher_model.modules():  # as trained ones have them
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                value.data.uniform_(0.5, 1.5, generator=generator)
    plain = distilled(teacher).double()
    plain.teacher_model.load_state_dict(model.teacher_model.state_dict())
    model.init_weights()  # as a Runner does, by the names of the weights
    found = roi_logits(model)
    torch.testing.assert_close(found, roi_logits(plain), rtol=1e-12, atol=1e-12)
    assert torch.equal(roi_logits(model), found)
    body = model.teacher_model.backbone
    assert not any(isinstance(module, nn.BatchNorm2d) for module in body.modules())
    assert body.layer1[0].conv2.weight.is_contiguous(memory_format=torch.channels_last)
    assert not any(p.requires_grad for p in model.teacher_model.parameters())


def test_folding_is_compared_in_float32_where_a_gpu_takes_tf32(teacher, monkeypatch):
    """As cuDNN does by default, a convolution's inputs and weights are rounded to 10 bits."""
    def rounded(x):
        return x.view(torch.int32).add(0x1000).bitwise_and(~0x1fff).view(torch.float32)

    def conv2d(x, weight, *args):
        if torch.backends.cudnn.allow_tf32:
            x, weight = rounded(x), rounded(weight)
        return convolve(x, weight, *args)

    model, convolve = distilled(teacher, teacher_fold=True), nn.functional.conv2d
    generator = torch.Generator().manual_seed(0)
    for module in model.teacher_model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    monkeypatch.setattr(nn.functional, 'conv2d', conv2d)
    assert torch.backends.cudnn.allow_tf32
    roi_logits(model)
    assert torch.backends.cudnn.allow_tf32


def test_what_cannot_be_folded_is_refused(teacher):
    model = distilled(teacher, teacher_fold=True)
    block = model.teacher_model.backbone.layer1[0]
    # defined in another order than it runs
    block._modules = {name: block._modules[name]
                      for name in ('conv1', 'bn2', 'conv2', 'bn1', 'relu')}
    block.bn1.bias.fill_(3)
    with pytest.raises(TeacherError, match='teacher_fold.*level 0.*teacher_fold=False'):
        roi_logits(model)
    with pytest.raises(ValueError, match='teacher_fold.*snapshot'):
        distilled(dict(teacher_config='snapshot'), teacher_fold=True)
    with pytest.raises(ValueError, match="teacher_dtype must be.*'half'"):
        distilled(teacher, teacher_dtype='half')


def test_a_teacher_in_bfloat16_answers_in_float32(teacher):
    model, plain = distilled(teacher, teacher_dtype='bfloat16'), distilled(teacher)
    found, expected = roi_logits(model), roi_logits(plain)
    assert found.dtype == torch.float32 and not torch.equal(found, expected)
    # three digits of the maps, of which the logits are sums
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05 * expected.abs().max().item())
    data = batch(model)
    maps = model.teacher.features(data['inputs'], data['data_samples'])
    assert {x.dtype for x in maps} == {torch.float32}
    assert all(torch.equal(x, x.bfloat16().float()) for x in maps)
