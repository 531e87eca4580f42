/**
 * One HTML file that needs nothing else: data, style and program are inside, by hash the only ones that a browser may use. Data cannot end
 * its script element (`<` is escaped), and the program makes text nodes of it, never markup.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReportData } from './page-data.ts';

declare const __DIST__: string;

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const escaped = (text: string): string => text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
/** JSON as the content of a script element. */
const inScript = (value: unknown): string =>
  JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');

export function htmlText(data: ReportData): string {
  const program = readFileSync(join(__DIST__, 'lab/report.js'), 'utf8');
  const style = readFileSync(join(__DIST__, 'lab/report.css'), 'utf8');
  const policy = `default-src 'none'; script-src ${hashOf(program)}; style-src ${hashOf(style)}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escaped(data.name)}: network policies</title>
<style>${style}</style>
</head>
<body>
<noscript><p>This report draws itself by a small program, which is inside this file and needs no network: allow JavaScript for it, or use <code>rkt lab run</code> for the same matrix as text.</p></noscript>
<script type="application/json" id="data">${inScript(data)}</script>
<script>${program}</script>
</body>
</html>
`;
}
