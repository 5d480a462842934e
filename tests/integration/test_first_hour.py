"""The first hour of a new user: the wheel, a folder of their own, their data, the guides' lines.

Everything runs in an environment of its own, in which the checkout is not in reach.
``CTKD_DET_LONG=1`` also runs the guides' commands word for word.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import mmengine
import pytest
from PIL import Image

from ctkd_det.datasets.shapes_generator import ShapesConfig, generate
from helpers import COCO_MINI, FORK, ROOT, environment, pip

SITE = Path(mmengine.__file__).parents[1]
CLASSES = ('person', 'car', 'dog')
TEACHER = """\
_base_ = 'ctkd_det::shapes/teacher.py'
data_root = 'photos/'
metainfo = dict(classes={classes})
train_dataloader = dict(batch_size=2, dataset=dict(
    data_root=data_root, metainfo=metainfo, ann_file='annotations/train.json',
    data_prefix=dict(img='train/')))
val_dataloader = dict(dataset=dict(
    data_root=data_root, metainfo=metainfo, ann_file='annotations/val.json',
    data_prefix=dict(img='val/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_cfg = dict(max_epochs=1, val_interval=1)
"""
STUDENT = """\
_base_ = 'my_teacher.py'
model = dict(
    backbone=dict(base_channels=8), neck=dict(in_channels=[8, 16, 32], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=16),
                  bbox_head=dict(in_channels=16, fc_out_channels=64)))
"""
OWN_LOSS = """\
_base_ = 'my_distill.py'
custom_imports = dict(imports=['ctkd_det', 'my_losses'], allow_failed_imports=False)
model = dict(distill_losses=dict(_delete_=True, loss_mine=dict(
    type='SquaredLogitLoss', temperature=2.0)))
"""


def python_blocks(page):
    return re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / page).read_text(), re.S)


def real_photos(folder, part):
    """COCO's images of three classes, small; the categories keep COCO's ids, with gaps."""
    content = json.loads((COCO_MINI / f'instances_{part}.json').read_text())
    categories = sorted((c for c in content['categories'] if c['name'] in CLASSES),
                        key=lambda category: CLASSES.index(category['name']))
    ids = {category['id'] for category in categories}
    boxes = [a for a in content['annotations'] if a['category_id'] in ids]
    used = {a['image_id'] for a in boxes}
    images = [image for image in content['images'] if image['id'] in used][:6]
    scales = {}
    for image in images:
        picture = Image.open(COCO_MINI / 'images' / image['file_name'])
        scales[image['id']] = scale = 96 / max(picture.size)
        image.update(width=round(picture.width * scale), height=round(picture.height * scale))
        picture.resize((image['width'], image['height'])).save(
            folder / part / image['file_name'])
    boxes = [dict(id=a['id'], image_id=a['image_id'], category_id=a['category_id'],
                  bbox=[value * scales[a['image_id']] for value in a['bbox']],
                  area=a['area'] * scales[a['image_id']] ** 2, iscrowd=a['iscrowd'])
             for a in boxes if a['image_id'] in scales]
    return dict(images=images, annotations=boxes, categories=categories)


def drawn_photos(folder, part):
    """Shapes, under the same names."""
    file = generate(folder / 'drawn', part, ShapesConfig(
        6, size=64, num_classes=3, seed=len(part)))
    content = json.loads(file.read_text())
    for image in content['images']:
        shutil.copy(folder / 'drawn' / part / image['file_name'], folder / part)
    for category, name in zip(content['categories'], CLASSES, strict=True):
        category['name'] = name
    return content


class User:
    """Somebody with the installed package, in a folder of their own."""

    def __init__(self, python: Path, home: Path) -> None:
        self.python, self.home = python, home
        hidden = ('PYTHONPATH', 'VIRTUAL_ENV')
        self.env = {key: value for key, value in os.environ.items() if key not in hidden}
        self.env['PATH'] = os.pathsep.join([str(python.parent), self.env['PATH']])

    def run(self, *words, status=0):
        """Run a command; returns what it printed."""
        done = subprocess.run([str(word) for word in words], cwd=self.home, env=self.env,
                              capture_output=True, text=True)
        printed = done.stdout + done.stderr
        assert done.returncode == status, printed[-3000:]
        assert 'Traceback' not in printed
        assert 'UserWarning' not in printed
        return printed

    def ctkd(self, line, status=0):
        return self.run(self.python.parent / 'ctkd-det', *shlex.split(line), status=status)


@pytest.fixture(scope='module')
def user(wheel, tmp_path_factory):
    """With own data and two plain configs."""
    python = environment(tmp_path_factory.mktemp('fresh') / 'venv')
    pip('--python', str(python), 'install', '-q', '--no-deps', '--no-index',
        '--ignore-installed', str(wheel))
    home = tmp_path_factory.mktemp('home')
    photos = real_photos if COCO_MINI.is_dir() else drawn_photos
    for part in ('train', 'val'):
        (home / 'photos' / part).mkdir(parents=True)
        content = photos(home / 'photos', part)
        (home / 'photos' / 'annotations').mkdir(exist_ok=True)
        (home / 'photos' / 'annotations' / f'{part}.json').write_text(json.dumps(content))
    (home / 'my_teacher.py').write_text(TEACHER.format(classes=CLASSES))
    (home / 'my_student.py').write_text(STUDENT)
    return User(python, home)


@pytest.fixture(scope='module')
def hour(user):
    """What the commands printed, one after the other."""
    printed = dict(teacher=user.ctkd('train my_teacher.py'))
    shutil.copy(user.home / 'work_dirs' / 'my_teacher' / 'epoch_1.pth',
                user.home / 'my_teacher.pth')
    printed['line'] = user.ctkd(
        'distill my_student.py --teacher my_teacher.py --teacher-ckpt my_teacher.pth '
        '--data photos --batch-size 3 --out one_line.py --with-baseline')
    (user.home / 'my_distill.py').write_text(python_blocks('distil.md')[0])
    printed['three lines'] = user.ctkd('train my_distill.py')
    own_loss = next(block for block in python_blocks('contributing.md') if 'LogitLoss' in block)
    (user.home / 'my_losses.py').write_text(own_loss)
    (user.home / 'my_config.py').write_text(OWN_LOSS)
    printed['own loss'] = user.ctkd('train my_config.py')
    printed['report'] = user.ctkd('report work_dirs --images 2')
    printed['export'] = user.ctkd('export work_dirs/one_line --out student')
    return printed


def test_the_package_is_the_installed_one(user):
    printed = user.run(user.python, '-c', 'import ctkd_det_cli; print(ctkd_det_cli.__file__)')
    assert printed.startswith(str(user.python.parents[1]))


def test_every_training_says_what_it_was(hour):
    assert 'my_teacher learns without a teacher' in hour['teacher']
    assert '6 images, 3 classes' in hour['teacher']
    assert 'one_line_alone learns without a teacher' in hour['line']
    assert 'one_line learns from my_teacher' in hour['line']
    assert re.search(r'mAP at the end: \S+ without the teacher, \S+ with it', hour['line'])
    assert 'loss_ctkd (KDLoss, temperature GlobalTemperature)' in hour['three lines']
    assert 'loss_mine (SquaredLogitLoss, temperature 2.0)' in hour['own loss']
    assert re.search(r', mine [\d.]+', hour['own loss'])
    for name in ('teacher', 'line', 'three lines', 'own loss'):
        assert 'Finished after' in hour[name], name
        # the line shows two configs, too
        assert name == 'line' or len(hour[name].splitlines()) < 50, name


def test_the_report_compares_all_of_them(hour, user):
    page = (user.home / 'report.html').read_text()
    for name in ('one_line_alone', 'one_line', 'my_distill', 'my_config', 'my_teacher'):
        assert name in page
    # the own loss's module is not in reach of the report, and its detector does without it
    assert 'my_losses' not in page
    assert 'loading annotations' not in hour['report']


def test_the_printed_lines_detect(hour, user):
    lines = re.search(r'To use it:\n\n(.*?)\n\nIt needs', hour['export'], re.S)[1]
    image = next((user.home / 'photos' / 'val').iterdir())
    shutil.copy(image, user.home / 'image.jpg')
    user.run(user.python, '-W', 'ignore', '-c',
             '\n'.join(line.strip() for line in lines.splitlines()))
    assert Image.open(user.home / 'outputs' / 'vis' / 'image.jpg').size == Image.open(image).size


def test_nothing_written_names_this_machine(hour, user):
    """Neither the environment nor the packages that it shares, nor the checkout."""
    machine = [str(path).encode() for path in (user.python.parents[1], SITE, ROOT)]
    files = [file for suffix in ('py', 'pth', 'json', 'html') for file in
             user.home.rglob(f'*.{suffix}')]
    assert {'one_line.py', 'report.html', 'epoch_1.pth'} <= {file.name for file in files}
    assert [file for file in files if file.parent.name == 'student']
    for file in files:
        # torch's checkpoints are archives that are not compressed
        assert not [path for path in machine if path in file.read_bytes()], file
    # nor does what the command has written for the user name the user's folder
    for name in ('one_line.py', 'one_line_alone.py'):
        assert str(user.home) not in (user.home / name).read_text(), name


@pytest.mark.parametrize('line, said', [
    ('distill my_student.py --teacher my_techer.py --teacher-ckpt x', 'my_teacher.py'),
    ('distill my_student.py --teacher my_teacher.py --teacher-ckpt wrong.pth',
     'Checkpoints found: .*my_teacher.pth'),
    ('distill my_student.py --teacher my_teacher.py --epoch 3', '--epochs'),
    ('report photos', 'holds a run')])
def test_mistakes_end_as_a_sentence(hour, user, line, said):
    before = sorted(user.home.rglob('*.py'))
    printed = user.ctkd(line, status=2 if '--epoch ' in line else 1)
    lines = len(printed.splitlines()) - 6 * FORK  # those of mmdet's import
    assert re.search(said, printed) and lines < 6, printed
    assert sorted(user.home.rglob('*.py')) == before


# lines of the guides that set up environments, fetch something, or need several devices
NOT_RUN = re.compile(r'^(make|pip|git) |dist_train|dataset_converters')
GUIDES = ['README.md', *(f'docs/{name}.md' for name in ('index', 'distil', 'dataset'))]


def lines_of(page):
    blocks = re.findall(r'```bash\n(.*?)```', (ROOT / page).read_text(), re.S)
    lines = ''.join(blocks).replace('\\\n', ' ').splitlines()
    return [line.partition(' #')[0].strip() for line in lines if line]


def voc(folder):
    """A data set of Pascal VOC's layout, for the guide's ``my/voc``."""
    for number in range(8):
        for name in ('Annotations', 'JPEGImages'):
            (folder / name).mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (64, 48), (40 * number % 255, 90, 10)).save(
            folder / 'JPEGImages' / f'{number}.jpg')
        (folder / 'Annotations' / f'{number}.xml').write_text(
            f'<annotation><filename>{number}.jpg</filename>'
            '<size><width>64</width><height>48</height></size>'
            '<object><name>apple</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax>'
            f'<ymax>{20 + number}</ymax></bndbox></object></annotation>')


@pytest.fixture(scope='module')
def checkout(user, hour, tmp_path_factory):
    """The user's files again, beside configs and tools as in a checkout."""
    home = tmp_path_factory.mktemp('guides')
    for name in ('my_teacher.py', 'my_teacher.pth', 'my_student.py', 'my_distill.py'):
        shutil.copy(user.home / name, home)
    (home / 'my_config.py').write_text("_base_ = 'my_distill.py'\n")
    shutil.copytree(user.home / 'photos', home / 'photos')
    voc(home / 'my' / 'voc')
    shipped = user.run(user.python, '-c',
                       'import ctkd_det_cli.places as p; print(p.shipped("ctkd_det", "tools"))')
    for name in ('tools', 'configs'):
        (home / name).symlink_to(Path(shipped.strip()).with_name(name))
    return User(user.python, home)


@pytest.mark.skipif('CTKD_DET_LONG' not in os.environ, reason='minutes: set CTKD_DET_LONG=1')
@pytest.mark.parametrize('page', GUIDES)
def test_the_guides_word_for_word(checkout, page):
    lines = [line for line in lines_of(page) if not NOT_RUN.search(line)]
    assert lines
    for line in lines:
        for run in re.findall(r'work_dirs/\w+(?=/epoch_12\.pth)', line):
            if (checkout.home / run / 'epoch_1.pth').is_file():
                shutil.copy(checkout.home / run / 'epoch_1.pth',
                            checkout.home / run / 'epoch_12.pth')
        if ' distill faster' in line:  # needs COCO and the zoo's weights to go on
            checkout.run('bash', '-c', f'{line} --dry-run')
        elif 'faster-rcnn_r' in line:
            said = checkout.run('bash', '-c', line, status=2 if ' test ' in line else 1)
            assert re.search('data are not there|there is no file', said), (line, said)
        else:
            checkout.run('bash', '-c', line)
