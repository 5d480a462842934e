"""Small real parts shared by the tests: data, teacher, configs, environments."""
import contextlib
import subprocess
import sys
import venv
from pathlib import Path
from typing import Iterator, List, Optional

import mmdet
import mmengine
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import ctkd_det  # noqa: F401
from ctkd_det.datasets.shapes_generator import ShapesConfig, generate

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs'
# real images, which not every checkout has beside it
COCO_MINI = ROOT.parent / 'shared' / 'data' / 'coco_mini'
CLASSES = ShapesConfig(1).classes
# onedl-mmdetection: it prints lines at its import, and has a FasterCocoMetric of its own
FORK = mmdet.__version__ != '3.3.0'
# the oldest that noxfile.py has is 2.1
TORCH_BEFORE_2_6 = torch.__version__ < torch.torch_version.TorchVersion('2.6')

GLOBAL = dict(type='KDLoss', temperature=dict(type='GlobalTemperature'))
# every loss between features, small beside the detector's own
FEATURES = dict(
    loss_fitnet=dict(type='FitNetLoss', loss_weight=0.1),
    loss_at=dict(type='ATLoss', loss_weight=10.0), loss_sp=dict(type='SPLoss', loss_weight=10.0),
    loss_pkt=dict(type='PKTLoss', loss_weight=100.0),
    loss_vid=dict(type='VIDLoss', loss_weight=0.1), loss_pkd=dict(type='PKDLoss', loss_weight=0.1),
    loss_cwd=dict(type='CWDLoss', loss_weight=0.1),
    loss_reviewkd=dict(type='ReviewKDLoss', mid_channels=8, loss_weight=0.1),
    loss_mgd=dict(type='MGDLoss', loss_weight=1e-6), loss_fgd=dict(type='FGDLoss'),
    loss_srrl=dict(type='SRRLLoss', loss_weight=0.01),
    loss_crd=dict(type='CRDLoss', embed_channels=8, queue_size=8, loss_weight=0.01),
    loss_sskd=dict(type='SSKDLoss', loss_weight=0.1))


def make_shapes(out_dir: Path, num_images: int = 8) -> Path:
    """A set of 64-pixel images as both ``train`` and ``val``."""
    for i, name in enumerate(('train', 'val')):
        generate(out_dir, name, ShapesConfig(num_images, size=64, seed=i))
    return out_dir


def student_config(data_root: Optional[Path] = None, max_epochs: int = 2) -> Config:
    """The shapes student, thinner still; with data if a folder is given."""
    cfg = Config.fromfile(CONFIGS / 'shapes' / 'student.py')
    cfg.merge_from_dict(dict(
        train_dataloader=dict(batch_size=2),
        train_cfg=dict(max_epochs=max_epochs, val_interval=max_epochs),
        randomness=dict(seed=0)))
    cfg.param_scheduler = None
    cfg.default_hooks.logger.interval = 1
    if data_root is not None:
        use_data(cfg, data_root)
    return cfg


def use_data(cfg: Config, data_root: Path) -> Config:
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(data_root)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = str(Path(data_root) / 'val.json')
    return cfg


def build(cfg: Config) -> torch.nn.Module:
    """Build a detector outside a Runner, with seeded weights."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def make_teacher(folder: Path, classes: tuple = CLASSES, **model_options) -> dict:
    """Save a teacher with seeded random weights; returns the detector's arguments for it."""
    cfg = student_config()
    cfg.model.merge(model_options)
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / 'teacher.py')
    torch.manual_seed(1)
    model = build(cfg)
    # far enough from the student that the losses have something to say
    for parameter in model.roi_head.bbox_head.fc_cls.parameters():
        parameter.data.normal_(std=0.5)
    checkpoint = dict(state_dict=model.state_dict(),
                      meta=dict(dataset_meta=dict(classes=classes)))
    torch.save(checkpoint, folder / 'teacher.pth')
    return dict(teacher_config=str(folder / 'teacher.py'),
                teacher_ckpt=str(folder / 'teacher.pth'))


def distill(cfg: Config, teacher: dict, distill_losses: Optional[dict] = None) -> Config:
    """Turn a student's config into a distilled student's."""
    cfg.model.update(type='KnowledgeDistillationTwoStageDetector',
                     distill_losses=distill_losses or dict(loss_ctkd=GLOBAL), **teacher)
    return cfg


def batch(model: torch.nn.Module, num_images: int = 2, size: int = 64,
          num_objects: int = 3, training: bool = True, seed: int = 0) -> dict:
    """Random images with random boxes, through the model's preprocessor."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData
    generator = torch.Generator().manual_seed(seed)
    images: List[torch.Tensor] = []
    samples = []
    for _ in range(num_images):
        images.append((torch.rand(3, size, size, generator=generator) * 255).byte())
        corner = torch.rand(num_objects, 2, generator=generator) * size * 0.6
        boxes = torch.cat([corner, corner + 8 + torch.rand(
            num_objects, 2, generator=generator) * size * 0.25], dim=1)
        sample = DetDataSample(
            metainfo=dict(img_shape=(size, size), ori_shape=(size, size), scale_factor=(1., 1.)),
            gt_instances=InstanceData(
                bboxes=boxes,
                labels=torch.randint(len(CLASSES), (num_objects, ), generator=generator)),
            ignored_instances=InstanceData(bboxes=torch.zeros(0, 4)))
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=images, data_samples=samples), training)


def run(cfg: Config, work_dir: Path, hooks: tuple = ()) -> Runner:
    """Train with mmengine's Runner, with these hooks besides, and return it."""
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name + str(abs(hash(str(work_dir))))
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def log_of(work_dir: Path) -> str:
    """What the trainings in a work directory have logged."""
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


@contextlib.contextmanager
def full_disk(size: int = 20000) -> Iterator[None]:
    """No file may be longer; the kernel refuses the write in the midst of it."""
    import resource  # which Windows has not
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def pip(*arguments: str) -> None:
    """Run pip of this environment."""
    subprocess.run([sys.executable, '-m', 'pip', *arguments], check=True, capture_output=True)


def environment(folder: Path) -> Path:
    """Python of a new environment with the packages of this one, but nothing of ours."""
    venv.create(folder, with_pip=False)
    python = folder / 'bin' / 'python'
    own = subprocess.run([python, '-c', 'import site; print(site.getsitepackages()[0])'],
                         check=True, capture_output=True, text=True).stdout.strip()
    packages = Path(mmengine.__file__).parents[1]
    # from Python 3.12 on, setuptools provides distutils, by this file
    distutils = (packages / 'distutils-precedence.pth').read_text()
    (Path(own) / 'shared.pth').write_text(f'{packages}\n{distutils}\n')
    return python
