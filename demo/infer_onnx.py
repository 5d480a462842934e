"""Draw what an exported student finds: python infer_onnx.py student.onnx image.jpg drawn.png"""
import json
import sys

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageDraw

model, source, target = sys.argv[1:]
session = InferenceSession(model, providers=['CPUExecutionProvider'])
facts = session.get_modelmeta().custom_metadata_map
classes, resize = json.loads(facts['classes']), json.loads(facts['resize'])
image = Image.open(source).convert('RGB')
size = image.size
if resize.get('keep_ratio'):
    scale = sorted(resize['scale'])
    ratio = min(scale[0] / min(size), scale[1] / max(size))
    size = tuple(int(side * ratio + 0.5) for side in size)
elif 'scale' in resize:
    size = tuple(resize['scale'])
# bilinear as OpenCV's, without the smoothing of Image.resize
pixels = image.transform(size, Image.Transform.EXTENT, (0, 0, *image.size),
                         Image.Resampling.BILINEAR)
canvas = Image.new('RGB', resize.get('pad', size), (114, 114, 114))
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
