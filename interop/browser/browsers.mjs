// The browsers: each opens pages that the checks use alike.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const pageScript = readFileSync(new URL("page.js", import.meta.url), "utf8");

/** A document of the demo's origin without a script (its own page has its own), with the helpers of page.js. */
async function prepare(page, url) {
  page.on("pageerror", error => console.log(`      page: ${error.message}`));
  await page.goto(new URL("/stats", url).href);
  await page.addScriptTag({ content: pageScript });
  return page;
}

/** All checks. */
async function chromium() {
  const { chromium } = await import("playwright-core");
  const profile = mkdtempSync(join(tmpdir(), "tincan-chromium-"));
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const args = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required", ...(process.env.CHROMIUM_FLAGS?.split(" ") ?? []),
  ];
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, args: [...args, "--use-fake-ui-for-media-stream"],
  });
  return {
    name: `Chromium ${browser.browser()?.version() ?? ""}`,
    modules: ["data", "media", "loss", "signalling", "negotiation", "dial", "demo-page", "examples", "network", "time"],
    context: browser,
    open: async url => prepare(await browser.newPage(), url),
    /** A page in a browser of its own whose user has allowed no camera: it hides its host addresses behind `.local` names. */
    async withStranger(url, work) {
      const stranger = await chromium.launch({ executablePath, headless: true, args });
      try {
        return await work(await prepare(await stranger.newPage(), url));
      } finally {
        await stranger.close();
      }
    },
    async close() {
      await browser.close().catch(() => {});
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** What is about the protocols; the demo's page and the examples are looked at in Chromium only. */
async function firefox() {
  const { default: puppeteer } = await import("puppeteer-core");
  const browser = await puppeteer.launch({
    browser: "firefox", timeout: 120_000, executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr", headless: true,
    extraPrefsFirefox: {
      "media.navigator.permission.disabled": true, "media.navigator.streams.fake": true, "media.autoplay.default": 0,
      "media.peerconnection.ice.loopback": true, "media.peerconnection.ice.obfuscate_host_addresses": false,
    },
  });
  return {
    name: (await browser.version()).replace("firefox/", "Firefox "),
    modules: ["data", "media", "loss", "signalling", "negotiation", "dial"],
    open: async url => prepare(await browser.newPage(), url),
    close: () => browser.close().catch(() => {}),
  };
}

export const browsers = { chromium, firefox };
