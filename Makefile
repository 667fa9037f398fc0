# make app: set up, then the app on a demo project.   make test: set up, then every check.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
ROOTLESS := $(shell test "$$(id -u)" = 0 || echo yes)

.PHONY: app test demo lint browser bench clean

app: $(VENV)/app demo
	$(PY) -m streamlit run streamlit_app.py

# The demo project, and a first run on it in the background so that every page has something to show.
demo: $(VENV)/app
	@test -e dataset/demo/gt_full.json || $(PY) -m hrpro demo
	@test -e ckpt/demo || $(PY) -m hrpro train --cfg dataset/demo/config.yaml --detach

test: $(VENV)/dev browser lint
	$(PY) -m pytest

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .

# The browser tests drive Chromium: one that is there, else Debian's.
browser:
ifeq ($(ROOTLESS),)
	@command -v chromium chromium-browser google-chrome >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium)
endif

bench: $(VENV)/dev browser
	$(PY) -m benchmarks

$(VENV)/app: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/dev: $(VENV)/app requirements-dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
