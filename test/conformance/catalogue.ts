/** Every requirement by number, and why some have no test. @see cni.md 1, 2.3b */

const table = `
C1 a configuration is one JSON object with cniVersion
C2 cniVersions lists what the configuration supports
C3 the grammar of network names
C4 disableCheck: CHECK is not called, and succeeds
C5 disableGC: GC is not called
C6 plugins of other sources are appended
C7 loadOnlyInlinedPlugins ignores them, and needs plugins
C8 where the specification contradicts itself about it: as libcni
C9 aggregated plugins belong to one network, are valid, are called
C10 type is required, without path characters
C11 unknown fields pass unchanged
C12 reserved keys are the runtime's
C13 ipMasq, ipam, dns keep their meaning
C14 the format is compatible within 1.x
C15 single-plugin configurations
V1 the highest common version
V2 what plugins support counts
V3 the version is in every request
V4 an unsupported version is code 1
V5 a missing version
V6 VERSION: stdin and answer
V7 VERSION needs CNI_COMMAND only
V8 code 1 may be answered with a lower version
V9 no VERSION is 0.1.0
V10 answers without a list
V11 versions are compared as text
V12 verbs and prevResult by version
V13 the grammar of versions
K1 0.1.0 and 0.2.0
K2 0.2.0 to later
K3 0.3.0 to 0.4.0
K4 0.4.0 to 1.x
K5 1.x to 0.4.0
K6 later to 0.2.0
K7 1.0.0 and 1.1.0
K8 missing version, null, no object
K9 empty dns
K10 interface index
K11 prevResult in the version of the configuration
K12 routes
K13 host bits
R1 namespace before plugins
R2 nothing parallel for one container
R3 GC is exclusive
R4 every ADD is followed by DEL
R5 DEL may be repeated
R6 the configuration of ADD is that of DEL
R7 the runtime removes the namespace
R8 plugins run in the host's namespace
R9 environment, stdin, stdout, stderr
R10 commands
R11 container IDs
R12 CNI_NETNS
R13 interface names
R14 CNI_ARGS
R15 CNI_PATH
R16 variables by verb
R17 one ADD for one attachment
R18 ADD in order with prevResult
R19 the result is stored
R20 DEL in reverse with the final result
R21 prevResult on DEL
R22 CHECK with the final result
R23 CHECK of attached containers only
R24 CHECK stops at the first error
R25 GC goes on past errors
R26 valid attachments
R27 GC is no substitute for DEL
R28 STATUS is informational
R29 cniVersion and name are set
R30 runtimeConfig is the intersection
R31 no prevResult for the first ADD
R32 no capabilities in requests
R33 cni.dev/ keys are not passed through
R34 args may be passed
R35 CNI_ARGS to all plugins
R36 executables are searched in order
R37 conventions
R38 code 11 is tried again
R39 code 3 needs no DEL
R40 the exit status decides
A1 portMappings
A2 ipRanges
A3 bandwidth
A4 dns
A5 ips
A6 mac
A7 infinibandGUID
A8 deviceID
A9 aliases
A10 cgroupPath
A11 args.cni.labels, args.cni.ips
A12 CNI_ARGS IP, GATEWAY, MAC
P1 exit status and error object
P2 the interface is made
P3 a result is printed
P4 prevResult passes through
P5 an existing interface is an error
P6 DEL undoes
P7 DEL without prevResult
P8 DEL without anything
P9 repeated DEL
P10 CHECK
P11 CHECK is silent
P12 STATUS
P13 STATUS and delegates
P14 GC
P15 concurrency
P16 delegation
P17 delegates on CHECK, DEL, GC
P18 DEL of a failed delegate
P19 IPAM results
P20 IPAM decides
P21 the keys of results
P22 the error object
P23 error codes
P24 messages of codes 2 and 4
P25 unknown fields and args
P26 args above CNI_ARGS
P27 chained on anything
X1 missing variables
X2 stdin
X3 versions
X4 verbs by version
X5 nothing to do is success
X6 unknown commands
X7 about
X8 exit 1
X9 CNI_ARGS
X10 keys in any case
Z1 loadOnlyInlinedPlugins: as libcni
Z2 six commands
Z3 errors on stdout, else stderr is told
Z4 runtimeConfig: the intersection
Z5 capabilities are dropped
Z6 valid attachments by both names
Z7 the selected version, not 1.1.0
Z8 the grammar of container IDs
Z9 DEL goes on past errors
Z10 DEL with the configuration of ADD
Z11 own namespace before the work
D1 capabilities are dropped
D2 names are checked for every verb
D3 DEL goes on past errors
D4 DEL after a failed ADD
D5 a record before ADD
D6 GC and errors of the cache
D7 GC without a list
D8 no empty variables
D9 versions that plugins support
D10 a result that cannot be kept
`;

export const catalogue: readonly { readonly number: string; readonly text: string }[] = table
  .trim()
  .split('\n')
  .map((line) => ({ number: line.slice(0, line.indexOf(' ')), text: line.slice(line.indexOf(' ') + 1) }));

/** How many there are of each kind: what the specification's digest counts. */
export const counts: Readonly<Record<string, number>> = { C: 15, V: 13, K: 13, R: 40, A: 12, P: 27, X: 10, Z: 11, D: 10 };

export const notApplicable: Readonly<Record<string, string>> = {
  V8: 'a MAY: rkt asks for the versions first where a list leaves a choice (V2), so that code 1 is final',
  A4: 'only the Windows plugins take dns as a capability',
  A7: 'only ib-sriov takes infinibandGUID: no plugin of ours',
  A10: 'no plugin reads cgroupPath, the reference’s neither',
};

/** Tests elsewhere that prove a number: each must exist and pass. */
export const elsewhere: readonly { readonly numbers: readonly string[]; readonly file: string; readonly title: string }[] = [
  {
    numbers: ['C13'],
    file: 'test/netns/plugins/interface-edges.test.ts',
    title: 'dns of the configuration is found in any case (X10) and replaces IPAM’s',
  },
  { numbers: ['Z11'], file: 'test/netns/plugins/skel.test.ts', title: 'Z11: its own namespace, before anything is done; unless it is meant (R8)' },
  { numbers: ['R17'], file: 'test/netns/plugins/interface-edges.test.ts', title: 'a second ADD without DEL (R17) fails and leaves the first whole' },
];
