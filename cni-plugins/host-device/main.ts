import { plugin as hostLocal } from '../host-local/plugin.ts';
import { runAsExecutable } from '../skel/main.ts';
import { plugin } from './plugin.ts';

runAsExecutable(plugin, { ipam: [hostLocal] });
