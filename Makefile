# SPDX-License-Identifier: Apache-2.0
# The front door: CMake does the building, scripts in tests/ and packaging/ the rest.

JOBS    ?= $(shell nproc)
WERROR  ?= OFF
RECORD  := build/bench
# Of each fuzz target.
SECONDS := 20
PREFIX  ?= /usr/local

export CTEST_OUTPUT_ON_FAILURE = 1
export ASAN_OPTIONS  ?= detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS  ?= second_deadlock_stack=1:suppressions=$(CURDIR)/tests/tsan.txt

INSTALL := packaging/install-packages.sh
STEP    := tests/step.sh
LISTS   := packaging/packages

# Ninja and ccache where they are, for a build folder that is not configured yet.
NINJA   := $(if $(shell command -v ninja),-G Ninja)
CCACHE  := $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
CMAKE    = cmake -S . -B $(1) $(if $(wildcard $(1)/CMakeCache.txt),,$(NINJA) $(CCACHE)) \
           -DFANHORN_WERROR=$(WERROR) $(2) >/dev/null
THREADED = $(basename $(notdir $(shell grep -l '<thread>' tests/unit/*_test.cc)))
space   := $(subst ,, )
COMPILE  = cmake --build $(1) --parallel $(JOBS) --target

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build run test layers lists man unit blackbox blackbox-run test-handover clients clients-run npm soak \
        bench bench-long bench-record bench-programs asan tsan fuzz asan-build tsan-build fuzz-build \
        coverage format lint tidy cppcheck deb rpm package-test guide-test left-out install clean build-packages test-packages \
        clang-packages package-packages bench-packages

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

build: build-packages ## build/fanhorn and build/fanhornctl, optimised
	@$(call CMAKE,build)
	@$(call COMPILE,build) fanhorn fanhornctl

run: build ## build, then start the relay here with the demo (PORT=, PRIVATE_PORT=)
	@PORT=$(PORT) PRIVATE_PORT=$(PRIVATE_PORT) packaging/run-demo.sh

# The unit tests are compiled beside those that mostly wait, of what time these leave.
test: build-packages test-packages npm ## everything, in short form
	@rm -f build/logs/summary
	@$(call CMAKE,build,-DFANHORN_TESTS=ON)
	@$(call COMPILE,build) fanhorn fanhornctl
	@$(STEP) layers tests/layers.sh
	@$(STEP) lists tests/packages/lists.sh
	@$(STEP) man tests/packages/man.sh
	@nice -n 19 $(call COMPILE,build) all >build/logs/unit-build.log 2>&1 & \
	    $(STEP) blackbox $(MAKE) -s blackbox-run && $(STEP) clients $(MAKE) -s clients-run; \
	    status=$$?; wait; exit $$status
	@$(STEP) unit $(MAKE) -s unit
	@cat build/logs/summary

unit: build-packages test-packages ## unit tests (cmocka)
	@$(call CMAKE,build,-DFANHORN_TESTS=ON)
	@$(call COMPILE,build) all
	@ctest --test-dir build --parallel $(JOBS)

blackbox: build test-packages blackbox-run ## the real binary, from outside (Python)

blackbox-run:
	@FANHORN=$${FANHORN:-$(CURDIR)/build/fanhorn} python3 tests/blackbox/run.py

test-handover: build test-packages ## the same while each daemon is upgraded in place, again and again
	@FANHORN_HANDOVER=1 $(MAKE) -s blackbox-run

clients: build test-packages npm clients-run ## unmodified clients: npm packages and Chromium

clients-run:
	@if [ -d tests/clients/node_modules ]; then \
	    FANHORN=$${FANHORN:-$(CURDIR)/build/fanhorn} tests/clients/run.sh; \
	else echo "clients: 0 passed, 0 failed, 1 skipped"; fi

npm: test-packages ## fetch the npm clients, from their lock file
	@tests/packages/npm.sh tests/clients

bench: bench-programs ## Fanhorn, its peers and the kernel's limit, side by side (BENCH=options)
	@python3 tests/bench/run.py --record $(RECORD) $(LONG) $(BENCH)

bench-long: LONG := --long
bench-long: bench ## the same, and 100,000 and a million subscribers

bench-record: RECORD := tests/bench/results
bench-record: bench ## the same as bench, into what the README shows

bench-programs: build bench-packages
	@$(call COMPILE,build) bench-limit
	@tests/packages/npm.sh tests/bench

soak: build test-packages npm ## the black-box tests, random and long; 10,000 clients come back
	@FANHORN=$(CURDIR)/build/fanhorn FANHORN_SOAK=1 python3 tests/blackbox/run.py
	@FANHORN=$(CURDIR)/build/fanhorn FANHORN_SOAK=1 tests/clients/run.sh tests/clients/storm.test.mjs

# One build for both: the targets that fuzz are ASan's and UBSan's too.
asan-build: fuzz-build
	@$(call COMPILE,build-asan) all

asan: asan-build ## unit and black-box tests under ASan and UBSan
	@ctest --test-dir build-asan --parallel $(JOBS)
	@FANHORN=$(CURDIR)/build-asan/fanhorn FANHORN_SANITIZED=1 python3 tests/blackbox/run.py

# TSan knows one table of descriptors in a process, and takes those of workers for races. The others
# are about what one thread does with a stranger's bytes, or two processes with each other's, about
# memory, or about fanhornctl.
ONE_THREADED := descriptors faults memory attack_messages attack_slow attack_http attack_websocket attack_tokens \
	ctl ctl_bench ctl_returns cli handover_fields upgrade_failures upgrade_halves upgrade_process
tsan-build: build-packages test-packages clang-packages
	@CC=clang CXX=clang++ $(call CMAKE,build-tsan,-DFANHORN_TESTS=ON -DFANHORN_SANITIZE=thread)
	@$(call COMPILE,build-tsan) fanhorn fanhornctl $(THREADED)

tsan: tsan-build ## the same under TSan, of the unit tests those with threads
	@ctest --test-dir build-tsan --parallel $(JOBS) -R '^($(subst $(space),|,$(THREADED)))$$'
	@FANHORN=$(CURDIR)/build-tsan/fanhorn FANHORN_SANITIZED=1 python3 tests/blackbox/run.py \
		$(addprefix --without=test_,$(ONE_THREADED))

fuzz-build: build-packages test-packages clang-packages
	@CC=clang CXX=clang++ $(call CMAKE,build-asan,-DFANHORN_TESTS=ON -DFANHORN_FUZZ=ON)
	@$(call COMPILE,build-asan) fuzzers

fuzz: fuzz-build ## each fuzz target for SECONDS=20, from its corpus
	@tests/fuzz/run.sh build-asan $(SECONDS) $(JOBS)

coverage: build-packages test-packages ## lines of the parsers that unit tests and fuzz corpora run
	@$(call CMAKE,build-coverage,-DFANHORN_TESTS=ON -DFANHORN_COVERAGE=ON)
	@$(call COMPILE,build-coverage) replays $$(tests/coverage.sh --tests)
	@tests/coverage.sh build-coverage

layers: ## check which room includes which
	@tests/layers.sh

lists: ## check that the package lists, debian/control and the rpm spec agree
	@tests/packages/lists.sh

man: test-packages ## check the manual pages
	@tests/packages/man.sh

format: clang-packages ## clang-format all sources
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

lint: tidy cppcheck ## both of these

cppcheck: clang-packages build-packages ## cppcheck all sources
	@$(call CMAKE,build)
	@tests/cppcheck.sh $(JOBS)

tidy: clang-packages build-packages test-packages ## clang-tidy all sources
	@$(call CMAKE,build,-DFANHORN_TESTS=ON)
	@tests/tidy.sh $(JOBS)

deb: build-packages package-packages ## build/pkg/*.deb
	@packaging/make-deb.sh

rpm: build-packages package-packages ## build/pkg/*.rpm
	@packaging/make-rpm.sh

package-test: deb rpm ## lintian, reproducible builds, the packages in bare Debians (needs root, half an hour)
	@tests/packages/lint.sh
	@tests/packages/chroot.sh bookworm
	@tests/packages/rpm.sh
	@tests/packages/chroot.sh trixie
	@tests/packages/reproducible.sh

guide-test: build test-packages ## the files of conf/examples/: publish in each language, behind each proxy
	@$(INSTALL) $(LISTS).guide
	@FANHORN=$(CURDIR)/build/fanhorn tests/guide/test_guide.py

left-out: build-packages test-packages ## build without HTTP/2, Redis and NATS, and run its tests
	@$(call CMAKE,build-left-out,-DFANHORN_TESTS=ON -DFANHORN_HTTP2=OFF -DFANHORN_REDIS=OFF -DFANHORN_NATS=OFF)
	@$(call COMPILE,build-left-out) all
	@ctest --test-dir build-left-out --parallel $(JOBS)
	@FANHORN=$(CURDIR)/build-left-out/fanhorn python3 tests/blackbox/run.py

install: build ## install under PREFIX=/usr/local, the configuration in /etc/fanhorn
	@cmake --install build --prefix $(PREFIX)

clean: ## remove everything built
	rm -rf build build-asan build-tsan build-coverage build-left-out \
	    tests/clients/node_modules tests/bench/node_modules

build-packages:
	@$(INSTALL) $(LISTS).build
test-packages:
	@$(INSTALL) $(LISTS).test
clang-packages:
	@$(INSTALL) $(LISTS).clang
package-packages:
	@$(INSTALL) $(LISTS).package
bench-packages:
	@$(INSTALL) $(LISTS).bench
