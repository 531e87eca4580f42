/** An IPAM that hands out addresses of its own, keeps a lease file each, and writes down what it was asked. */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { recorderType } from './subjects.ts';

/** One request it heard. */
export interface Heard {
  readonly command: string;
  readonly containerId: string;
  readonly ifName: string;
  readonly netns: string;
  readonly path: string;
  readonly args: string;
  readonly stdin: string;
}

/** What it hands out, besides an address of 10.87.0.0/16 by the number at the end of the container ID. */
export const recorderGateway = '10.87.0.1';
export const recorderRoute = '192.0.2.0/24';
export const recorderNoise = 'conform-ipam was here';
export const recorderError = 117;
export const addressOfPod = (n: number): string => `10.87.${((n % 200) + 2) >> 8}.${((n % 200) + 2) & 255}/16`;

const script = (dir: string): string => `#!/bin/sh
conf=$(cat)
n=$(printf '%s' "$CNI_CONTAINERID" | sed 's/.*[^0-9]//'); n=\${n:-0}
log=$(mktemp ${dir}/heard/$(date +%s%N).XXXXXX)
printf '%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s' "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_IFNAME" "$CNI_NETNS" "$CNI_PATH" "$CNI_ARGS" "$conf" > $log
echo '${recorderNoise}' >&2
version=$(printf '%s' "$conf" | grep -io '"cniVersion" *: *"[^"]*"' | tail -n 1 | sed 's/.*"\\([^"]*\\)"$/\\1/')
if [ "$CNI_COMMAND" = VERSION ]; then
  echo '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}'
  exit 0
fi
lease=${dir}/leases/$CNI_CONTAINERID:$CNI_IFNAME
[ "$CNI_COMMAND" = DEL ] && rm -f "$lease"
if [ -e ${dir}/fail-$CNI_COMMAND ]; then
  echo '{"code":${recorderError},"msg":"the delegate was told to fail"}'
  exit 1
fi
case $CNI_COMMAND in
  ADD)
    : > "$lease"
    n=$((n % 200 + 2))
    ip=10.87.$((n / 256)).$((n % 256))/16
    routes='[{"dst":"0.0.0.0/0","gw":"${recorderGateway}"},{"dst":"${recorderRoute}","gw":"${recorderGateway}"}]'
    case $version in
      0.1.0|0.2.0|'') echo '{"cniVersion":"'\${version:-0.1.0}'","ip4":{"ip":"'$ip'","gateway":"${recorderGateway}","routes":'$routes'},"dns":{}}' ;;
      0.*) echo '{"cniVersion":"'$version'","ips":[{"version":"4","address":"'$ip'","gateway":"${recorderGateway}"}],"routes":'$routes',"dns":{}}' ;;
      *) echo '{"cniVersion":"'$version'","ips":[{"address":"'$ip'","gateway":"${recorderGateway}"}],"routes":'$routes'}' ;;
    esac ;;
  CHECK) [ -e "$lease" ] || { echo '{"code":118,"msg":"no lease"}'; exit 1; } ;;
  GC) rm -f ${dir}/leases/gc-* ;;
esac
exit 0
`;

export class Recorder {
  /** to be put on CNI_PATH */
  readonly path: string;
  readonly #dir: string;

  /** @param dir - of its own, on the throw-away host */
  constructor(dir: string) {
    this.#dir = dir;
    this.path = join(dir, 'bin');
    for (const name of ['bin', 'heard', 'leases']) mkdirSync(join(dir, name), { recursive: true });
    writeFileSync(join(this.path, recorderType), script(dir), { mode: 0o755 });
  }

  /** What it heard since the last time it was asked, oldest first. */
  heard(): Heard[] {
    const folder = join(this.#dir, 'heard');
    return readdirSync(folder)
      .sort()
      .map((name) => {
        const file = join(folder, name);
        const [command = '', containerId = '', ifName = '', netns = '', path = '', args = '', ...rest] = readFileSync(file, 'utf8').split('\n');
        rmSync(file);
        return { command, containerId, ifName, netns, path, args, stdin: rest.join('\n') };
      });
  }

  /** `container:ifname` of each lease it gave and did not get back. */
  leases(): string[] {
    return readdirSync(join(this.#dir, 'leases')).sort();
  }

  /** Runs `work` while every `command` fails. */
  failing<T>(command: string, work: () => T): T {
    const mark = join(this.#dir, `fail-${command}`);
    writeFileSync(mark, '');
    try {
      return work();
    } finally {
      rmSync(mark);
    }
  }
}
