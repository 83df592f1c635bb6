"""The page of laws names every example and every law, and nothing on it is broken."""

from pathlib import Path

from autolora.lora import views
from autolora.lora.targets import refusals
from autolora.testing.matrix import EVERY, REFUSED

PAGE = Path(__file__).parents[2] / "docs/results/laws.md"


def test_the_page_is_whole_and_green() -> None:
    page = PAGE.read_text()
    for view in views.all_views():
        for example in view.EXAMPLES:
            assert f"| {example.name} " + "| ✓ " * len(EVERY) + "|" in page
    assert all(law.__name__.replace("_", " ") in page for law in EVERY)


def test_what_is_refused_still_is() -> None:
    for name, layer in REFUSED.items():
        (first, *_) = refusals(layer())
        assert f"| {name} | {first.reason}" in PAGE.read_text()
