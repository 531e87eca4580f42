import { plugin as dhcp } from '../dhcp/plugin.ts';
import { plugin as hostLocal } from '../host-local/plugin.ts';
import { runAsExecutable } from '../skel/main.ts';
import { plugin as staticAddresses } from '../static/plugin.ts';
import { plugin } from './plugin.ts';

runAsExecutable(plugin, { ipam: [hostLocal, staticAddresses, dhcp] });
