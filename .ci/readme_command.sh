#!/usr/bin/env bash
# Prints the README's own command for an extra: readme_command.sh test
set -euo pipefail
mapfile -t found < <(grep -F "pip install -c constraints.txt \".[$1]\" && " README.md)
if [ "${#found[@]}" -ne 1 ]; then
  echo "README.md must have one line that installs \".[$1]\" and runs it, found ${#found[@]}" >&2
  exit 1
fi
echo "${found[0]}"
