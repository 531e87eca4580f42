/** How the workbench prints what it found. */
import { describe, expect, test } from 'vitest';
import { checkText } from '../../../../src/cli/render/net-check.ts';
import { explanation } from '../../../../src/cli/render/net-explain.ts';
import { collectionText } from '../../../../src/cli/render/net-gc.ts';
import { inspection } from '../../../../src/cli/render/net-inspect.ts';
import { readinessText } from '../../../../src/cli/render/net-status.ts';
import type { ExplainedPod } from '../../../../src/workbench.ts';

const evil = 'x\u001b[31m\ny';

describe('net status', () => {
  test('ready, refused with a code, not asked, and what cannot be asked', () => {
    expect(
      readinessText({
        name: 'a',
        cniVersion: '1.1.0',
        ready: false,
        plugins: [
          { type: 'bridge', via: 'builtin', state: 'ready' },
          { type: 'x', via: '/x', state: 'not ready', code: 51, message: evil, hint: 'wait' },
        ],
      }),
    ).toBe(
      'a: not ready (CNI 1.1.0)\n  bridge  ready\n  x       not ready, code 51 (pods can join, with limited connectivity): x\\x1b[31m y\n          hint: wait\n',
    );
    expect(readinessText({ name: 'a', cniVersion: '0.4.0', ready: true, plugins: [{ type: 'x', via: '/x', state: 'not asked' }] })).toBe(
      'a: ready (CNI 0.4.0)\n  x  not asked: CNI 0.4.0 has no STATUS, it came with 1.1.0\n',
    );
    expect(readinessText({ name: 'a', cniVersion: '', ready: false, plugins: [], problem: 'no plugin' })).toBe('a: not ready\n  no plugin\n');
  });
});

describe('net check', () => {
  test('a line an attachment, a line a difference', () => {
    const attachment = { network: 'a', ifName: 'eth0', cniVersion: '1.0.0', plugins: ['x', 'y'] };
    const difference = { kind: 'missing', what: 'w', effect: 'e', cure: 'c', text: evil } as const;
    expect(
      checkText({
        pod: 'p',
        state: 'running',
        passed: false,
        attachments: [
          { ...attachment, check: 'failed', failure: 'no (CNI code 7)', code: 7, differences: [difference] },
          { ...attachment, ifName: 'eth1', check: 'passed', differences: [] },
        ],
      }),
    ).toBe(
      'eth0 = network "a": CHECK failed (x, y)\n  no (CNI code 7)\n  x\\x1b[31m y\neth1 = network "a": CHECK passed (x, y)\n  everything is as it was made\n',
    );
    expect(checkText({ pod: 'p', state: 'running', passed: true, attachments: [] })).toBe('pod p (running) is attached to no network\n');
  });
});

describe('net gc', () => {
  test('what, whose, what became of it', () => {
    expect(
      collectionText([
        {
          name: 'a',
          inUse: ['pod p'],
          leftovers: [{ what: 'lease 10.0.0.2', why: evil, outcome: 'kept' }],
          problems: ['plugin x failed'],
          disabled: true,
        },
        { name: 'b', inUse: [], leftovers: [], problems: [], disabled: false },
      ]),
    ).toBe(
      'a: 1 left over; in use by pod p\n  GC is not sent: the list says disableGC\n  kept: lease 10.0.0.2: x\\x1b[31m y\n  problem: plugin x failed\nb: nothing to remove\n',
    );
  });
});

describe('net inspect', () => {
  test('what is configured, what exists, whose it is', () => {
    const text = inspection({
      name: 'a',
      source: { path: '/n/10-a.conflist', owner: 'admin', dropIns: ['/n/a/x.conf'] },
      versions: ['0.4.0', '1.0.0', '1.1.0'],
      cniVersion: undefined,
      disableCheck: true,
      disableGC: true,
      plugins: [
        {
          type: 'bridge',
          via: undefined,
          versions: [],
          capabilities: ['ips', 'mac'],
          ipam: { type: 'host-local', via: 'builtin', versions: ['0.1.0', '0.2.0', '1.1.0'] },
        },
      ],
      subnets: [{ subnet: '10.0.0.0/24', leases: 1 }],
      gateways: ['10.0.0.1'],
      bridge: { name: 'br0', exists: true, up: false, addresses: [], ports: ['v'] },
      attachments: [{ containerId: 'c', ifName: 'eth0', holder: 'pod c (running)' }],
      objects: [{ kind: 'lease', what: 'lease 10.0.0.9', holder: '' }],
      problem: 'plugin "bridge" not found',
      notices: [],
    });
    for (const line of [
      /^drop-in +\/n\/a\/x\.conf$/m,
      /^CNI +no version suits all plugins of 0\.4\.0, 1\.0\.0, 1\.1\.0$/m,
      /^flag +disableCheck: CHECK is not sent\n +disableGC: GC is not sent$/m,
      /^subnet +10\.0\.0\.0\/24, 1 lease$/m,
      /^bridge +br0, DOWN, no address, 1 port$/m,
      /^bridge +NOT FOUND +ips, mac$/m,
      /^ {2}host-local +built in +0\.1\.0 to 1\.1\.0$/m,
      /^pod c \(running\) +eth0$/m,
      /^lease 10\.0\.0\.9 +nobody: rkt net gc removes it$/m,
    ])
      expect(text).toMatch(line);
  });
});

describe('net explain', () => {
  const call = {
    verb: 'ADD',
    network: 'a',
    plugin: 'x',
    via: '/x',
    env: { CNI_COMMAND: 'ADD' },
    stdin: `{\n${'s'.repeat(300)}`,
    stdout: '',
    stderr: evil,
    ms: 1.25,
    exit: 3,
    notes: [{ what: 'sysctl', detail: 'a 0 -> 1' }],
  } as const;
  const pod: ExplainedPod = {
    pod: 'p',
    state: 'running',
    mode: 'contained',
    attachments: [],
    calls: [call],
    findings: [{ on: 'eth0', what: evil, effect: 'no answer', cure: 'do this' }],
  };
  test('calls are cut unless raw; foreign text is shown and not sent', () => {
    const short = explanation(pod, false);
    expect(short).toContain('1. ADD x of "a": exit 3, 1.3 ms, /x\n       env: CNI_COMMAND=ADD\n');
    expect(short).toMatch(/stdin: \{ s{158}… \(302 characters\)/);
    expect(short).toContain('stderr: x\\x1b[31m y');
    expect(short).toContain('note: sysctl: a 0 -> 1');
    expect(short).toMatch(/findings\n {2}1\. eth0: x\\x1b\[31m y\n +so: {3}no answer\n +cure: do this\n$/);
    expect(explanation(pod, true)).toContain(`stdin:\n         {\n         ${'s'.repeat(300)}\n`);
    expect(explanation({ ...pod, mode: 'host', calls: [], findings: [] }, false)).toMatch(
      /uses the network of the host[^]*none recorded[^]*findings\n {2}none/,
    );
  });
});
