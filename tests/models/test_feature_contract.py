"""What a feature loss accepts, draws, keeps, and refuses."""
import copy

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from ctkd_det.models import CRDLoss, FGDLoss, FitNetLoss, MGDLoss, PKDLoss, ReviewKDLoss, SPLoss
from ctkd_det.models.losses.draws import Draws
from ctkd_det.models.losses.features.fgd_loss import box_mask

NAMES = ('FitNetLoss', 'ATLoss', 'SPLoss', 'PKTLoss', 'VIDLoss', 'PKDLoss', 'CWDLoss',
         'ReviewKDLoss', 'MGDLoss', 'FGDLoss', 'SRRLLoss', 'CRDLoss', 'SSKDLoss')


@pytest.mark.parametrize('name', NAMES)
def test_a_temperature_is_sent_to_a_logit_loss(name):
    with pytest.raises(TypeError, match="goes into a logit loss beside it"):
        MODELS.build(dict(type=name, student_channels=4, teacher_channels=4,
                          temperature=dict(type='GlobalTemperature')))


@pytest.mark.parametrize(('options', 'words'), [
    (dict(loss_weight=-1), 'loss_weight'), (dict(levels=(0, 0)), 'levels'),
    (dict(levels=(0, 1), level_weights=(1, )), 'level_weights'),
    (dict(student_channels=[4], levels=(1, )), 'student_channels'),
    (dict(student_channels=None, teacher_channels=4), 'widths|channels'),
    (dict(strange=1), 'strange')])
