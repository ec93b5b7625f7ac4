import pytest


def pytest_collection_modifyitems(config, items):
    """Speed is measured only where pytest-benchmark is on and nothing else runs beside it."""
    if not config.getoption("benchmark_enable"):
        for item in items:
            if "perf" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="speed test: pytest tests/perf --benchmark-enable"))
