#!/usr/bin/env bash
# tests/e2e/chaos.sh KRS - real processes in trouble: clients killed, stopped and stalled, a killed server, a full
# disk, no descriptors left. After each, the server must hold nothing of the dead and answer the living
# with the right bytes. Needs node, curl and the load generator built beside KRS.
# Prints one line per case and "N passed, N failed" last.
set -u
krs=$(realpath "${1:?usage: chaos.sh path/to/krs}")
load=$(dirname "$krs")/bench/bench_load
cd "$(dirname "$0")" || exit 1
if ! command -v node >/dev/null || ! command -v curl >/dev/null || [ ! -x "$load" ]; then
    echo "FAILED  chaos: needs node, curl and $load"
    echo "0 passed, 1 failed"
    exit 1
fi
exec node chaos.mjs "$krs" "$load"
