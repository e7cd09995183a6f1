#!/usr/bin/env bash
# All hooks over all files that git tracks.
set -euo pipefail
pre-commit run --all-files --show-diff-on-failure --color never
