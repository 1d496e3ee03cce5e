"""Ignores the end of its input; ends on SIGTERM and says so."""

import os
import signal
import sys
import time


def end(*_: object) -> None:
    os.write(2, b"got SIGTERM\n")
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
os.write(1, b"up\n")
while True:
    time.sleep(60)
