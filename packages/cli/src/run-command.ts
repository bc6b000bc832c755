import { systemWords } from '@kstitch/host/files';
import type { Context } from '@kstitch/report/context';
import { compareDiagnostics, type Diagnostic, Refusal } from '@kstitch/report/diagnostic';
import { KstitchError } from '@kstitch/report/error';
import { ExitStatus } from '@kstitch/report/exit-status';
import { renderDiagnostics, renderError } from '@kstitch/report/render-report';
import { type Look, paint, printable, wrapText } from '@kstitch/report/render-text';
import { debugLines, toKstitchError } from './failure.ts';
import { type Machine, thisProcess } from './machine.ts';
import { isBrokenPipe, lookOf, progressModeOf, type Stream, writeAll } from './terminal.ts';
import { TerminalProgress } from './terminal-progress.ts';
import { renderTimings, reportTimings, type TimingReport } from './timings.ts';

/** The options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly timing?: boolean;
  readonly debug?: boolean;
}

/** What a command hands back. */
export interface Outcome {
  /** Its fields of the `--json` object: plain data, no key `schema`, `diagnostics`, `error` or `timing`. */
  readonly json: Readonly<Record<string, unknown>>;
  /** What it prints without `--json`; ends with a line break unless empty. */
  readonly text: (look: Look) => string;
  /** 0 when left out: for a result that is complete and yet no success, such as a proof that failed. */
  readonly status?: ExitStatus;
}

/** What a command may ask of the person at the terminal. */
export interface Shell {
  readonly interactive: boolean;
  /** @returns whether the answer begins with `y`; no answer is no */
  ask(question: string): Promise<boolean>;
  /** @returns whether the answer is `word` itself, for what cannot be taken back */
  confirmWith(word: string, question: string): Promise<boolean>;
}

export type Work = (context: Context, shell: Shell) => Promise<Outcome>;

/**
 * The frame around every command: progress, signals, the result or the error as text or JSON, the exit status.
 *
 * @param command - the command's words, as in `kernel fetch`; `--json` says `kstitch/kernel-fetch/1`
 * @param work - what the command does; it prints nothing itself
 * @returns the exit status; everything is written by then
 */
export async function runCommand(
  command: string,
  options: CommonOptions,
  work: Work,
  machine: Machine = thisProcess(),
): Promise<ExitStatus> {
  for (const stream of [machine.stdout, machine.stderr]) stream.on('error', ignoreBrokenPipe);
  const errorLook = (): Look => lookOf(machine.stderr, machine.env);
  const progress = new TerminalProgress({
    mode: options.quiet === true ? 'silent' : progressModeOf(machine.stderr, machine.env),
    write: text => void machine.stderr.write(text),
    look: errorLook,
    startedAt: machine.startedAt,
    rows: () => machine.stderr.rows ?? 24,
  });
  const diagnostics: Diagnostic[] = [];
  const controller = new AbortController();
  const forgetSignals = machine.onSignal(name => {
    // Who asks a second time does not want to wait for the clean-up.
    if (controller.signal.aborted) machine.exit(ExitStatus.interrupted);
    controller.abort(new KstitchError('interrupted', `stopped by ${name}`));
    progress.note('stopping and cleaning up; once more ends at once');
  });
  // Names of modules and patches stand in questions.
  const answer = (question: string): Promise<string> =>
    progress.suspend(() => machine.readLine(printable(question), controller.signal));
  const shell: Shell = {
    interactive: machine.interactive && options.json !== true,
    ask: async question => /^\s*y/i.test(await answer(`${question} [y/N] `)),
    confirmWith: async (word, question) => (await answer(`${question} [type '${word}'] `)).trim() === word,
  };

  let outcome: Outcome | undefined;
  let failure: KstitchError | undefined;
  try {
    outcome = await work({ progress, signal: controller.signal, diagnostics }, shell);
  } catch (error) {
    failure = toKstitchError(error, controller.signal);
  }
  progress.close();

  const timing = options.timing === true ? reportTimings(progress.steps, progress.elapsed()) : undefined;
  const report: Report = { command, outcome, failure, diagnostics, timing };
  try {
    if (options.json === true) await writeJson(machine.stdout, report);
    else await writeText(machine, report);
  } catch (error) {
    failure = new KstitchError(
      'output-failed',
      `write the result to standard output: ${systemWords(error)}`,
      {
        cause: error,
      },
    );
    await writeAll(machine.stderr, lines(renderError(failure, errorLook()))).catch(() => {});
  }
  if (options.debug === true && failure !== undefined)
    await writeAll(machine.stderr, lines(debugLines(failure)));
  forgetSignals();
  return failure?.exitStatus ?? outcome?.status ?? ExitStatus.done;
}

