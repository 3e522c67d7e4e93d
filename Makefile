# SPDX-License-Identifier: MIT
.PHONY: demo test bench

demo:
	./r4l demo

test:
	./r4l selftest

bench:
	./r4l bench
