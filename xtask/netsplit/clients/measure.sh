#!/bin/sh
# What clients see when their connection is reset (SOCK_DESTROY by `ss -K`) before the answer comes; needs root.
# usage: measure.sh NETSPLIT [NETSPLIT...]   programs that `cargo xtask netsplit` builds, one for each Go version
# PYTHON: a Python with httpx[http2]. Clients that are not installed are left out.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
mkfifo "$folder/stdin"
# The server answers after 2 s and ends when its stdin does.
"$1" serve -control "$folder/control" -authority "$folder/ca.pem" -delay 2s <"$folder/stdin" >"$folder/address" &
exec 9>"$folder/stdin"
trap 'exec 9>&-; wait; rm -r "$folder"' EXIT
while [ ! -s "$folder/address" ]; do sleep 0.05; done
address=$(cat "$folder/address")
port=${address##*:}

# Runs a client and resets its first connection one second after it was made.
reset() {
  echo "== $(basename "$1")"
  "$@" 2>&1 9>&- &
  client=$!
  until [ -n "$(ss -Htn state established "( dport = :$port )")" ] || ! kill -0 $client 2>/dev/null; do sleep 0.02; done
  sleep 1
  ss -Ktn state established "( dport = :$port )" >/dev/null
  wait $client || echo "exit status $?"
}

for netsplit in "$@"; do
  reset "$netsplit" client -address "$address" -authority "$folder/ca.pem" -control "$folder/control" \
    -requests 2 -first 9 -timeout 10s
done
reset curl -sS --http2 --cacert "$folder/ca.pem" "https://$address/1" "https://$address/2"
reset curl -sS --http2 --retry 1 --retry-all-errors --cacert "$folder/ca.pem" "https://$address/"
reset curl -sS --http2 --parallel --no-progress-meter --cacert "$folder/ca.pem" "https://$address/1" "https://$address/2"
! command -v node >/dev/null || reset node "$here/node_client.js" "https://$address" "$folder/ca.pem"
! "${PYTHON:-python3}" -c 'import httpx, h2' 2>/dev/null ||
  reset "${PYTHON:-python3}" "$here/httpx_client.py" "https://$address/" "$folder/ca.pem"
! command -v javac >/dev/null || {
  javac -d "$folder" "$here/JavaClient.java"
  reset java -cp "$folder" JavaClient "https://$address/" "$folder/ca.pem"
}
