# SPDX-License-Identifier: MIT
.PHONY: demo test bench

demo:
	./r4l demo

test:
	./r4l selftest

bench:
	"$${R4L_PYTHON:-python3}" bench/run.py
