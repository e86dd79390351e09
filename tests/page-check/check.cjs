// Looks at a page in a real Chromium, at two widths, light and dark: axe-core's rules on contrast, names and structure (WCAG 2 A and AA),
// whether anything is cut at the page's edge, and whether the keyboard reaches and shows what a mouse does. Prints findings, a line each.
"use strict";
const path = require("node:path");
const url = require("node:url");

const modules = path.join(process.cwd(), "node_modules");
const puppeteer = require(path.join(modules, "puppeteer-core"));

async function overflow(page) {
    return page.evaluate(() => {
        const wide = document.documentElement.clientWidth;
        const scrolls = (element) => element && (/(auto|scroll)/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
        const found = [];
        if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
        for (const element of document.querySelectorAll("table, td, th, svg, p, h1, h2, h3, pre, code")) {
            const box = element.getBoundingClientRect();
            if (box.width > 0 && (box.right > wide + 1 || box.left < -1) && !scrolls(element.parentElement))
                found.push(`${element.tagName.toLowerCase()} '${element.textContent.trim().slice(0, 40)}' is cut`);
        }
        return found;
    });
}

async function keyboard(page) {
    const wanted = await page.evaluate(() => {
        window.scrollTo(0, 0);
        document.activeElement?.blur();
        const all = [...document.querySelectorAll("a[href], summary, button, input, select, [tabindex]:not([tabindex='-1'])")];
        const scrollable = [...document.querySelectorAll("*")].filter(
            (each) => each.scrollWidth > each.clientWidth + 1 && /(auto|scroll)/.test(getComputedStyle(each).overflowX),
        );
        scrollable.forEach((each) => (each.dataset.scrolls = "1"));
        const visible = all.filter((each) => each.checkVisibility() && !each.disabled);
        visible.forEach((each, i) => (each.dataset.stop = String(i)));
        return { stops: visible.length, unreachable: scrollable.filter((each) => each.tabIndex < 0).length };
    });
    const found = wanted.unreachable > 0 ? [`${wanted.unreachable} scrolled parts cannot be reached by keyboard`] : [];
    const reached = new Set();
    for (let i = 0; i <= wanted.stops; i++) {
        await page.keyboard.press("Tab");
        const stop = await page.evaluate(() => {
            const at = document.activeElement;
            const style = getComputedStyle(at);
            return { stop: at.dataset.stop, name: at.tagName, shown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 };
        });
        if (stop.stop === undefined) continue;
        reached.add(stop.stop);
        if (!stop.shown) found.push(`${stop.name} ${stop.stop} does not show that it has the focus`);
    }
    if (reached.size < wanted.stops) found.push(`the keyboard reaches ${reached.size} of ${wanted.stops} links and buttons`);
    return found;
}

(async () => {
    // Without a width and a scheme, all of them.
    const [page_, chromium, onlyWidth, onlyScheme] = process.argv.slice(2);
    const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
    const findings = [];
    let asked = 0;
    try {
        for (const width of onlyWidth ? [Number(onlyWidth)] : [1200, 360]) {
            for (const scheme of onlyScheme ? [onlyScheme] : ["light", "dark"]) {
                const page = await browser.newPage();
                page.on("request", (request) => {
                    if (!/^(file|data):/.test(request.url())) findings.push(`asks the network for ${request.url()}`);
                });
                await page.setViewport({ width, height: 900 });
                await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
                await page.goto(url.pathToFileURL(path.resolve(page_)).href);
                await page.evaluate(() => document.querySelectorAll("details").forEach((each) => (each.open = true)));
                const where = `${width} ${scheme}`;
                for (const line of [...(await overflow(page)), ...(await keyboard(page))]) findings.push(`${where}: ${line}`);
                await page.addScriptTag({ path: path.join(modules, "axe-core", "axe.min.js") });
                const result = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
                asked += result.passes.length;
                for (const rule of result.violations)
                    for (const node of rule.nodes.slice(0, 5))
                        findings.push(`${where}: ${rule.id}: ${node.target.join(" ")}: ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? rule.help}`);
                await page.close();
            }
        }
    } finally {
        await browser.close();
    }
    for (const finding of findings) console.log(finding);
    console.error(`${asked} rules passed`);
    process.exitCode = findings.length > 0 ? 1 : 0;
})();
