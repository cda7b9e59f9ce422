#!/usr/bin/env bash
# tests/e2e/load.sh KRS - does the load generator (built beside KRS) notice what is wrong? It is run against a server
# that makes one mistake at a time. Needs node. Prints one line per case and "N passed, N failed" last.
set -u
load=$(dirname "$(realpath "${1:?usage: load.sh path/to/krs}")")/bench/bench_load
cd "$(dirname "$0")" || exit 1
if ! command -v node >/dev/null || [ ! -x "$load" ]; then
    echo "FAILED  load: needs node and $load"
    echo "0 passed, 1 failed"
    exit 1
fi
exec node load.mjs "$load"
