/** What rkt is measured against: crun with a CNI script on Debian's plugins, and podman. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A directory with a bundle for crun, a conflist, and the script that does what rkt does. */
export function makeCrunPeer(dir: string, busyboxRootfs: string): { script: string } {
  const bundle = join(dir, 'bundle');
  mkdirSync(bundle, { recursive: true });
  execFileSync('crun', ['spec'], { cwd: bundle });
  const spec = JSON.parse(execFileSync('cat', [join(bundle, 'config.json')], { encoding: 'utf8' })) as {
    process: { terminal: boolean; rlimits?: unknown; args: string[] };
    root: object;
  };
  spec.process.terminal = false;
  delete spec.process.rlimits;
  spec.process.args = ['/bin/echo', 'hi'];
  spec.root = { path: busyboxRootfs, readonly: true };
  writeFileSync(join(bundle, 'template.json'), JSON.stringify(spec));
  const conf = {
    cniVersion: '1.0.0',
    name: 'peer',
    type: 'bridge',
    bridge: 'peer0',
    isGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.77.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }], dataDir: join(dir, 'leases') },
  };
  writeFileSync(join(dir, 'conf.json'), JSON.stringify(conf));
  const script = join(dir, 'run.sh');
  // crun refuses hybrid cgroup hosts, hence the private mount namespace (rkt's supervisor does the same).
  writeFileSync(
    script,
    `#!/bin/bash
set -e
id=p$$
ip netns add $id
export CNI_CONTAINERID=$id CNI_NETNS=/run/netns/$id CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni
CNI_COMMAND=ADD /usr/lib/cni/bridge < ${dir}/conf.json > /dev/null
mkdir ${dir}/$id
sed 's#"type":"network"#"type":"network","path":"/run/netns/'$id'"#' ${bundle}/template.json > ${dir}/$id/config.json
unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root ${dir}/crun run --bundle ${dir}/'$id' '$id
[ "$1" = exit ] && exit 0
CNI_COMMAND=DEL /usr/lib/cni/bridge < ${dir}/conf.json
ip netns del $id
rm -r ${dir}/$id
`,
  );
  chmodSync(script, 0o755);
  return { script };
}
