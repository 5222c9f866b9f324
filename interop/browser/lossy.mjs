// A path that loses packets: a UDP relay between the browser and one of our programs.
//
// Only RTP is lost, never ICE, DTLS or RTCP, so that a check is about media alone. Which packets are lost is drawn from
// a seed, one stream of numbers for each direction: the n-th RTP packet of a direction always shares its fate.
import { createSocket } from "node:dgram";

/** Numbers from 0 to 1, always the same ones for a seed (mulberry32). */
function numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** RTP, and neither RTCP (RFC 5761 §4) nor STUN nor DTLS (RFC 7983). */
const isRtp = packet => packet.length > 12 && packet[0] >= 128 && packet[0] <= 191 && !(packet[1] >= 192 && packet[1] <= 223);

const bound = socket => new Promise((ok, no) => { socket.once("error", no); socket.once("listening", ok); });

/**
 * Relays between whoever sends to its address and port and `far`, and loses a share `loss` of the RTP packets either
 * way. `rtx` has the payload types of retransmissions, which are counted. Only what the browser sends here first comes
 * back: each of its sockets gets one of ours.
 */
export async function lossyPath({ far, loss, seed, rtx }) {
  const counts = () => ({ rtp: 0, lost: 0, rtx: 0 });
  const fromBrowser = counts(), fromUs = counts();
  const draws = [numbers(seed), numbers(seed + 1)];
  const passes = (packet, count, draw) => {
    if (!isRtp(packet)) return true;
    count.rtp++;
    if (rtx.has(packet[1] & 0x7f)) count.rtx++;
    const lost = draw() < loss;
    if (lost) count.lost++;
    return !lost;
  };
  const near = createSocket("udp4");
  near.bind(0, far.address);
  await bound(near);
  const sockets = new Map();
  near.on("message", (packet, from) => {
    const key = `${from.address}:${from.port}`;
    let socket = sockets.get(key);
    if (!socket) {
      socket = createSocket("udp4");
      socket.on("message", back => { if (passes(back, fromUs, draws[1])) near.send(back, from.port, from.address); });
      socket.on("error", () => {});
      socket.bind(0, far.address);
      sockets.set(key, socket);
    }
    if (passes(packet, fromBrowser, draws[0])) socket.send(packet, far.port, far.address);
  });
  return {
    address: far.address,
    port: near.address().port,
    fromBrowser, fromUs,
    close() { near.close(); for (const socket of sockets.values()) socket.close(); },
  };
}

/** The first UDP candidate over IPv4 of a description. */
export function candidate(sdp) {
  const match = /^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host/im.exec(sdp);
  return match && { address: match[1], port: Number(match[2]) };
}

/** A description whose only candidate is the relay. */
export function through(sdp, path) {
  let put = false;
  return sdp.replace(/^a=candidate:.*\r\n/gm, () => {
    if (put) return "";
    put = true;
    return `a=candidate:1 1 udp 2130706431 ${path.address} ${path.port} typ host\r\n`;
  });
}

/** Payload types of retransmissions in a description. */
export const retransmissions = sdp => new Set([...sdp.matchAll(/^a=rtpmap:(\d+) rtx\//gim)].map(m => Number(m[1])));
