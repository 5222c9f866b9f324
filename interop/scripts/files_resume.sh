#!/usr/bin/env bash
# A file of 1 GiB by the example `files`, killed in the middle and resumed: the receiver once, the sender once.
#   bash interop/scripts/files_resume.sh [MEBIBYTES]
# Needs the disk twice over in a temporary folder (TMPDIR). With TINCAN_EXAMPLES a folder of built examples.
set -euo pipefail
cd "$(dirname "$0")/../.."
size=${1:-1024}
if [ -n "${TINCAN_EXAMPLES:-}" ]; then
  files=$TINCAN_EXAMPLES/files
else
  cargo build --release --quiet -p tincan-peer --example files
  files=${CARGO_TARGET_DIR:-target}/release/examples/files
fi
folder=$(mktemp -d)
sender=
receiver=
trap 'kill $sender $receiver 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/to"
head -c "$((size << 20))" /dev/urandom > "$folder/big.bin"
wanted=$(sha256sum < "$folder/big.bin")
part=$folder/to/big.bin.part

serve() {
  # Port 0 is asked for once; a sender that starts again takes the same.
  "$files" send "$folder/big.bin" --listen "127.0.0.1:${port:-0}" > "$folder/sender.log" 2>&1 &
  sender=$!
  local tries=0
  until grep -q '^now:' "$folder/sender.log"; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || { cat "$folder/sender.log"; exit 1; }
    sleep 0.1
  done
  url=$(sed -n 's/^now: files receive //p' "$folder/sender.log")
  port=${url#ws://127.0.0.1:}
  port=${port%/ws}
}

receive() {
  "$files" receive "$url" --into "$folder/to" > "$folder/receiver.log" 2>&1 &
  receiver=$!
}

# Waits until the part has so many bytes.
until_has() {
  local tries=0
  until [ "$(stat -c %s "$part" 2>/dev/null || echo 0)" -ge "$1" ]; do
    tries=$((tries + 1))
    [ $tries -lt 6000 ] && kill -0 $receiver 2>/dev/null || { cat "$folder"/*.log; echo "the transfer stands still"; exit 1; }
    sleep 0.02
  done
}

begin=$(date +%s.%N)
serve
receive
until_has $(((size << 20) / 3))
kill -9 $receiver; wait $receiver 2>/dev/null || true
first=$(stat -c %s "$part")
echo "the receiver killed at $first bytes"

receive
until_has $((first + ((size << 20) - first) / 2))
kill -9 $sender; wait $sender 2>/dev/null || true
wait $receiver 2>/dev/null && { echo "the receiver did not notice"; exit 1; }
second=$(stat -c %s "$part")
echo "the sender killed at $second bytes"
[ "$second" -gt "$first" ] || { echo "nothing was resumed"; exit 1; }

serve
receive
wait $receiver || { cat "$folder"/*.log; exit 1; }
wait $sender || { cat "$folder"/*.log; exit 1; }
end=$(date +%s.%N)
grep -a "going on at" "$folder/receiver.log" | tail -1
got=$(sha256sum < "$folder/to/big.bin")
[ "$got" = "$wanted" ] || { echo "the hashes differ"; exit 1; }
awk -v b="$begin" -v e="$end" -v m="$size" \
  'BEGIN { printf "%d MiB in %.1f s (%.0f MB/s with hashing, writing and two restarts), hashes equal\n", m, e - b, m * 1.048576 / (e - b) }'
