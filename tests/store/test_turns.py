"""Turns are taken in the order in which they were asked for, however busy one thread is."""

from __future__ import annotations

import threading
import time

from coatcheck.store.engines.turns import Turns


def test_one_at_a_time_and_in_order() -> None:
    turns, order = Turns(), []
    started: list[threading.Thread] = []

    def take(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(20):
            thread = threading.Thread(target=take, args=(number,))
            thread.start()
            while len(turns._waiting) <= number:
                time.sleep(0.0005)
            started.append(thread)
        assert order == []
    for thread in started:
        thread.join()
    assert order == list(range(20))


def test_a_busy_thread_cannot_keep_another_out() -> None:
    turns, taken, stop = Turns(), 0, threading.Event()

    def greedy() -> None:
        nonlocal taken
        while not stop.is_set():
            with turns:
                taken += 1
                time.sleep(0.0005)

    thread = threading.Thread(target=greedy)
    thread.start()
    waits = []
    for _ in range(20):
        before = taken
        with turns:
            waits.append(taken - before)
    stop.set()
    thread.join()
    assert max(waits) <= 2, "at most the turn under way, and one that was asked for before"


def test_a_failed_turn_ends() -> None:
    turns = Turns()
    for _ in range(2):
        try:
            with turns:
                raise ValueError
        except ValueError:
            continue
    with turns:
        assert turns._taken
    assert not turns._taken
