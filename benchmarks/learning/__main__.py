"""``python -m benchmarks.learning``: see :mod:`benchmarks.learning.tables`."""

from benchmarks.learning.tables import main

if __name__ == "__main__":
    main()
