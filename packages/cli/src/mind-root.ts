import { isStateOfMachine } from '@kstitch/host/state-directory';
import { KstitchError } from '@kstitch/report/error';

/** What only root may, by command. */
const deeds = {
  load: 'load modules',
  unload: 'take a livepatch out of the kernel',
  'reload-target': 'load modules',
  install: 'say what the next boot loads',
  uninstall: 'say what the next boot loads',
  boot: 'see what is installed',
  history: 'read the journal',
} as const;

/**
 * Says before anything else what others may not: the state folder that they have is their own, which no boot reads and no livepatch
 * is loaded from.
 *
 * @throws KstitchError - `machine-not-root`
 */
export function mindRoot(
  command: keyof typeof deeds,
  environment: NodeJS.ProcessEnv = process.env,
  userId: number | undefined = process.geteuid?.(),
): void {
  if (!isStateOfMachine(environment, userId))
    throw new KstitchError('machine-not-root', `${command}: only root may ${deeds[command]}`);
}
