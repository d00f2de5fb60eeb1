#!/bin/sh
# Installs Fanout from pinned, hashed wheels; nothing is compiled, and a second run does nothing and needs no network.
#
#   scripts/install.sh venv       .venv in the checkout, with the development tools, Fanout itself editable (`make install`)
#   scripts/install.sh app DIR    DIR/lib, run-time packages and Fanout only: what an image copies (see Dockerfile);
#                                 run it as PYTHONPATH=DIR/lib DIR/lib/bin/fanout
#
# PYTHON names the interpreter; without it the first of python3, python3.13, … that is 3.11 or later.
set -eu
cd "$(dirname "$0")/.."
quietly="--quiet --no-input --disable-pip-version-check"

find_python() {
    for python in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    echo "install: Python 3.11 or later is needed and none was found; PYTHON=/path/to/python names one" >&2
    exit 1
}

make_venv() {  # make_venv DIR
    "$python" -m venv --clear "$1" && return
    echo "install: python3 -m venv failed; on Debian: apt-get install python3-venv" >&2
    exit 1
}

pinned() {  # pinned PYTHON FILE [ARGUMENT...]: wheels only, each with a known hash
    pip_python="$1" file="$2"
    shift 2
    "$pip_python" -m pip install $quietly --require-hashes --only-binary :all: --requirement "$file" "$@"
}

state() {  # what .venv was made from; the path too, since scripts in it carry it
    pwd
    cat pyproject.toml requirements/dev.txt scripts/install.sh
}

ours_runs() {  # a .venv that was made here (it does not survive a move), by a Python that is still there
    [ "$(cat .venv/.home 2>/dev/null)" = "$(pwd)" ] && .venv/bin/python -c '' 2>/dev/null
}

install_venv() {
    exec 9<requirements/dev.txt
    ! command -v flock >/dev/null || flock 9        # two `make` at once: the second waits, and finds it done
    want="$(state | sha256sum)"
    if ours_runs; then
        [ "$(cat .venv/.installed 2>/dev/null)" != "$want" ] || return 0
    else
        rm -rf .venv
    fi
    echo "install: making .venv from requirements/dev.txt; the first time this takes about half a minute and the network" >&2
    [ -d .venv ] || make_venv .venv
    pwd >.venv/.home
    pinned .venv/bin/python requirements/dev.txt
    .venv/bin/python -m pip install $quietly --no-deps --no-index --no-build-isolation --editable .
    printf '%s\n' "$want" >.venv/.installed
}

install_app() {  # install_app DIR
    builder="$(mktemp -d)"
    trap 'rm -rf "$builder"' EXIT
    make_venv "$builder"
    pinned "$builder/bin/python" requirements/build.txt
    "$builder/bin/python" -m pip wheel $quietly --no-deps --no-index --no-build-isolation --wheel-dir "$builder" .
    (cd "$builder" && printf './%s --hash=sha256:%s\n' fanout-*.whl "$(sha256sum fanout-*.whl | cut -d ' ' -f 1)" >own.txt)
    mkdir -p "$1"
    app="$(cd "$1" && pwd)" run="$(pwd)/requirements/run.txt"
    cd "$builder"                                   # own.txt names the wheel relative to here
    pinned bin/python own.txt --requirement "$run" --target "$app/lib"      # one call: a second would drop lib/bin
    sed -i '1s|^#!.*|#!/usr/bin/env python3|' "$app"/lib/bin/*                # else they name the builder's interpreter
}

find_python
case "${1:-venv}" in
    venv) install_venv ;;
    app) install_app "${2:?install: app needs a folder}" ;;
    *) echo "install: unknown verb $1; see the top of this file" >&2; exit 2 ;;
esac
