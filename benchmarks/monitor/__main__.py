"""``python -m benchmarks.monitor``: see :mod:`benchmarks.monitor.detection`."""

from benchmarks.monitor.detection import main

if __name__ == "__main__":
    main()
