// Claims and releases elements from a process of its own. argv: dist directory, repository, worker number, rounds. Prints what failed.
const [, , dist, root, worker, rounds] = process.argv;
globalThis.__DIST__ = dist;
const { claim, release, removeTableIfUnused } = await import(`${root}/src/host/nftables/table.ts`);
const { attachmentText, masqueradeElements, setNames } = await import(`${root}/src/model/ruleset.ts`);
const { parseCidr } = await import(`${root}/src/model/cidr.ts`);
for (let round = 0; round < Number(rounds); round++) {
  const key = { network: 'race', containerId: `w${worker}-${round}`, ifName: 'eth0' };
  const text = attachmentText(key);
  claim(masqueradeElements(key, [parseCidr(`10.${worker}.${round >> 8}.${round & 255}/16`)]));
  const gone = release({ sets: setNames, hint: text, selects: (comment) => comment === text }).length;
  if (gone !== 1) console.log(`round ${round}: ${gone} of 1 element was there`);
  removeTableIfUnused();
}
