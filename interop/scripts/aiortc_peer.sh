#!/usr/bin/env bash
# aiortc, an independent stack in Python, against ours: both roles, data and media. Skipped where it is not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! python3 -c 'import aiortc' 2>/dev/null; then
  echo "skipped: aiortc is not installed (pip install aiortc)"
  exit 0
fi
# TINCAN_EXAMPLES: a folder with the puppet, built before.
if [ -z "${TINCAN_EXAMPLES:-}" ]; then
  cargo build --quiet -p tincan-peer --example puppet
  TINCAN_EXAMPLES="${CARGO_TARGET_DIR:-target}/debug/examples"
fi
python3 interop/scripts/aiortc_peer.py "$TINCAN_EXAMPLES/puppet"
