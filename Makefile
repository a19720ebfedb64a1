# SPDX-License-Identifier: Apache-2.0
# The front door: Meson does the work, once for the host (build/) and once for the static guest (build-guest/).

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 20
IMAGE ?=

.DELETE_ON_ERROR:
.PHONY: all deps-build demo kernel check check-all bench fuzz install format clean

all: build/build.ninja build-guest/build.ninja
	ninja -C build
	ninja -C build-guest

build/build.ninja: | deps-build
	meson setup --prefix '$(PREFIX)' build

build-guest/build.ninja: | deps-build
	meson setup --prefix '$(PREFIX)' --native-file guest/musl.ini -Dpart=guest build-guest

deps-build:
	@tools/deps --check build

# The main job: builds, fetches a guest kernel, makes the sample image and runs a program in it; IMAGE=… runs another.
demo:
	@tools/demo $(IMAGE)

# A guest kernel of our own, which boots in less than half the time; SOURCE=DIR takes another source than Debian's.
kernel:
	@tools/deps build run kernel
	@$(MAKE) --no-print-directory all
	@"$$(find build -type f -name microvm -perm -u+x)" kernel build \
	  $(if $(SOURCE),--source '$(SOURCE)')

# Every gate and every test; the last line says `N passed, N failed, N skipped`.
check:
	@tools/deps
	@tools/check

# The same, with every boot on our own kernel too.
check-all:
	@tools/deps
	@tools/check --all

# What it measures depends on the machine: a goal that is missed is told and fails nothing.
bench:
	@tools/deps
	@$(MAKE) --no-print-directory all
	@tests/bench/image
	@echo
	@tests/bench/bench
	@echo
	@tests/bench/agent
	@echo
	@tests/bench/vsock

fuzz:
	@tools/deps
	@tools/fuzz $(FUZZ_SECONDS)

install: build/build.ninja build-guest/build.ninja
	meson configure build --prefix '$(PREFIX)'
	meson configure build-guest --prefix '$(PREFIX)'
	meson install -C build
	meson install -C build-guest

format:
	find include src guest tests tools -name '*.[ch]' -exec clang-format -i {} +

clean:
	rm -rf build build-*
