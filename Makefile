# A thin front: each target is one line that a person could type.
PRESET ?= release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
ARGS ?=
HOURS ?= 8
A ?= main
B ?= HEAD
QUICK ?=

.DEFAULT_GOAL := help
.PHONY: help setup build test verify audit kill litmus nightly corpus bench compare results lint format install clean

help:     ## this list
	@sed -n 's/^\([a-z]*\): *[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18
	@echo "  variables       PRESET=$(PRESET) (debug release clang asan tsan)  JOBS=$(JOBS)  PREFIX=$(PREFIX)  HOURS=$(HOURS)  A=$(A) B=$(B)  QUICK=$(QUICK)  ARGS="

setup:    ## install what is missing (Debian, Ubuntu; elsewhere: say what is)
	@scripts/setup

build: setup  ## build everything for PRESET
	@cmake --preset $(PRESET) $(if $(wildcard build/$(PRESET)/CMakeCache.txt),>/dev/null)
	@cmake --build --preset $(PRESET) -j $(JOBS)

test: build  ## all tests, a few minutes (ARGS="-L unit -R queue" for some)
	@ctest --preset $(PRESET) -j $(JOBS) $(ARGS)

verify: setup  ## everything that a release must pass, in one table and one verdict
	@scripts/verify $(ARGS)

audit: setup  ## weaken each memory order of the library, and publish what needs it (ARGS="queue" for some)
	@scripts/audit $(ARGS)

kill: build  ## every operation killed after each of its instructions: results/<host>/kill.md
	@into=results/$$(scripts/host --folder) && mkdir -p "$$into" && \
		build/$(PRESET)/bin/assay-stress kill --all --json "$$into/kill.json" --page "$$into/kill.md" $(ARGS)

litmus: build  ## the checker's litmus tests on these processors: results/<host>/litmus.md (ARGS="--seconds 600")
	@into=results/$$(scripts/host --folder) && mkdir -p "$$into" && \
		build/$(PRESET)/bin/assay-stress litmus --json "$$into/litmus.json" --page "$$into/litmus.md" $(ARGS)

nightly: build  ## every campaign for HOURS=8, resumed after an interruption (ARGS=--list prints the plan)
	@scripts/nightly --hours '$(HOURS)' $(ARGS)

corpus: setup  ## which technique catches which known bug; the table goes to results/ (ARGS="--runs 20 --seconds 0.2": twenty minutes)
	@for p in release tsan; do cmake --preset $$p >/dev/null && cmake --build --preset $$p -j $(JOBS) \
		--target assay-corpus $$([ $$p = tsan ] || echo assay-model) || exit; done
	@scripts/corpus $(ARGS)

bench: setup  ## how fast, beside peers and limits: results/<host>/perf.html (QUICK=1 or ARGS="queue/" for a look: build/bench)
	@scripts/setup --peers || echo "bench: without the peers that are missing"
	@cmake --preset $(PRESET) $(if $(wildcard build/$(PRESET)/CMakeCache.txt),>/dev/null)
	@cmake --build --preset $(PRESET) -j $(JOBS) --target assay-perf assay-cli
	@into=$(if $(QUICK)$(ARGS),build/bench,results/$$(scripts/host --folder)) && mkdir -p "$$into" && \
		build/$(PRESET)/bin/assay-perf $(if $(QUICK),--quick) --json "$$into/perf.json" $(ARGS) && \
		scripts/perf_report "$$into/perf.json" $(if $(QUICK)$(ARGS),,&& scripts/results_page)

compare: setup  ## is build B slower than A? two revisions, folders or perf.json (A=main B=HEAD ARGS="queue/" for some rows)
	@scripts/compare "$(A)" "$(B)" $(ARGS) || [ $$? = 3 ]

results: setup  ## results/index.html: one page over all hosts and stages, from what is in results/
	@scripts/results_page

lint: setup  ## the house rules, formatting, scripts
	@scripts/lint

format: setup  ## lay out the sources with clang-format
	@git ls-files '*.hpp' '*.cpp' | xargs clang-format -i

install:  ## copy the headers and package files below PREFIX (DESTDIR is honoured)
	@cmake -S . -B build/install -DASSAY_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --install build/install

clean:    ## remove build/
	@rm -rf build
