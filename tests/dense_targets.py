"""What each family's head assigns to every location, asked of mmdet's own target functions."""
import copy

import torch
from mmdet.structures.bbox import distance2bbox

import ctkd_det  # noqa: F401


def flat(levels, num_classes=8):
    """(B, A * C, H, W) of each level to (N, C): level, image, row, column, anchor."""
    return torch.cat([x.permute(0, 2, 3, 1).reshape(-1, num_classes) for x in levels])


def by_image(levels, width=8):
    """(B, A * C, H, W) of each level to (B, N / B, C)."""
    return torch.cat([x.permute(0, 2, 3, 1).reshape(len(x), -1, width) for x in levels], 1)


def logits(head, outputs):
    """(N, C) in float64, the plain formula of each family."""
    if hasattr(head, 'initial_loss_cls'):  # TOOD: probabilities
        p = flat(outputs[0]).double()
        return (p / (1 - p)).log()
    if not joint(head):
        return flat(outputs[0]).double()
    p = flat(outputs[0]).double().sigmoid() * flat(outputs[2], 1).double().sigmoid()
    return (p / (1 - p)).log()


def joint(head):
    return type(head).__name__ in ('YOLOXHead', 'AutoAssignHead')


def targets(model, data):
    """Weights and labels of all locations, and the divisor."""
    head = model.bbox_head
    data = copy.deepcopy(data)
    instances = [sample.gt_instances for sample in data['data_samples']]
    metas = [sample.metainfo for sample in data['data_samples']]
    with torch.no_grad():
        outs = head(model.extract_feat(data['inputs']))
    name = type(head).__name__
    for kind, ask in ASK.items():
        if name.startswith(kind):
            return ask(head, outs, instances, metas)
    sizes = [x.shape[-2:] for x in outs[0]]
    anchors, valid = head.get_anchors(sizes, metas, device='cpu')
    found = head.get_targets(anchors, valid, instances, metas)
    # AnchorHead leaves the anchors out of its answer
    labels, weights = found[:2] if name == 'RetinaHead' else found[1:3]
    return levels(weights), levels(labels), found[-1]


def levels(x):
    return torch.cat([part.reshape(-1) for part in x])


def from_images(x, outs):
    """(B, n) to (N,), one location a column."""
    sizes = [level[0, 0].numel() for level in outs[0]]
    return levels(x.split(sizes, 1))


def _fcos(head, outs, instances, metas):
    points = head.prior_generator.grid_priors([x.shape[-2:] for x in outs[0]], device='cpu')
    labels = levels(head.get_targets(points, instances)[0])
    return torch.ones(len(labels)), labels, (labels < 8).sum().item()


def _aligned(head, outs, instances, metas, boxes=None):
    anchors, valid = head.get_anchors([x.shape[-2:] for x in outs[0]], metas, device='cpu')
    if boxes is None:
        boxes = torch.cat([distance2bbox(a, by_image([d], 4)) for a, d in zip(
            [a.reshape(-1, 4) for a in anchors[0]], outs[1], strict=True)], 1)
    for each in instances:
        if hasattr(each, 'masks') and head.__class__.__name__.startswith('RTMDetIns'):
            each.masks = each.masks.to_tensor(torch.bool, 'cpu')
    found = head.get_targets(by_image(outs[0]), boxes, anchors, valid, instances, metas)
    return levels(found[2]), levels(found[1]), max(sum(x.sum() for x in found[4]).item(), 1)


def _tood(head, outs, instances, metas):
    boxes = torch.cat([by_image([box], 4) * stride[0] for box, stride in zip(
        outs[1], head.prior_generator.strides, strict=True)], 1)
    return _aligned(head, outs, instances, metas, boxes)


def _vfnet(head, outs, instances, metas):
    points = head.fcos_prior_generator.grid_priors(
        [x.shape[-2:] for x in outs[0]], torch.float32, 'cpu')
    labels = levels(head.get_targets(outs[0], points, instances, metas)[0])
    return torch.ones(len(labels)), labels, max((labels < 8).sum().item(), 1)


def _paa(head, outs, instances, metas):
    found, reassign = [], head.paa_reassign
    head.paa_reassign = lambda *args: found.append(reassign(*args)) or found[-1]
    head.loss_by_feat(*outs, instances, metas)
    del head.paa_reassign
    labels, weights = (from_images(torch.stack([image[i] for image in found]), outs)
                       for i in (0, 1))
    return weights, labels, max(sum(image[3] for image in found), len(metas))


def _ddod(head, outs, instances, metas):
    anchors, valid = head.get_anchors([x.shape[-2:] for x in outs[0]], metas, device='cpu')
    common = head.process_predictions_and_anchors(anchors, valid, outs[0], outs[1], metas, None)
    found = head.get_cls_targets(*common[:5], instances, metas, common[5])
    counts = list(head.cls_num_pos_samples_per_level)
    factors = head.calc_reweight_factor(found[1])
    head.cls_num_pos_samples_per_level = counts
    weights = [weight * factor for weight, factor in zip(found[2], factors, strict=True)]
    return levels(weights), levels(found[1]), max(found[5], 1)


def _yolox(head, outs, instances, metas):
    priors = torch.cat(head.prior_generator.grid_priors(
        [x.shape[-2:] for x in outs[0]], device='cpu', with_stride=True))
    boxes = head._bbox_decode(priors, by_image(outs[1], 4))
    labels = torch.full(by_image(outs[0]).shape[:2], 8)
    for i, each in enumerate(instances):
        mask, classes, *_ = head._get_targets_single(
            priors, by_image(outs[0])[i], boxes[i], by_image(outs[2], 1)[i, :, 0], each, metas[i])
        if len(each):
            labels[i, mask] = classes.argmax(1)
    labels = from_images(labels, outs)
    return torch.ones(len(labels)), labels, max((labels < 8).sum().item(), 1)


def _yolof(head, outs, instances, metas):
    anchors, valid = head.get_anchors([x.shape[-2:] for x in outs[0]], metas, device='cpu')
    found = head.get_targets(by_image(outs[0]), by_image(outs[1], 4), [a[0] for a in anchors],
                             [v[0] for v in valid], instances, metas)
    return found[1].reshape(-1), found[0].reshape(-1), found[2]


def _autoassign(head, outs, instances, metas):
    points = head.prior_generator.grid_priors([x.shape[-2:] for x in outs[0]], device='cpu')
    labels, total = [], 0.0
    for each, inside in zip(instances, head.get_targets(points, instances)[0], strict=True):
        priors, inside = head.center_prior(points, each, inside)
        total += priors.sum().item()
        labels.append([8 if not row.any() else each.labels[max(
            (g for g in range(len(row)) if row[g]), key=lambda g, p=prior: p[g].item())].item()
            for row, prior in zip(inside, priors, strict=True)])
    labels = from_images(torch.tensor(labels), outs)
    return torch.ones(len(labels)), labels, max(total, 1)


ASK = dict(FCOS=_fcos, RTMDet=_aligned, TOOD=_tood, VFNet=_vfnet, PAA=_paa, DDOD=_ddod,
           YOLOX=_yolox, YOLOF=_yolof, AutoAssign=_autoassign)
