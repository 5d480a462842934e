"""The feature losses, written from their papers with numpy in float64, one map or RoI at a time.

Each takes one level (B, C, H, W), or (N, D), of student and teacher and the loss itself, whose
trained parts it reads as arrays.
"""
import numpy as np


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def array(x):
    return x.detach().double().numpy()


def pointwise(layer, x):
    """A 1x1 convolution or a linear layer; x itself for an Identity."""
    if not hasattr(layer, 'weight'):
        return x
    weight = array(layer.weight)
    weight = weight.reshape(weight.shape[:2])
    bias = array(layer.bias) if layer.bias is not None else np.zeros(len(weight))
    out = np.tensordot(weight, x, axes=(1, 1))  # (C_out, B, ...)
    return np.moveaxis(out, 0, 1) + bias.reshape(-1, *[1] * (x.ndim - 2))


def conv3x3(layer, x):
    weight = array(layer.weight)
    bias = array(layer.bias) if layer.bias is not None else np.zeros(len(weight))
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(x), len(weight), height, width))
    for dy in range(3):
        for dx in range(3):
            window = padded[:, :, dy:dy + height, dx:dx + width]
            out += np.einsum('oc,bchw->bohw', weight[:, :, dy, dx], window)
    return out + bias.reshape(-1, 1, 1)


def batch_norm(layer, x):
    """Of a training step."""
    axes = tuple(i for i in range(x.ndim) if i != 1)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    shape = (-1, *[1] * (x.ndim - 2))
    return ((x - mean) / np.sqrt(var + layer.eps) * array(layer.weight).reshape(shape)
            + array(layer.bias).reshape(shape))


def fitnet(loss, s, t):
    return np.mean((pointwise(loss.adapters[0], s) - t)**2)


def at(loss, s, t):
    total = 0
    for a, b in zip(s, t, strict=True):
        q_s, q_t = (np.sum(np.abs(x)**loss.p, 0).ravel() for x in (a, b))
        total += np.sum((q_s / np.sqrt(q_s @ q_s) - q_t / np.sqrt(q_t @ q_t))**2)
    positions = 1 if loss.reduction == 'batch' else s[0, 0].size
    return total / len(s) / positions


def sp(loss, s, t):
    rows = []
    for x in (s, t):
        gram = np.array([[a @ b for b in x] for a in x])
        rows.append(gram / np.sqrt((gram**2).sum(1, keepdims=True)))
    return ((rows[0] - rows[1])**2).sum() / len(s)**2


def pkt(loss, s, t):
    total, p = 0, []
    for x in (s, t):
        lengths = [np.sqrt(a @ a) + loss.eps for a in x]
        k = np.array([[(a @ b / (la * lb) + 1) / 2 for b, lb in zip(x, lengths, strict=True)]
                      for a, la in zip(x, lengths, strict=True)])
        p.append(k / k.sum(1, keepdims=True))
    for i in range(len(s)):
        for j in range(len(s)):
            total += p[1][i, j] * np.log((p[1][i, j] + loss.eps) / (p[0][i, j] + loss.eps))
    return total / len(s)**2


def vid(loss, s, t):
    first, _, second, _, third = loss.adapters[0]
    mu = pointwise(third, np.maximum(
        pointwise(second, np.maximum(pointwise(first, s), 0)), 0))
    variance = np.log1p(np.exp(array(loss.raw_variances[0]))) + loss.eps
    variance = variance.reshape(-1, *[1] * (t.ndim - 2))
    return np.mean(0.5 * ((t - mu)**2 / variance + np.log(variance)))


def pkd(loss, s, t):
    """(n - 1) / n times the mean of 1 - r; the constant 1e-6 beside a deviation is seen."""
    s, out = pointwise(loss.adapters[0], s), []
    for c in range(t.shape[1]):
        a, b = (x[:, c].ravel() for x in (s, t))
        a, b = ((x - x.mean()) / (x.std(ddof=1) + 1e-6) for x in (a, b))
        out.append(np.mean((a - b)**2) / 2)
    return np.mean(out)


def cwd(loss, s, t):
    s, total = pointwise(loss.adapters[0], s), 0
    for a, b in zip(s, t, strict=True):
        for own, theirs in zip(a, b, strict=True):
            p, q = softmax(theirs.ravel() / loss.tau), softmax(own.ravel() / loss.tau)
            total += np.sum(p * np.log(p / q))
    return loss.tau**2 * total / (t.shape[0] * t.shape[1])


