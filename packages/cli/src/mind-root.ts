import { KstitchError } from '@kstitch/report/error';

/**
 * What is kept for the next boot only root's state folder keeps: that of another user no boot reads.
 *
 * @throws KstitchError - `machine-not-root`
 */
export function mindRoot(
  command: string,
  environment: NodeJS.ProcessEnv = process.env,
  userId: number | undefined = process.geteuid?.(),
): void {
  if (userId !== 0 && (environment['KSTITCH_STATE'] ?? '') === '')
    throw new KstitchError('machine-not-root', `${command}: only root may say what the next boot loads`);
}
