import { runAsExecutable } from '../skel/main.ts';
import { plugin } from './plugin.ts';

runAsExecutable(plugin);
