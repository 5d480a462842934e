from .channels_last_hook import ChannelsLastHook
from .check_data_hook import CheckDataHook
from .check_weights_hook import CheckWeightsHook
from .curriculum_hook import CurriculumHook
from .finite_loss_hook import FiniteLossHook
from .prediction_comparison_hook import PredictionComparisonHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .snapshot_hook import SnapshotHook
from .temperature_monitor_hook import TemperatureMonitorHook

__all__ = ['ChannelsLastHook', 'CheckDataHook', 'CheckWeightsHook', 'CurriculumHook',
           'FiniteLossHook', 'PredictionComparisonHook', 'SafeCheckpointHook', 'SnapshotHook',
           'TemperatureMonitorHook']
