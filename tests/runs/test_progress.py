"""The progress bar: it passes items on, and Ctrl-C ends the iteration between two steps."""

from __future__ import annotations

import signal
import threading

import pytest

from minigrad.runs import Progress


def test_items_pass_in_order_and_none_is_lost(capsys):
    assert list(Progress(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    assert "letters" in capsys.readouterr().err


def test_ctrl_c_ends_the_iteration_after_the_step_under_way():
    done = []
    steps = Progress(range(10))
    for i in steps:
        if i == 3:
            signal.raise_signal(signal.SIGINT)
        done.append(i)
    assert done == [0, 1, 2, 3]
    assert steps.interrupted
    assert steps.last == 3


def test_a_second_ctrl_c_acts_at_once_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    done = []

    def loop():
        for i in Progress(range(10)):
            signal.raise_signal(signal.SIGINT)
            done.append(i)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert done == [0]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("leave", ["end", "break", "error"])
def test_the_handler_is_put_back_however_the_loop_ends(leave):
    before = signal.getsignal(signal.SIGINT)

    def loop():
        for _ in Progress(range(3)):
            assert signal.getsignal(signal.SIGINT) is not before
            if leave == "break":
                break
            if leave == "error":
                raise RuntimeError("in the step")

    if leave == "error":
        with pytest.raises(RuntimeError, match="in the step"):
            loop()
    else:
        loop()
    assert signal.getsignal(signal.SIGINT) is before


def test_it_works_outside_the_main_thread():
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.extend(Progress(range(3))))
    thread.start()
    thread.join()
    assert done == [0, 1, 2]


def test_lines_and_numbers(capsys):
    steps = Progress(range(1))
    steps.say("before")
    steps.show(loss=1.0)  # no bar yet: nothing to show it on
    for _ in steps:
        steps.show(loss=0.25, accuracy=0.5)
        steps.say("inside")
    steps.say("after")
    captured = capsys.readouterr()
    assert captured.out == "before\ninside\nafter\n"
    assert "loss 0.25, accuracy 0.5" in captured.err
