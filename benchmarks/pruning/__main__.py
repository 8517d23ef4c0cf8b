"""``python -m benchmarks.pruning``: see :mod:`benchmarks.pruning.compare`."""

from benchmarks.pruning.compare import main

if __name__ == "__main__":
    main()
