/** The requirements a plugin can be held to from outside, by number. @see cni.md 1.2, 1.4, 1.5, 1.7 */

export interface Requirement {
  readonly number: string;
  readonly text: string;
}

const table = `
P1 exit 0 on success, else non-zero and an error object on stdout
P2 ADD creates or adjusts CNI_IFNAME inside CNI_NETNS
P3 ADD prints a result
P4 a prevResult is passed through or modified
P5 ADD fails when the interface is there already
P6 DEL undoes what ADD did
P7 DEL succeeds without prevResult
P8 DEL completes without namespace, link or resources
P9 DEL may be repeated
P10 CHECK consults prevResult and sees what was taken away
P11 CHECK prints nothing on success
P12 STATUS says whether ADD can be served
P13 ADD does not need STATUS; STATUS reaches the delegate
P14 GC removes what is stale, keeps what is valid, reaches the delegate, prints nothing
P15 containers can be set up at the same time
P16 a delegate is found on CNI_PATH and gets the whole configuration and environment; its stderr comes through
P17 CHECK, DEL and GC run the delegate; its error is the plugin's
P18 a delegate that fails to ADD is asked to DEL
P19 an IPAM result has no interfaces and no interface index
P20 addresses, gateway and routes are the IPAM's, applied by the plugin
P21 the result has the configuration's version, known keys, and CNI_NETNS as sandbox
P22 an error object has code and msg
P23 error codes are the well-known ones, or 100 and above
P24 code 4 names the variables; code 2 the key and value
P25 unknown keys are tolerated or refused by name; unknown args are ignored
P26 what args says wins over CNI_ARGS
P27 works behind any plugin
X1 all missing variables in one code 4 error; invalid ones too
X2 no JSON is code 6; a bad or missing name is code 7
X3 an unreadable version is code 6; an unsupported one is code 1 with details
X4 verbs newer than the configuration's version are code 1
X5 GC and STATUS succeed when there is nothing to do
X6 an unknown command is code 4
X7 without CNI_COMMAND it says what it is
X8 every failure exits 1
X9 CNI_ARGS is K=V pairs; unknown keys are ignored with IgnoreUnknown
X10 keys match in any case
V4 a version it does not support is refused with code 1
V5 a missing cniVersion is an old one
V6 VERSION lists the supported versions
V7 VERSION needs CNI_COMMAND only
V11 each version it lists works, and no other
R8 its own namespace as CNI_NETNS is refused with code 8
R11 an invalid container ID is refused
R13 an invalid interface name is refused
`;

export const requirements: readonly Requirement[] = table
  .trim()
  .split('\n')
  .map((line) => ({ number: line.slice(0, line.indexOf(' ')), text: line.slice(line.indexOf(' ') + 1) }));
