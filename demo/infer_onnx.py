"""Draw what an exported student finds: python infer_onnx.py student.onnx image.jpg drawn.png"""
import json
import sys

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageDraw, ImageOps

model, source, target = sys.argv[1:]
session = InferenceSession(model, providers=['CPUExecutionProvider'])
facts = session.get_modelmeta().custom_metadata_map
classes, resize = json.loads(facts['classes']), json.loads(facts['resize'])
if resize is None:
    sys.exit(f'{model} does not say how images are resized: export it with --shape HEIGHT WIDTH')
# as mmdet reads it: the way up that the camera noted
image = ImageOps.exif_transpose(Image.open(source)).convert('RGB')
size = tuple(resize.get('scale', image.size))
if 'scale_factor' in resize:
    size = tuple(int(side * factor + 0.5) for side, factor in zip(
        size, resize['scale_factor'], strict=True))
if resize.get('keep_ratio'):  # fitted into a box, which turns with the image or not
    sides = map(sorted, (size, image.size)) if resize['turn'] else (size, image.size)
    ratio = min(box / side for box, side in zip(*sides, strict=True))
    size = tuple(int(side * ratio + 0.5) for side in image.size)
# bilinear as OpenCV's, without the smoothing of Image.resize
pixels = image.transform(size, Image.Transform.EXTENT, (0, 0, *image.size),
                         Image.Resampling.BILINEAR)
pad, divisor = resize.get('pad', size), resize.get('size_divisor', 1)
padded = [max(size)] * 2 if pad == 'square' else map(max, size, pad)
canvas = Image.new('RGB', tuple(-(-side // divisor) * divisor for side in padded),
                   tuple(resize.get('pad_val', (0, 0, 0))))
canvas.paste(pixels)
boxes, scores, labels = session.run(
    ['boxes', 'scores', 'labels'], {'images': np.asarray(canvas)[None]})
# a small image is enlarged, so that its labels can be read
zoom = max(1, 480 // max(image.size))
drawn = image.resize((zoom * image.width, zoom * image.height), Image.Resampling.NEAREST)
draw = ImageDraw.Draw(drawn)
found = [(classes[label], score, box * (np.array(image.size * 2) / np.array(size * 2)))
         for box, score, label in zip(boxes[0], scores[0], labels[0], strict=True) if score >= 0.3]
for name, score, box in found:
    print(name, f'{score:.3f}', *(f'{x:.1f}' for x in box))
for name, score, box in reversed(found):  # they come by falling score; the highest is on top
    draw.rectangle((zoom * box).tolist(), outline='red', width=2)
    corner, text = (zoom * box[:2]).tolist(), f'{name} {score:.2f}'
    draw.rectangle(draw.textbbox(corner, text), fill='red')
    draw.text(corner, text, fill='white')
drawn.save(target)