def pool(x, size):
    """Averages of size x size cells, whose borders torch rounds outwards."""
    height, width = x.shape[2:]
    out = np.zeros((*x.shape[:2], size, size))
    for i in range(size):
        for j in range(size):
            rows = slice(i * height // size, -(-(i + 1) * height // size))
            columns = slice(j * width // size, -(-(j + 1) * width // size))
            out[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
    return out


def hierarchical(sizes, f, t):
    values, factors = [np.mean((f - t)**2)], [1.0]
    for size in sizes:
        if size < f.shape[2]:
            values.append(np.mean((pool(f, size) - pool(t, size))**2))
            factors.append(factors[-1] / 2)
    return np.dot(values, factors) / sum(factors)


def reviewkd(loss, s, t):
    """Of one level."""
    return reviewkd_levels(loss, [s], [t])


def reviewkd_levels(loss, s, t):
    """From the coarsest level on: what each has fused flows into the next finer one."""
    total, residue = 0, None
    for fusion, a, b in list(zip(loss.adapters, s, t, strict=True))[::-1]:
        x = batch_norm(fusion.enter[1], pointwise(fusion.enter[0], a))
        if residue is not None:
            rows = np.arange(x.shape[2]) * residue.shape[2] // x.shape[2]
            columns = np.arange(x.shape[3]) * residue.shape[3] // x.shape[3]
            up = residue[:, :, rows][:, :, :, columns]
            gates = 1 / (1 + np.exp(-pointwise(fusion.attention, np.concatenate([x, up], 1))))
            x = gates[:, :1] * x + gates[:, 1:] * up
        residue = x
        total += hierarchical(loss.sizes, batch_norm(
            fusion.leave[1], conv3x3(fusion.leave[0], x)), b)
    return total


def mgd(loss, s, t, mask):
    part = loss.adapters[0]
    x = pointwise(part.align, s) * mask
    x = conv3x3(part.generate[2], np.maximum(conv3x3(part.generate[0], x), 0))
    return ((t - x)**2).sum() / (len(t) if loss.reduction == 'sum' else t.size)


def attention(x, temperature):
    """A^S and A^C of one image."""
    channels, height, width = x.shape
    spatial = height * width * softmax(np.abs(x).mean(0).ravel() / temperature)
    return (spatial.reshape(height, width),
            channels * softmax(np.abs(x).mean((1, 2)) / temperature))


def context(block, x):
    """A GC block on one image."""
    channels = len(x)
    share = softmax(pointwise(block.attend, x[None]).ravel())
    pooled = np.array([(x[c].ravel() * share).sum() for c in range(channels)])[None]
    first, norm, _, last = block.transform
    hidden = pointwise(first, pooled)
    hidden = (hidden - hidden.mean()) / np.sqrt(hidden.var() + norm.eps)
    hidden = np.maximum(hidden * array(norm.weight) + array(norm.bias), 0)
    return x + pointwise(last, hidden)[0][:, None, None]


def fgd(loss, s, t, boxes, image_shape):
    s, total = pointwise(loss.adapters[0], s), 0
    height, width = t.shape[2:]
    for a, b, image in zip(s, t, boxes, strict=True):
        foreground = np.zeros((height, width))
        for x1, y1, x2, y2 in array(image):
            x1, x2 = np.floor(x1 / image_shape[1] * width), np.ceil(x2 / image_shape[1] * width)
            y1, y2 = np.floor(y1 / image_shape[0] * height), np.ceil(y2 / image_shape[0] * height)
            area = (x2 - x1 + 1) * (y2 - y1 + 1)
            for row in range(int(y1), min(int(y2) + 1, height)):
                for column in range(int(x1), min(int(x2) + 1, width)):
                    foreground[row, column] = max(foreground[row, column], 1 / area)
        free = foreground == 0
        background = free / free.sum() if free.any() else free
        spatial_s, channel_s = attention(a, loss.tau)
        spatial_t, channel_t = attention(b, loss.tau)
        weight = channel_t[:, None, None] * spatial_t * (a - b)**2
        total += loss.alpha * (foreground * weight).sum() + loss.beta * (background * weight).sum()
        total += loss.gamma * (np.abs(spatial_s - spatial_t).sum()
                               + np.abs(channel_s - channel_t).sum())
        total += loss.lambda_ * ((context(loss.student_contexts[0], a)
                                  - context(loss.teacher_contexts[0], b))**2).sum()
    return total / len(s)


def srrl(loss, s, t, classifier):
    linear, norm, _ = loss.adapters[0]
    h = np.maximum(batch_norm(norm, pointwise(linear, s)), 0)
    logits = pointwise(classifier, h) - pointwise(classifier, t)
    return loss.alpha * np.mean((h - t)**2) + loss.beta * np.mean(logits**2)


def crd(loss, s, t, labels):
    """The first step: Z is the mean over its pairs. No label has more than half of the RoIs."""
    sides, total = [], 0
    for name, x in (('student', s), ('teacher', t)):
        e = pointwise(loss.adapters[0][name], x)
        sides.append(e / np.sqrt((e**2).sum(1, keepdims=True)))
    for anchors, others in (sides, sides[::-1]):
        score = np.exp(anchors @ others.T / loss.tau)
        negatives = array(labels)[:, None] != array(labels)
        z = score[negatives | np.eye(len(s), dtype=bool)].mean()
        for i in range(len(s)):
            k = negatives[i].sum()
            h = score[i] / z / (score[i] / z + k)
            total -= (np.log(h[i]) + np.log(1 - h[negatives[i]]).sum()) / len(s)
    return total


def sskd(loss, s, t, rotated_student, rotated_teacher):
    """Row by row; of equally similar plain RoIs, and equally ranked rows, the first comes first."""
    def similarities(side, rotated, plain):
        first, _, second = loss.adapters[0][side]
        a, b = (pointwise(second, np.maximum(pointwise(first, x), 0)) for x in (rotated, plain))
        return [[x @ y / np.sqrt(x @ x * (y @ y)) for y in b] for x in a]

    of_student = similarities('student', rotated_student, s)
    of_teacher = similarities('teacher', rotated_teacher, t)
    places = [sum(x > row[i] or (x == row[i] and j < i) for j, x in enumerate(row))
              for i, row in enumerate(of_teacher)]
    wrong = sorted((place, i) for i, place in enumerate(places) if place > 0)
    kept = [i for i, place in enumerate(places) if place == 0]
    kept += [i for _, i in wrong[:int(len(wrong) * loss.wrong_share)]]
    divergence = lesson = 0
    for i, (a, b) in enumerate(zip(of_student, of_teacher, strict=True)):
        p_s, p_t = softmax(np.array(a) / loss.tau), softmax(np.array(b) / loss.tau)
        divergence += (p_t * np.log(p_t / p_s)).sum() if i in kept else 0
        lesson -= np.log(softmax(np.array(b))[i])
    return loss.loss_weight * loss.tau**2 * divergence / max(len(kept), 1) + lesson / len(s)
