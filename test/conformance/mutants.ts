/** Ways to break the runtime and its plugins, and which numbers must notice. `node test/conformance/run-mutants.ts` tries them. */
import type { Mutant } from './mutant.ts';
import { pluginMutants } from './plugin-mutants.ts';

const schema = 'src/net/conf/schema.ts';
const parse = 'src/net/conf/parse.ts';
const inject = 'src/model/cni/inject.ts';
const request = 'src/net/cni/request.ts';
const list = 'src/net/cni/list.ts';
const plan = 'src/net/plan/plan.ts';
const resolve = 'src/net/plan/resolve.ts';
const result = 'src/model/cni/result.ts';
const front = 'src/model/cni/request.ts';
const version = 'src/model/cni/version.ts';
const ids = 'src/model/ids.ts';
const invoke = 'src/net/cni/invoke.ts';
const cache = 'src/net/cni/cache.ts';
const actions = 'src/compose/actions.ts';
const execute = 'src/effects/execute.ts';

export const mutants: readonly Mutant[] = [
  // configurations
  {
    file: parse,
    find: 'own ?? (conf.cniVersions',
    replace: "(own === 'one.two' ? '1.0.0' : own) ?? (conf.cniVersions",
    numbers: ['C1'],
  },
  { file: parse, find: ', ...(conf.cniVersions ?? [])]', replace: ']', numbers: ['C2', 'V1'] },
  {
    file: ids,
    find: 'isNetworkName = (text: string): boolean => /^[a-zA-Z0-9]',
    replace: 'isNetworkName = (text: string): boolean => /^[-.a-zA-Z0-9]',
    numbers: ['C3'],
  },
  { file: 'src/gc/networks.ts', find: 'if (network.disableGC !== true) clear(network);', replace: 'clear(network);', numbers: ['C5'] },
  { file: parse, find: '? [] : dropIns(list.name)', replace: '? [] : []', numbers: ['C6', 'C9'] },
  { file: parse, find: 'isSet(list.loadOnlyInlinedPlugins) ? [] : dropIns', replace: 'false ? [] : dropIns', numbers: ['C7', 'C8', 'Z1'] },
  { file: schema, find: "refine((type) => type !== ''", replace: "refine((type) => type !== '' || true", numbers: ['C10', 'C9'] },
  {
    file: inject,
    find: '${confText.slice(value.start, value.end)}`',
    replace: '${JSON.stringify(JSON.parse(confText.slice(value.start, value.end)))}`',
    numbers: ['C11'],
  },
  { file: request, find: " || key.startsWith('cni.dev/')", replace: '', numbers: ['C12', 'R33'] },
  { file: 'cni-plugins/skel/interface.ts', find: '=> configured ?? ipam;', replace: '=> ipam ?? configured;', numbers: ['C13'] },
  { file: schema, find: 'disableGC: flag,', replace: 'disableGC: z.optional(z.never()),', numbers: ['C14'] },
  { file: parse, find: '"plugins":[${file.text.trim()}]', replace: '"plugins":[]', numbers: ['C15'] },
  // versions
  { file: resolve, find: 'network.versions.findLast(', replace: 'network.versions.find(', numbers: ['V1'] },
  {
    file: resolve,
    find: 'network.versions.findLast(suitsAll)',
    replace: 'network.versions.at(-1)',
    numbers: ['V2', 'D9'],
  },
  { file: request, find: ', cniVersion: network.cniVersion }', replace: " , cniVersion: '1.1.0' }", numbers: ['V3', 'Z7'] },
  {
    file: front,
    find: 'if (!(plugin.versions as readonly string[]).includes(conf.cniVersion)) {',
    replace: 'if (conf.cniVersion === "x") {',
    numbers: ['V4'],
  },
  { file: front, find: "version === '' ? '0.1.0' : version", replace: "version === '' ? '0.2.0' : version", numbers: ['V5'] },
  {
    file: 'src/net/cni/find.ts',
    find: 'stdin: Buffer.from(JSON.stringify({ cniVersion: cniVersions.at(-1) })),',
    replace: 'stdin: Buffer.from("{}"),',
    numbers: ['V6'],
  },
  { file: 'src/net/cni/find.ts', find: "CNI_COMMAND: 'VERSION', ", replace: '', numbers: ['V7'] },
  { file: 'src/net/cni/find.ts', find: "return ['0.1.0'];", replace: "return ['1.0.0'];", numbers: ['V9'] },
  { file: version, find: "list === undefined && current === '0.2.0'", replace: 'list === undefined', numbers: ['V10'] },
  {
    file: resolve,
    find: 'asked.every(({ speaks }) => speaks.includes(version))',
    replace: 'asked.every(({ speaks }) => speaks.some((one) => version.startsWith(one)))',
    numbers: ['V11'],
  },
  { file: request, find: "DEL: '0.4.0', CHECK: '0.4.0' };", replace: "DEL: '0.3.0', CHECK: '0.4.0' };", numbers: ['V12'] },
  { file: version, find: '(\\.\\d{1,9}){0,2}$/', replace: '(\\.\\d{1,9}){0,4}$/', numbers: ['V13'] },
  // results
  { file: result, find: "'0.1.0': 'pair',", replace: "'0.1.0': 'family',", numbers: ['K1'] },
  { file: result, find: 'const both = [ip4, ip6]', replace: 'const both = [ip6, ip4]', numbers: ['K2'] },
  { file: result, find: "'0.3.0': 'family',", replace: "'0.3.0': 'current',", numbers: ['K3'] },
  {
    file: result,
    find: 'interface: index === undefined || index < 0 ? undefined : index,',
    replace: 'interface: undefined,',
    numbers: ['K4', 'K10'],
  },
  {
    file: result,
    find: '({ version: familyOf(ip.address), ...ordered(ip) })',
    replace: "({ version: '4' as const, ...ordered(ip) })",
    numbers: ['K5'],
  },
  { file: result, find: 'if (ip4 === undefined && ip6 === undefined)', replace: 'if (ip4 === null)', numbers: ['K6'] },
  { file: result, find: "'1.0.0': 'current',", replace: "'1.0.0': 'family',", numbers: ['K7', 'K9'] },
  { file: result, find: 'const object = value === null ? {} : value;', replace: 'const object = value;', numbers: ['K8'] },
  { file: request, find: 'formatResult(prev, network.cniVersion)', replace: "formatResult(prev, '1.1.0')", numbers: ['K11'] },
  { file: result, find: "table: nullable('table'),", replace: "table: nullable('table') || undefined,", numbers: ['K12'] },
  {
    file: result,
    find: "address: address(ip, 'address', path),",
    replace: "address: address(ip, 'address', path).replace(/\\.\\d+\\//, '.0/'),",
    numbers: ['K13'],
  },
  // the runtime
  { file: 'src/stage0/prepare/steps.ts', find: "    { kind: 'netns.create', path: netns },\n", replace: '', numbers: ['R1'] },
  { file: list, find: '[...network.plugins.keys()].reverse()', replace: '[...network.plugins.keys()]', numbers: ['R2', 'R20', 'R4'] },
  { file: 'src/gc/networks.ts', find: 'if (held === undefined) continue;', replace: '', numbers: ['R3'] },
  {
    file: execute,
    find: 'undoAll(journal, actions, ({ n }) => n >= from),',
    replace: '[],',
    numbers: ['R4', 'D4', 'D10'],
  },
  {
    file: cache,
    find: '  if (text === undefined) return undefined;\n  try {',
    replace: "  if (text === undefined) throw new Error('no cache');\n  try {",
    numbers: ['R5'],
  },
  {
    file: request,
    find: 'pluginTexts(network.confList)[index]',
    replace: "pluginTexts(process.getBuiltinModule('node:fs').readFileSync(network.source.path, 'utf8'))[index]",
    numbers: ['R6', 'Z10'],
  },
  { file: actions, find: 'undo: ({ path }) => removeNetns(path),', replace: 'undo: () => undefined,', numbers: ['R7'] },
  {
    file: actions,
    find: 'return { result: addList(network, attachment, cni) };',
    replace: 'return { result: withNetns(attachment.netns, () => addList(network, attachment, cni)) };',
    numbers: ['R8'],
  },
  { file: invoke, find: 'stderr: kept(stderr),', replace: "stderr: '',", numbers: ['R9'] },
  { file: front, find: "'GC', 'STATUS', 'VERSION'] satisfies", replace: "'GC', 'VERSION'] satisfies", numbers: ['R10', 'Z2'] },
  {
    file: ids,
    find: 'isContainerId = (text: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/',
    replace: 'isContainerId = (text: string): boolean => /^[a-zA-Z0-9_.-]*$/',
    numbers: ['R11', 'Z8'],
  },
  {
    file: list,
    find: '  validate(network, attachment);\n  const final',
    replace: '  const final',
    numbers: ['D2'],
  },
  { file: list, find: "netnsExists(attachment.netns) ? attachment.netns : '' }", replace: 'true ? attachment.netns : "" }', numbers: ['R12'] },
  { file: ids, find: 'Buffer.byteLength(text) <= 15', replace: 'text.length <= 15', numbers: ['R13'] },
  { file: request, find: "].join(';');", replace: "].join('&');", numbers: ['R14', 'R35'] },
  {
    file: 'src/net/facts/plugins.ts',
    find: 'const directories = searchPath.map(',
    replace: 'const directories = searchPath.toReversed().map(',
    numbers: ['R36'],
  },
  { file: request, find: "CNI_PATH: network.pluginPath.join(':'),", replace: "CNI_PATH: network.pluginPath.join(','),", numbers: ['R15'] },
  { file: request, find: '          CNI_IFNAME: network.ifName,\n', replace: '', numbers: ['R16', 'R17'] },
  { file: plan, find: 'ifName: `eth${index}`', replace: "ifName: 'eth0'", numbers: ['R17'] },
  { file: list, find: "stdinFor(network, index, 'ADD', result, []", replace: "stdinFor(network, index, 'ADD', undefined, []", numbers: ['R18'] },
  { file: cache, find: 'result: formatResult(result, network.cniVersion),', replace: '', numbers: ['R19'] },
  {
    file: list,
    find: "stdinFor(network, index, 'DEL', prev, []",
    replace: "stdinFor(network, index, 'DEL', undefined, []",
    numbers: ['R20', 'R21'],
  },
  { file: list, find: '      failures.push(messageOf(error));\n      if', replace: '      throw error;\n      if', numbers: ['D3', 'Z9'] },
  { file: request, find: "fields['cni.dev/attachments'] = valid;", replace: '', numbers: ['R26', 'Z6', 'D7'] },
  {
    file: list,
    find: "environmentFor(network, 'DEL', there)",
    replace: "environmentFor(network, 'GC', there)",
    numbers: ['R27'],
  },
  { file: request, find: '{ name: network.name, cniVersion', replace: '{ cniVersion', numbers: ['R29'] },
  { file: request, find: "key === 'prevResult' || ", replace: '', numbers: ['R31'] },
  {
    file: plan,
    find: 'filter(([capability]) => declares(',
    replace: 'filter(([capability]) => capability !== "x" || declares(',
    numbers: ['R30', 'Z4'],
  },
  { file: request, find: "key === 'capabilities' || ", replace: '', numbers: ['R32', 'Z5', 'D1'] },
  { file: request, find: "key === 'capabilities' || ", replace: "key === 'capabilities' || key === 'args' || ", numbers: ['R34'] },
  { file: plan, find: '{ portMappings: [...ports] }', replace: '{ ports: [...ports] }', numbers: ['R37', 'R30'] },
  { file: invoke, find: 'error.cniCode === cniCode.tryAgain', replace: 'error.cniCode === cniCode.limited', numbers: ['R38'] },
  { file: list, find: 'if (error instanceof CniPluginError && error.cniCode === cniCode.unknownContainer) continue;', replace: '', numbers: ['R39'] },
  {
    file: 'src/effects/execute.ts',
    find: 'const n = journal.intent(step);',
    replace: "const n = step.kind === 'network.attach' ? (runStep(step, actions, journal), journal.intent(step)) : journal.intent(step);",
    numbers: ['D5'],
  },
  { file: 'src/host/files.ts', find: "if (isErrno(error, 'ENOENT')) return [];", replace: 'return [];', numbers: ['D6'] },
  {
    file: cache,
    find: "    throw new RuntimeError('ERR_POD_IO', `cannot write the CNI result cache",
    replace: "    void new RuntimeError('ERR_POD_IO', `cannot write the CNI result cache",
    numbers: ['D10'],
  },
  // CHECK and STATUS
  { file: list, find: "? 'disabled' : undefined", replace: '? undefined : undefined', numbers: ['C4'] },
  { file: list, find: "stdinFor(network, index, 'CHECK', prev, []", replace: "stdinFor(network, index, 'CHECK', undefined, []", numbers: ['R22'] },
  { file: 'src/effects/attachments.ts', find: '|| undone) return', replace: ') return', numbers: ['R23'] },
  {
    file: list,
    find: "    callPlugin(calleeOf(network, index, services), 'CHECK', input, services);",
    replace: "    try { callPlugin(calleeOf(network, index, services), 'CHECK', input, services); } catch (error) { if (index > 0) throw error; }",
    numbers: ['R24'],
  },
  {
    file: list,
    find: '  let result: CniResult | undefined;\n',
    replace:
      '  let result: CniResult | undefined;\n  if (statusList(network, services).some(({ failure }) => failure !== undefined)) throw new Error();\n',
    numbers: ['R28'],
  },
  // capability arguments
  { file: 'cni-plugins/portmap/conf.ts', find: "'portMappings'", replace: "'portmappings2'", numbers: ['A1'] },
  { file: 'cni-plugins/host-local/conf.ts', find: "'ipRanges'", replace: "'ranges2'", numbers: ['A2'] },
  { file: 'cni-plugins/host-local/conf.ts', find: "args.get('IP')", replace: "args.get('ip')", numbers: ['A12'] },
  {
    file: list,
    find: "    try {\n      callPlugin(calleeOf(network, index, services), 'GC', input, services);\n    } catch (error) {\n      failures",
    replace:
      "    try {\n      callPlugin(calleeOf(network, index, services), 'GC', input, services);\n    } catch (error) {\n      throw error;\n      failures",
    numbers: ['R25'],
  },
  {
    file: invoke,
    find: '  if (outcome.status !== 0) throw',
    replace: '  if (outcome.status !== 0 && parseErrorObject(stdout) !== undefined) throw',
    numbers: ['R40'],
  },
  { file: invoke, find: 'parseErrorObject(stdout) ?? parseErrorObject(stderr)', replace: 'parseErrorObject(stderr)', numbers: ['Z3'] },
  {
    file: request,
    find: '      ? {}\n      : {\n          CNI_CONTAINERID',
    replace: "      ? { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '' }\n      : {\n          CNI_CONTAINERID",
    numbers: ['D8'],
  },
  {
    file: 'cni-plugins/bandwidth/conf.ts',
    find: 'const rates = rateKeys.some((key) => inline.value(key) !== undefined) ?',
    replace: 'const rates = rateKeys.length > 0 ?',
    numbers: ['A3'],
  },
  { file: 'cni-plugins/host-local/conf.ts', find: "'runtimeConfig').texts('ips')", replace: "'runtimeConfig').texts('ip')", numbers: ['A5'] },
  { file: 'cni-plugins/skel/mac.ts', find: "conf.object('runtimeConfig')?.text('mac'), ", replace: '', numbers: ['A6'] },
  { file: 'cni-plugins/host-device/conf.ts', find: "if (deviceId !== '') return", replace: "if (deviceId === 'x') return", numbers: ['A8'] },
  { file: 'cni-plugins/dnsname/conf.ts', find: "?.value('aliases')", replace: "?.value('alias')", numbers: ['A9'] },
  { file: 'cni-plugins/host-local/conf.ts', find: "'args.cni').texts('ips')", replace: "'args.cni').texts('ip')", numbers: ['A11'] },
  {
    file: 'cni-plugins/skel/main.ts',
    find: 'refuseOwnNamespace(req, env);\n      const result = performAndTidy(plugin, req, contextFor(stdin, env, options));',
    replace: 'const result = performAndTidy(plugin, req, contextFor(stdin, env, options));\n      refuseOwnNamespace(req, env);',
    numbers: ['Z11'],
  },
  ...pluginMutants,
];
