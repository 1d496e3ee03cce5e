"""Serves, but neither the end of its input nor SIGTERM ends it, and neither its grandchild."""

import os
import signal
import time

import server  # type: ignore[import-not-found]  # it stands beside this script

signal.signal(signal.SIGTERM, signal.SIG_IGN)
server.grandchild({})
server.main()
os.write(2, b"input ended\n")
time.sleep(60)
