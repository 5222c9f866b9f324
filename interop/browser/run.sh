#!/usr/bin/env bash
# Chromium against the demo and dial examples. Installs what it needs. Arguments: names of checks (default: all).
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v chromium >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq chromium >/dev/null
fi
if [ ! -d interop/browser/node_modules/playwright-core ]; then
  npm install --prefix interop/browser --no-audit --no-fund --no-save --no-package-lock --silent
fi
cargo build --release --quiet -p tincan-peer --examples
export TINCAN_EXAMPLES="${CARGO_TARGET_DIR:-target}/release/examples"
exec node interop/browser/run.mjs "$@"