interface Report {
  readonly command: string;
  readonly outcome: Outcome | undefined;
  readonly failure: KstitchError | undefined;
  readonly diagnostics: readonly Diagnostic[];
  readonly timing: TimingReport | undefined;
}

/** One object, whatever happened. The names in it are the interface that scripts rely on. */
async function writeJson(stdout: Stream, report: Report): Promise<void> {
  const { failure } = report;
  const findings = [...report.diagnostics, ...(failure instanceof Refusal ? failure.diagnostics : [])];
  const object = {
    schema: `kstitch/${report.command.replaceAll(' ', '-')}/1`,
    ...report.outcome?.json,
    ...(failure === undefined
      ? {}
      : {
          error: {
            code: failure.code,
            message: failure.message,
            notes: failure.notes,
            help: failure.help,
            exitStatus: failure.exitStatus,
          },
        }),
    diagnostics: findings.toSorted(compareDiagnostics),
    ...(report.timing === undefined ? {} : { timing: report.timing }),
  };
  await writeAll(stdout, `${escapeControls(JSON.stringify(object, undefined, 2))}\n`);
}

/** JSON.stringify() leaves those of Latin-1 as they are, and a terminal may take U+009B for the beginning of a sequence. */
function escapeControls(json: string): string {
  return json.replaceAll(/[\x7f-\x9f]/g, character => `\\u00${character.charCodeAt(0).toString(16)}`);
}

/** Findings before the result, the result on standard output, the error and the times last on standard error. */
async function writeText(machine: Machine, report: Report): Promise<void> {
  const errorLook = lookOf(machine.stderr, machine.env);
  const findings = renderDiagnostics(report.diagnostics.toSorted(compareDiagnostics), errorLook);
  if (findings.length > 0) await writeAll(machine.stderr, `${lines(findings)}\n`);
  const text = report.outcome?.text(resultLook(machine)) ?? '';
  if (text !== '') await writeAll(machine.stdout, text);
  if (report.failure !== undefined)
    await writeAll(machine.stderr, lines(renderError(report.failure, errorLook)));
  if (report.timing !== undefined)
    await writeAll(machine.stderr, `\n${lines(renderTimings(report.timing, errorLook))}`);
}

/** Who reads a result from a pipe or a file wants each fact on one line, however long. */
function resultLook({ stdout, env }: Machine): Look {
  const look = lookOf(stdout, env);
  return stdout.isTTY === true ? look : { ...look, columns: Number.POSITIVE_INFINITY };
}

/** @returns `label: value` lines, the values in one column; an empty table is an empty text */
export function fields(look: Look, rows: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(0, ...rows.map(([label]) => label.length)) + 1;
  return lines(
    rows.flatMap(([label, value]) => {
      const head = `${label}:`.padEnd(width);
      const [first = '', ...rest] = wrapText(printable(value), look.columns, `${head} `);
      return [paint(look, 'dim', head) + first.slice(head.length), ...rest];
    }),
  );
}

/** @returns the title with an indented line for each item; nothing where there is none */
export function section(look: Look, title: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  return lines([
    `${paint(look, 'bold', printable(title))}:`,
    ...items.flatMap(item => wrapText(printable(item), look.columns, '  ')),
  ]);
}

/** @returns the parts that are not empty, an empty line between them */
export function paragraphs(parts: readonly string[]): string {
  return parts.filter(part => part !== '').join('\n');
}

/** @returns the lines, each with a line break */
export function lines(list: readonly string[]): string {
  return list.map(line => `${line}\n`).join('');
}

function ignoreBrokenPipe(error: Error): void {
  // Other failures reach the writer through its callback.
  if (isBrokenPipe(error)) return;
}
