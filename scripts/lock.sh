#!/bin/sh
# Pins every dependency with its hashes, from the public registry, into requirements/. Called by `make lock`.
#
# One resolution serves Python 3.11 and later on x86_64 and aarch64. No index address and no local folder of wheels
# may enter the files: pip's and uv's own settings say where a machine fetches from, the hashes say what it may get.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-.venv/bin/uv}"

pin() {  # pin FILE ARGUMENT...
    out="requirements/$1.txt"
    shift
    "$uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --no-config "$@" --output-file "$out"
}

pin dev pyproject.toml --extra postgres --group pyproject.toml:dev --group pyproject.toml:build
pin run pyproject.toml --extra postgres --constraint requirements/dev.txt
pin build --group pyproject.toml:build --constraint requirements/dev.txt
pin go --group pyproject.toml:go
pin checkov --group pyproject.toml:checkov
