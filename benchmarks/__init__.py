"""Speed and size, always as a ratio to a rival measured in the same interleaved run.

`python -m benchmarks` prints the tables; `scene` is what every contender is configured to do, `contenders`
starts each of them, `load` drives them, `measure` reads CPU time from the kernel.
"""
