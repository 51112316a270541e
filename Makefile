# Martlet. `make demo` runs the main job, `make test` passes the tests; both do all their set-up.
SWIFT ?= swift
PYTHON ?= python3
PREFIX ?= /usr/local
export SWIFT PYTHON

.PHONY: help library demo test bench zoo dropin exports install format lint clean

help:
	@echo "make demo     build everything and run real models in FP32 and in BF16"
	@echo "make test     run every test"
	@echo "make bench    measure kernels and models against the machine's own limits"
	@echo "make zoo      run the fetched models against ONNX Runtime: agreement and times"
	@echo "make dropin   run packages written for ONNX Runtime on Martlet, unchanged"
	@echo "make exports  export models from torch and run them: agreement with it, by exporter and opset"
	@echo "make library  build libmartlet.so and the martlet command into .build-dist/lib and bin"
	@echo "make install PREFIX=/usr/local"
	@echo "make format, make lint, make clean"

library:
	scripts/build-library

demo:
	scripts/demo

test:
	scripts/test

bench:
	scripts/bench

zoo:
	scripts/zoo

dropin:
	scripts/dropin

exports:
	scripts/exports

install:
	scripts/install "$(PREFIX)"

format:
	scripts/need-swift
	$(SWIFT) format -i -r Package.swift Sources Tests
	scripts/format-c

lint:
	scripts/need-swift
	$(SWIFT) format lint --strict -r Package.swift Sources Tests
	scripts/check-layers
	scripts/check-text
	scripts/format-c --check

clean:
	rm -rf .build .build-* .venv build dist
