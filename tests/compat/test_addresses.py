"""Addresses as mmengine's loaders take them."""
import pytest

from ctkd_det.compat.addresses import checked_address


@pytest.mark.parametrize('given, taken', [
    ('HTTPS://host/a.pth', 'https://host/a.pth'),
    # the name of a cluster is written as Petrel's own config has it
    ('MyCluster:s3://bucket/a.pth', 'MyCluster:s3://bucket/a.pth'),
    ('work_dirs/a.pth', 'work_dirs/a.pth'), ('C://a.pth', None)])
def test_the_scheme_alone_is_in_lower_case(given, taken):
    if taken is None:
        with pytest.raises(Exception, match='no loader knows'):
            checked_address(given)
    else:
        assert checked_address(given) == taken
