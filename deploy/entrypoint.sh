#!/bin/sh
# A password that lies in a file, as secrets of Docker and Swarm do, for what runs here alone.
set -eu
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD="$(cat "$PGPASSWORD_FILE")"
    export PGPASSWORD
fi
exec "$@"
