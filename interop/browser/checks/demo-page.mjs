// The demo's own page, as a person uses it.
import { mkdirSync } from "node:fs";

export const checks = {
  "a person connects, chats, sends a file and sees the picture come back": {
    seconds: 90,
    async run({ page, url, expect }) {
      await page.setViewportSize({ width: 1240, height: 1180 });
      await page.goto(url);
      await page.click("#connect");
      await page.waitForSelector("#text:not([disabled])", { timeout: 15000 }).catch(() => {});
      expect(await page.isEnabled("#text"), "SCTP", `no chat: ${await page.textContent("#log")}`);
      await page.fill("#text", "Hello over there");
      await page.click("#send");
      await page.waitForSelector("#chat .far", { timeout: 15000 });
      expect(await page.textContent("#chat .far") === "Hello over there", "data", "the chat came back changed");
      await page.click("#cam");
      await page.waitForFunction(() => document.getElementById("remote").videoWidth > 0, undefined, { timeout: 15000 });
      await page.click("#sample");
      await page.waitForSelector("#f-hash .good, #f-hash .wrong", { timeout: 60000 });
      expect(await page.isVisible("#f-hash .good"), "data", await page.textContent("#f-hash"));
      const shows = (selector, pattern, layer) => page.waitForFunction(([s, p]) => new RegExp(p).test(document.querySelector(s).textContent), [selector, pattern], { timeout: 15000 })
        .catch(async () => expect(false, layer, `the page shows ${await page.textContent(selector)}`));
      const up = "^(stable|connected|completed)$";
      for (const id of ["signaling", "ice", "dtls", "sctp"]) await shows(`#s-${id} span`, up, id);
      await shows("#p-rtt", "ms", "ICE");
      const shots = process.env.TINCAN_SHOTS;
      if (shots) { mkdirSync(shots, { recursive: true }); await page.screenshot({ path: `${shots}/demo.png`, fullPage: true }); }
      const text = await page.textContent("#f-hash");
      await page.click("#synth");
      await page.waitForTimeout(1500);
      await page.click("#restart");
      // One that never begins would look connected at once.
      await page.waitForTimeout(1500);
      await shows("#s-ice span", up, "ICE");
      await page.click("#hangup");
      return text.trim();
    },
  },
};
