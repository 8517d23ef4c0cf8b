"""``python -m benchmarks.study``: see :mod:`benchmarks.study.parts`."""

from benchmarks.study.parts import main

if __name__ == "__main__":
    main()
