import logging

import pytest

from autolora.data.quiet import quiet, quietly_imported

COMPLAINT = "%s is an Enum subclass and is now natively supported by torch.compile"


@pytest.mark.parametrize("silent", [quiet, quietly_imported])
def test_one_complaint_of_torch_is_not_heard_and_all_else_is(silent):
    heard = []
    speaker, handler = logging.getLogger("torch.utils._pytree"), logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    speaker.addHandler(handler)
    try:
        with silent():
            speaker.warning(COMPLAINT, int)
            speaker.warning("%s is something else", int)
        speaker.warning(COMPLAINT, str)
    finally:
        speaker.removeHandler(handler)
    assert heard == ["<class 'int'> is something else", COMPLAINT % str]


def test_two_may_be_silent_at_once():
    """The outer one stays silent when the inner one ends."""
    speaker = logging.getLogger("torch.utils._pytree")
    complaint = logging.LogRecord("", logging.WARNING, "", 0, COMPLAINT, (int,), None)
    with quietly_imported():
        with quiet():
            pass
        assert not speaker.filter(complaint)
    assert speaker.filter(complaint)
