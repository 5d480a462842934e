from .channels_last_hook import ChannelsLastHook
from .curriculum_hook import CurriculumHook

__all__ = ['ChannelsLastHook', 'CurriculumHook']
