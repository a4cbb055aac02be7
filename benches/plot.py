"""Draws the series of a record second from standard input into the SVG file that is named."""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

points = [point for point in json.load(sys.stdin) if point[2] is not None]
seconds = [point[0] for point in points]
# Over two seconds: what is visible moves with each commit.
WINDOW = 8
pairs = list(zip(points, points[WINDOW:]))
throughput = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]
figure, (top, middle, bottom) = plt.subplots(3, 1, sharex=True, figsize=(9, 7))
top.plot(seconds[WINDOW:], throughput, linewidth=1)
top.set_ylabel("visible tweets a second")
middle.plot(seconds, [point[2] for point in points], linewidth=1)
middle.set_ylabel("released to visible, ms")
bottom.plot(seconds, [point[3] for point in points], linewidth=1)
bottom.set_ylabel("peak memory, MiB")
bottom.set_xlabel("seconds")
for axis in (top, middle, bottom):
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
figure.tight_layout()
figure.savefig(sys.argv[1], metadata={"Date": None})
