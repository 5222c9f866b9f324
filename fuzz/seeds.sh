#!/usr/bin/env bash
# Makes or extends the small seed corpora that the repository keeps:
#   bash fuzz/seeds.sh            for sdp: the shortest descriptions of the crate's own test corpus
#   bash fuzz/seeds.sh TARGET...  from what runs have learnt (corpus/TARGET): inputs of at most 512 bytes of which each
#                                 covers something that the others don't, the longest first, up to 64 and 8 KiB together
# Seeds with names of words were written by the crates' own encoders.
set -euo pipefail
cd "$(dirname "$0")"
if [ $# -eq 0 ]; then
  mkdir -p seeds/sdp_description
  for file in $(ls -Sr ../sdp/tests/corpus/*/*.sdp | head -n 16); do
    cp "$file" "seeds/sdp_description/$(basename "$(dirname "$file")")-$(basename "$file" .sdp)"
  done
  exit 0
fi
host=$(rustc -vV | sed -n 's/^host: //p')
programs=${TINCAN_FUZZ_PROGRAMS:-${CARGO_TARGET_DIR:-target}/$host/release}
for target in "$@"; do
  merged=$(mktemp -d)
  mkdir -p "seeds/$target"
  # The merge prefers what comes first and short: the seeds there are, then what was learnt.
  "$programs/$target" -merge=1 -max_len=512 -rss_limit_mb=2048 "$merged" "seeds/$target" "${TINCAN_FUZZ_CORPUS:-corpus}/$target" >/dev/null 2>&1
  total=$(find "seeds/$target" -type f -printf '%s\n' | awk '{s += $1} END {print s + 0}')
  count=$(ls "seeds/$target" | wc -l)
  for file in $(ls -S "$merged"); do
    size=$(wc -c <"$merged/$file")
    [ $((total + size)) -le 8192 ] || continue
    [ "$count" -lt 64 ] || break
    cp "$merged/$file" "seeds/$target/$file"
    total=$((total + size))
    count=$((count + 1))
  done
  rm -rf "$merged"
  echo "$target: $count seeds, $total bytes"
done
