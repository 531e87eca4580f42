/** The report of an experiment of 12 pods and 5 steps, read in a browser: what a newcomer asks can be answered from it alone. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt } from '../rig/rkt.ts';

// A browser starts and ends processes when it likes.
useHost({ tolerate: (line) => /^process \d+ \S*\/(chromium|chrome)/.test(line) });
const rkt = new Rkt();
const folder = join(import.meta.dirname, '../fixtures/lab/shop');
const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
const directory = mkdtempSync(join(tmpdir(), 'report-'));
const file = join(directory, 'shop.html');
afterAll(() => rmSync(directory, { recursive: true }));

test('lab run writes every kind of report at once, and says what it cannot write before it begins', () => {
  const path = (kind: string): string => join(directory, `shop.${kind}`);
  const kinds = ['html', 'junit', 'csv', 'tap', 'json'];
  const outcome = rkt.run(['lab', 'run', ...kinds.map((kind) => `--report=${kind}=${path(kind)}`), folder]);
  expect(outcome.status, outcome.stderr).toBe(0);
  expect(readFileSync(path('junit'), 'utf8')).toMatch(/<testsuites name="shop" tests="8" failures="0" errors="0"/);
  expect(readFileSync(path('tap'), 'utf8')).toContain('1..8');
  expect(statSync(file).size).toBeLessThan(300_000);
  expect((JSON.parse(readFileSync(path('json'), 'utf8')) as { format: string }).format).toBe('rkt-lab-result-1');
  expect(rkt.run(['lab', 'run', '--report=html=/nowhere/x.html', folder]).stderr).toMatch(/cannot write \/nowhere\/x\.html/);
  expect(rkt.run(['lab', 'run', '--report=pdf=x.pdf', folder])).toMatchObject({ status: 2, stderr: expect.stringMatching(/is no report/) as string });
});

describe('in a browser', () => {
  let browser: Browser | undefined;
  const faults: string[] = [];
  beforeAll(async () => {
    if (browserPath !== undefined) browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
  }, 60_000);
  afterAll(() => browser?.close());
  beforeEach(({ skip }) => skip(browserPath === undefined, 'no Chromium is installed (apt install chromium)'));
  const open = async (hash = '', scheme: 'light' | 'dark' = 'light', width = 1400): Promise<Page> => {
    if (browser === undefined) expect.fail('there is no browser');
    const page = await browser.newPage({ colorScheme: scheme, viewport: { width, height: 900 }, offline: true });
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => void (message.type() === 'error' && faults.push(message.text())));
    await page.goto(`file://${file}${hash}`);
    return page;
  };
  const answer = (page: Page): Promise<string> => page.locator('.answers').innerText();

  test('who can reach the database, why not, what changed in step 3', async () => {
    const page = await open();
    await page.getByLabel('Who can reach shop/db?').click();
    expect(await answer(page)).toMatch(/Who can reach shop\/db\?\s+1 of 11: shop\/cart\./);
    await page.locator('td[aria-label^="shop/web to shop/db"]').click();
    expect(await answer(page)).toMatch(/No, denied on TCP\/22.*\n[^]*NetworkPolicy shop\/data selects shop\/db[^]*no rule matches/);
    expect(await page.locator('.answers mark.deciding').innerText()).toContain('networking.k8s.io');
    await page.getByRole('button', { name: '3 let backup in' }).click();
    expect(await page.locator('.notes').innerText()).toMatch(
      /What changed by it\s+✓ ops\/backup can now reach shop\/db on TCP\/22[^]*policies\/backup\.yaml:11/,
    );
    expect(await page.locator('td.changed').count()).toBe(1);
    expect(await page.evaluate('location.hash')).toBe('#step=3&from=shop%2Fweb&to=shop%2Fdb');
    await page.close();
  }, 60_000);

  test('by keyboard: arrows walk, Enter chooses, Escape lets go; every line of YAML is there once', async () => {
    const page = await open();
    await page.locator('td.cell').first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    expect(await answer(page)).toContain('Can ops/bastion reach ops/monitor?');
    await page.keyboard.press('Escape');
    expect(await answer(page)).toContain('Choose a cell');
    await page.goto(`file://${file}#from=shop/web&to=shop/db`);
    await page.reload();
    await page.getByRole('button', { name: 'whole file' }).click();
    const shown = (await page.locator('.answers pre').first().innerText()).split('\n').map((line) => line.replace(/^.\s*\d+ {2}/, ''));
    expect(
      shown
        .map((line) => line.trimEnd())
        .join('\n')
        .trim(),
    ).toBe(readFileSync(join(folder, 'policies/data.yaml'), 'utf8').trim());
    await page.close();
  }, 60_000);

  test('dark, narrow and on paper; nothing is said to the console, nothing is asked of the network', async () => {
    const dark = await open('#step=3&to=shop/db', 'dark');
    const shade = (page: Page): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(await shade(dark)).toBe('rgb(20, 24, 29)');
    await dark.getByRole('button', { name: /light/ }).click();
    expect(await shade(dark)).toBe('rgb(251, 251, 250)');
    expect(await dark.locator('.graph path.arrow.chosen').count()).toBe(2);
    await dark.close();
    const narrow = await open('', 'light', 420);
    expect(await narrow.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(420);
    expect((await narrow.pdf()).length).toBeGreaterThan(20_000);
    expect(await narrow.locator('.paper table.matrix').count()).toBe(5);
    await narrow.close();
    expect(faults).toEqual([]);
  }, 60_000);
});
