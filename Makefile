# Thin lines over ./dev. ARGS reaches the program: make test ARGS="-k retry"

.POSIX:
.PHONY: help demo examples test check bench chaos mutants clean

help:
	@./dev help

demo:
	@./dev demo $(ARGS)

examples:
	@./dev examples

test:
	@./dev test $(ARGS)

check:
	@./dev check

bench:
	@./dev bench $(ARGS)

chaos:
	@./dev chaos $(ARGS)

mutants:
	@./dev mutants $(ARGS)

clean:
	rm -rf .venv .tools uv.lock mutants build dist htmlcov .coverage .hypothesis \
		.import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