def test_arguments_out_of_range(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        FitNetLoss(**{**dict(student_channels=4, teacher_channels=8), **options})


def test_adapters_exist_only_where_widths_differ():
    loss = PKDLoss([4, 8, 8], [8, 8, 16])
    kinds = [type(adapter) for adapter in loss.adapters]
    assert kinds == [nn.Conv2d, nn.Identity, nn.Conv2d]
    assert loss.adapters[0].kernel_size == (1, 1)
    assert isinstance(FitNetLoss(4, 8, source='roi').adapters[0], nn.Linear)
    assert FitNetLoss(4, 8, levels=(0, 1)).adapters[1].out_channels == 8


def test_one_width_serves_any_number_of_equal_levels():
    maps = [torch.randn(2, 4, n, n) for n in (8, 4, 2)]
    assert PKDLoss(4, 4)(maps, maps).item() == pytest.approx(0)
    assert PKDLoss()(maps, maps).item() == pytest.approx(0)
    with pytest.raises(ValueError, match='built for 1 levels'):
        PKDLoss(4, 8)(maps, maps)
    with pytest.raises(ValueError, match='needs student_channels'):  # no broadcasting
        PKDLoss()(maps[0][:, :1], maps[0])


@pytest.mark.parametrize(('student', 'teacher'), [
    ((2, 4, 8, 8), (1, 4, 8, 8)), ((2, 5, 8, 8), (2, 4, 8, 8)), ((2, 4), (2, 4))])
def test_what_cannot_be_compared_is_refused_with_both_shapes(student, teacher):
    with pytest.raises(ValueError) as error:
        PKDLoss(4, 4)([torch.zeros(student)], [torch.zeros(teacher)])
    assert f'[{student}]' in str(error.value) and f'[{teacher}]' in str(error.value)


def test_each_stage_of_a_cascade_has_its_own_adapter():
    loss = FitNetLoss([4, 5], [8, 5], source='roi')
    assert [type(a) for a in loss.adapters] == [nn.Linear, nn.Identity]
    s, t = torch.randn(3, 5), torch.randn(3, 5)
    torch.testing.assert_close(loss(s, t, stage=1), (s - t).square().mean())
    with pytest.raises(ValueError, match='widths 4'):
        loss(s, t)


def test_rois_have_no_levels():
    with pytest.raises(ValueError, match='no levels'):
        SPLoss(levels=(0, ))


def test_draws_leave_the_global_generator_alone_and_resume():
    maps = [torch.randn(2, 4, 6, 6)]
    torch.manual_seed(0)
    loss = MGDLoss(4, 4)
    before = torch.get_rng_state()
    first = loss(maps, maps)
    assert torch.equal(torch.get_rng_state(), before)
    state = {key: x.clone() for key, x in loss.state_dict().items()}
    second = loss(maps, maps)
    assert second != first
    other = MGDLoss(4, 4)
    other.load_state_dict(state)
    assert other(maps, maps) == second
    assert copy.deepcopy(other)(maps, maps) == loss(maps, maps)  # EMA's copy
    assert all(isinstance(x, torch.Tensor) for x in state.values())


def test_each_seed_and_each_rank_draws_other_numbers(monkeypatch):
    def first(seed, rank):
        torch.manual_seed(seed)
        monkeypatch.setattr('ctkd_det.models.losses.draws.get_rank', lambda: rank)
        return Draws()((4, ), torch.device('cpu')).tolist()

    assert first(3, 0) == first(3, 0)
    assert len({tuple(first(seed, rank)) for seed, rank in ((3, 0), (3, 1), (7, 0))}) == 3


def test_the_share_of_masked_positions():
    t = [torch.zeros(4, 3, 50, 50)]
    loss = MGDLoss(3, 3, mask_ratio=0.65)
    seen = []
    loss.adapters[0].register_forward_pre_hook(lambda module, args: seen.append(args[1]))
    loss(t, t)
    assert (~seen[0]).float().mean() == pytest.approx(0.65, abs=0.02)
    assert seen[0].shape == (4, 1, 50, 50)


def test_review_goes_from_coarse_to_fine():
    widths = dict(student_channels=[4] * 3, teacher_channels=[8] * 3)
    ReviewKDLoss(levels=(0, 2), **widths)
    with pytest.raises(ValueError, match=r'finest to the coarsest.*\(2, 0\)'):
        ReviewKDLoss(levels=(2, 0), **widths)


def test_review_has_no_attention_that_no_step_uses():
    loss = ReviewKDLoss([4, 4], [4, 4], mid_channels=4)
    maps = [torch.randn(2, 4, n, n) for n in (8, 4)]
    loss(maps, maps).backward()
    assert all(p.grad is not None for p in loss.parameters())


def test_focus_of_the_boxes():
    """By hand: 8 pixels a position; the smaller of two boxes wins, areas count borders."""
    boxes = [torch.tensor([[0., 0., 16., 8.], [8., 0., 16., 8.]]), torch.zeros(0, 4)]
    mask = box_mask(boxes, (32, 32), torch.zeros(2, 1, 4, 4))
    # (0, 0) to (2, 1): 3 x 2 positions; (1, 0) to (2, 1): 2 x 2
    expected = torch.zeros(2, 4, 4)
    expected[0, :2, 0], expected[0, :2, 1:3] = 1 / 6, 1 / 4
    torch.testing.assert_close(mask, expected)


def test_boxes_of_the_padded_batch_keep_their_place():
    """A box of a smaller image lies where it is in the batch, whatever that image's own size."""
    half = FGDLoss(2, 2, alpha=1., beta=0., gamma=0., lambda_=0.)
    t = torch.zeros(1, 2, 8, 8)
    s = t.clone()
    s[:, :, 1, 1] = 1
    inside, outside = ([torch.tensor([[b, b, b + 7., b + 7.]])] for b in (8., 40.))
    assert half([s], [t], boxes=inside, image_shape=(64, 64)) > 0
    assert half([s], [t], boxes=outside, image_shape=(64, 64)) == 0


class TestCRD:

    def make(self, **options):
        torch.manual_seed(0)
        return CRDLoss(5, 6, embed_channels=4, **options)

    def test_z_is_fixed_by_the_first_step_and_kept(self):
        loss = self.make()
        s, t = torch.randn(6, 5), torch.randn(6, 6)
        nothing = torch.zeros(6).long()
        loss.eval()(s, t, labels=torch.arange(6))  # nothing is kept of an evaluation
        loss.train()(s, t, labels=nothing)  # no negatives yet
        assert loss.z_is_known == 0
        loss(s, t, labels=torch.arange(6))
        z = loss.log_z.clone()
        assert loss.z_is_known == 1 and (z != 0).all()
        loss(10 * s.flip(0), t, labels=torch.arange(6))
        assert torch.equal(loss.log_z, z)
        other = self.make()
        other.load_state_dict(loss.state_dict())
        assert other(s, t, labels=torch.arange(6)) == loss(s, t, labels=torch.arange(6))

    def test_the_background_does_not_swamp_the_pool(self):
        labels = torch.tensor([0, 1, 2] + [7] * 20)
        negatives = self.make()._negatives(0, labels, None)
        assert negatives[0, 3:].sum() == 3 and negatives[0, 1:3].all() and not negatives[0, 0]
        assert torch.equal(negatives[3:].sum(1), torch.full((20, ), 3))

    def test_chance_says_which_of_the_background_are_in_the_pool(self):
        labels, loss = torch.tensor([0] + [7] * 20), self.make()
        draws = [loss._negatives(0, labels, None)[0].nonzero().item() for _ in range(10)]
        assert len(set(draws)) > 3 and 0 not in draws

    def test_what_overlaps_is_no_negative(self):
        rois = torch.tensor([[0., 0, 0, 10, 10], [0., 0, 0, 10, 9], [0., 5, 5, 30, 30],
                             [1., 0, 0, 10, 10]])
        negatives = self.make()._negatives(0, torch.arange(4), rois)
        expected = ~torch.eye(4, dtype=torch.bool)
        expected[0, 1] = expected[1, 0] = False  # the last one lies in another image
        assert torch.equal(negatives, expected)

    def test_the_queue_holds_the_latest_and_gives_negatives(self):
        loss = self.make(queue_size=5)
        s, t = torch.randn(3, 5), torch.randn(3, 6)
        loss(s, t, labels=torch.tensor([0, 0, 1])).backward()
        assert loss.queue_labels.tolist() == [[0, 0, 1, -1, -1]]
        loss(s, t, labels=torch.tensor([2, 2, 2])).backward()
        assert loss.queue_labels.tolist() == [[2, 2, 2, 0, 0]]
        negatives = loss._negatives(0, torch.tensor([0, 2]), None)
        assert negatives[:, 2:].tolist() == [[True] * 3 + [False] * 2, [False] * 3 + [True] * 2]
        loss.eval()
        loss(s, t, labels=torch.tensor([3, 3, 3]))
        assert loss.queue_labels.tolist() == [[2, 2, 2, 0, 0]]

    def test_each_embedding_learns_as_an_anchor_only(self):
        """The other side's, of this batch and of the queue, are constants beside it."""
        loss = self.make(queue_size=4).double()
        before, now = ([torch.randn(n, width).double() for width in (5, 6)] for n in (4, 3))
        loss(*before, labels=torch.arange(4))  # which fills the queue and fixes Z
        (old_s, old_t), (s, t) = (
            [torch.nn.functional.normalize(loss.adapters[0][side](x), dim=1)
             for side, x in zip(('student', 'teacher'), pair, strict=True)]
            for pair in (before, now))
        # no two labels are equal: each anchor has one positive and 2 + 4 negatives
        own, expected = torch.eye(3, 7, dtype=torch.bool), 0
        for anchors, others, log_z in zip((s, t), ([t, old_t], [s, old_s]), loss.log_z[0],
                                          strict=True):
            odds = (anchors @ torch.cat(others).detach().t() / loss.tau - log_z).exp() / 6
            h = odds / (odds + 1)
            expected = expected - (h[own].log().sum() + (1 - h[~own]).log().sum()) / 3
        value, weights = loss(*now, labels=torch.arange(4, 7)), [*loss.adapters.parameters()]
        torch.testing.assert_close(value, expected)
        for found, wanted in zip(torch.autograd.grad(value, weights),
                                 torch.autograd.grad(expected, weights), strict=True):
            torch.testing.assert_close(found, wanted)
