// How long it takes, beside Chromium to Chromium in the same script.
const ROUNDS = 9;
/** Sets of rounds: what else the machine does only adds to a time, so that the best of many is asked for. */
const SETS = 4;
/** What `.ci/run` raises: its programs are not optimised, and only a timer that waits is to be found there. */
const RATIO = Number(process.env.TINCAN_CONNECT_RATIO ?? 1.5);

export const checks = {
  [`connect time is within ${RATIO} times of Chromium to Chromium`]: {
    seconds: 120,
    async run({ page, expect, figures }) {
      const ours = [], theirs = [];
      for (let set = 0; set < SETS; set++) {
        const more = await page.evaluate(async rounds => {
          const us = async () => {
            const pc = globalThis.call = new RTCPeerConnection(), c = pc.createDataChannel("d");
            const begun = await offerTo(pc);
            await within(opened(c), 10000, "channel");
            const time = performance.now() - begun; pc.close(); return time;
          };
          const them = async () => {
            const a = globalThis.call = new RTCPeerConnection(), b = new RTCPeerConnection(), c = a.createDataChannel("d");
            await a.setLocalDescription(); await gathered(a);
            await b.setRemoteDescription(a.localDescription); await b.setLocalDescription(); await gathered(b);
            const begun = performance.now();
            await a.setRemoteDescription(b.localDescription);
            await within(opened(c), 10000, "channel");
            const time = performance.now() - begun; a.close(); b.close(); return time;
          };
          const ours = [], theirs = [];
          for (let i = 0; i < rounds; i++) { ours.push(await us()); theirs.push(await them()); }
          return { ours, theirs };
        }, ROUNDS);
        ours.push(...more.ours); theirs.push(...more.theirs);
        if (Math.min(...ours) <= RATIO * Math.min(...theirs)) break;
      }
      const median = v => v.slice().sort((x, y) => x - y)[v.length >> 1];
      const [a, b] = [median(ours), median(theirs)], [best, bestOfTheirs] = [Math.min(...ours), Math.min(...theirs)];
      figures.connectMs = { ours: +a.toFixed(1), chromium: +b.toFixed(1), ratio: +(a / b).toFixed(2) };
      const said = `median ${a.toFixed(1)} ms (${best.toFixed(1)}..${Math.max(...ours).toFixed(1)}), Chromium to Chromium ${b.toFixed(1)} ms (${bestOfTheirs.toFixed(1)}..${Math.max(...theirs).toFixed(1)})`;
      expect(best <= RATIO * bestOfTheirs, "time", `${ours.length} rounds: ${said}`);
      return said;
    },
  },
};
