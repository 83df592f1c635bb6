"""The examples of every view, one a parameter."""

import pytest

from autolora.lora import views
from autolora.lora.example import Example

EXAMPLES = {e.name: e for view in views.all_views() for e in view.EXAMPLES}


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param
