# Short names for what people do most. CMake does the work: see CMakePresets.json.
#   make run     install what is missing, build, serve the demo model
#   make test    install what is missing, build three ways, run every test
MODEL ?= models/demo
PORT ?= 8080
KRS = build/release/krs

.PHONY: run build test check bench deps format clean

run: deps-build build
	@exec $(KRS) serve $(MODEL) --port $(PORT)

build:
	@mkdir -p build && cmake --preset release > build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@cmake --build --preset release --target krs

test: deps-test
	@tools/test

# Every gate of the house; what CI runs besides the tests.
check: deps-check
	@tools/check

bench: deps-build build
	@$(KRS) bench $(MODEL)

deps:
	@tools/deps build test check

deps-%:
	@tools/deps $(subst deps-,,$@)

format:
	@clang-format -i $$(git ls-files -co --exclude-standard 'src/*.[ch]' 'apps/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' 'src/*.cu' 'src/*.cuh')

clean:
	@rm -rf build
