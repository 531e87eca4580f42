'use strict';
/**
 * dist/rkt and dist/cni/* without their first line: runs bundles of lib/ from V8's code cache, which saves half of their loading
 * time. The build puts the entry bundle's name and the path of dist in.
 * A cache belongs to one V8 version; another version, or none, means that the bundle is compiled as usual.
 */
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const dist = path.join(__dirname, '__DIST__');
const lib = `${dist}/lib`;
const cacheOf = (name) => `${lib}/${name}.${process.versions.v8}.cache`;

function scriptOf(name) {
  const filename = `${lib}/${name}`;
  let cachedData;
  try {
    cachedData = fs.readFileSync(cacheOf(name));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  // esbuild writes ASCII; read as one byte a character it is one copy, and V8 keeps it as it is.
  return new vm.Script(fs.readFileSync(filename, 'latin1'), { filename, cachedData });
}

const loaded = new Map();
function load(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  loaded.set(name, module);
  module.script = scriptOf(name);
  module.script.runInThisContext()(module.exports, requireFrom, module, `${lib}/${name}`, lib);
  return module.exports;
}
function requireFrom(id) {
  return id.startsWith('./') && id.endsWith('.cjs') ? load(id.slice(2)) : require(id);
}

/**
 * `rkt --make-code-cache ARGS…` (the build; likewise a plugin): does what `rkt ARGS…` does, but stops short of becoming another program, and
 * keeps what was compiled on the way. A command that ran has its functions in the cache, not only its declarations.
 */
if (process.argv[2] === '--make-code-cache') {
  process.argv.splice(2, 1);
  require(`${dist}/linux.node`).execve = () => process.exit(0);
  process.on('exit', () => {
    for (const [name, { script }] of loaded) fs.writeFileSync(cacheOf(name), script.createCachedData());
  });
}
load('__ENTRY__');
