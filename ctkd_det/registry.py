"""The scope ``ctkd_det``, in which mmengine builds what a ``ctkd_det::`` config names.

mmengine marks the parts of a base that is named by package with
``_scope_='ctkd_det'``, imports this module for it, and looks their types up in
the registries of that scope. These hold nothing of their own: every name,
ours, mmdet's and mmengine's, is found in mmdet's registries above them.
"""
import mmdet.registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

SCOPE = 'ctkd_det'


class ScopeRegistry(Registry):
    """A registry without entries below one of mmdet's."""

    def import_from_location(self) -> None:
        """Import what registers itself above: mmengine asks only the registry it starts from."""
        self.parent.import_from_location()


def _add_scope() -> None:
    # the module also has mmengine's, from which mmdet's descend
    for parent in [r for r in vars(mmdet.registry).values()
                   if isinstance(r, Registry) and r.scope == 'mmdet']:
        ScopeRegistry(parent.name, parent=parent, scope=SCOPE)


_add_scope()
# Where mmengine resolves the name. With the name of the distribution it would look in
# site-packages, where an editable install has no folder; a module is found wherever it is, and
# `.mim` lies beside it.
MODULE2PACKAGE[SCOPE] = __name__
