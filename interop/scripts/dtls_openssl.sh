#!/usr/bin/env bash
# Shakes hands with OpenSSL's s_server and s_client over DTLS 1.2 with SRTP
# profiles, and compares the exported keying material.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v openssl >/dev/null || { echo "skipped: openssl is not installed"; exit 0; }
cargo build -q -p tincan-dtls --example udp_echo
echo_peer="${CARGO_TARGET_DIR:-target}/debug/examples/udp_echo"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
options=(-dtls1_2 -cert "$work/cert.pem" -key "$work/key.pem"
  -keymatexport EXTRACTOR-dtls_srtp -keymatexportlen 60)

check() { # name, our log, its log
  ours=$(sed -n 's/^exported //p' "$2")
  if [ -n "$ours" ] && grep -q "Keying material: $ours" "$3" && grep -q 'SRTP Extension negotiated' "$3"; then
    echo "ok: $1"
  else
    echo "failed: $1"
    cat "$2" "$3"
    exit 1
  fi
}

timeout 15 "$echo_peer" server 127.0.0.1:45433 both >"$work/ours" 2>&1 &
ours=$!
sleep 0.5
(echo hello; sleep 2) | timeout 10 openssl s_client -connect 127.0.0.1:45433 \
  -use_srtp SRTP_AEAD_AES_128_GCM "${options[@]}" >"$work/theirs" 2>&1 || true
wait "$ours" || true
check "s_client against our server" "$work/ours" "$work/theirs"
grep -q 'data hello' "$work/ours" || { echo "failed: no data"; exit 1; }

sleep 8 | timeout 10 openssl s_server -accept 45434 -verify 1 \
  -use_srtp SRTP_AES128_CM_SHA1_80 "${options[@]}" >"$work/theirs" 2>&1 &
theirs=$!
sleep 0.7
timeout 5 "$echo_peer" client 127.0.0.1:45434 both >"$work/ours" 2>&1 || true
wait "$theirs" || true
check "our client against s_server" "$work/ours" "$work/theirs"
