"""Reads YAML in which no key stands twice in one mapping; PyYAML takes the last value."""
from collections import Counter


def load(text: str) -> object:
    """Parse YAML.

    Raises:
        yaml.MarkedYAMLError: if a key is there twice, or it is no YAML.
        ValueError, RecursionError: if a value is none, or is nested too deep.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor):
            # before << is resolved, whose keys may stand in the mapping again
            node = super().compose_mapping_node(anchor)
            keys = [(key.tag, key.value) for key, _ in node.value
                    if isinstance(key, yaml.ScalarNode) and key.tag != 'tag:yaml.org,2002:merge']
            again = [key for key, number in Counter(keys).items() if number > 1]
            if again:
                raise yaml.MarkedYAMLError(problem=f'the key {again[0][1]!r:.60} is there twice',
                                           problem_mark=node.start_mark)
            return node

    return yaml.load(text, Loader)
