import type { Option } from 'commander';
import { type CommandHelp, describeOption } from './command-help.ts';

/** An argument that is a name of sysfs: what is loaded. Everything else may be a file. */
const loadedNames = '/sys/kernel/livepatch';

/** For `_completion_loader` of bash-completion, and for `source`: bash alone is enough. */
export function writeBashCompletion(help: readonly CommandHelp[]): string {
  const cases = help.map(command => {
    const { words, commands } = command;
    const names = [...commands, ...command.options.flatMap(flagsOf), '--help'];
    const values = command.options.filter(takesValue).flatMap(flagsOf);
    return `    '${words}')
      words='${names.join(' ')}'
      values='${values.join(' ')}'
      names=${takesLoadedName(command) ? loadedNames : "''"}
      ;;`;
  });
  return `# bash completion for kstitch, made from its own help.
_kstitch() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' words values names index word
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case "\${command:+$command }$word" in
${help
  .filter(({ words }) => words !== '')
  .map(({ words }) => `      '${words}') command='${words}' ;;`)
  .join('\n')}
    esac
  done
  case "$command" in
${cases.join('\n')}
  esac
  COMPREPLY=()
  # The value of an option is the user's own, or a file.
  case " $values " in
    *" $previous "*) compopt -o default; return ;;
  esac
  if [[ $current == -* || $words == [a-z]* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  elif [[ -n $names ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(ls "$names" 2>/dev/null)" -- "$current")
  else
    compopt -o default
  fi
}
complete -F _kstitch kstitch
`;
}

/** An autoloaded function of zsh's compsys. */
export function writeZshCompletion(help: readonly CommandHelp[]): string {
  const cases = help.map(command => {
    const specifications = [
      ...command.options.map(optionSpecification),
      `'(-h --help)'{-h,--help}'[show this help]'`,
      ...(command.commands.length > 0
        ? [
            `'1:command:((${command.commands.map(name => describeCommand(help, command.words, name)).join(' ')}))'`,
            `'*::argument:->below'`,
          ]
        : [takesLoadedName(command) ? `'*:livepatch:_path_files -W ${loadedNames} -/'` : `'*:file:_files'`]),
    ];
    return `    '${command.words}')
      _arguments -C ${specifications.join(' \\\n        ')} && return
      ;;`;
  });
  return `#compdef kstitch
# zsh completion for kstitch, made from its own help.
_kstitch() {
  local curcontext="$curcontext" state line
  case "$1" in
${cases.join('\n')}
    *) return 1 ;;
  esac
  # The words of the command below have become the whole line.
  [[ $state == below ]] && _kstitch "\${1:+$1 }$line[1]"
}
_kstitch ''
`;
}

function optionSpecification(option: Option): string {
  const flags = flagsOf(option);
  const text = quote(`[${describeOption(option).replaceAll(/[[\]:]/g, '\\\\$&')}]`);
  const value = takesValue(option) ? quote(`:${valueName(option)}:_files`) : '';
  return flags.length > 1
    ? `${quote(`(${flags.join(' ')})`)}{${flags.join(',')}}${text}${value}`
    : `${flags[0] ?? ''}${text}${value}`;
}

function describeCommand(help: readonly CommandHelp[], words: string, name: string): string {
  const below = help.find(command => command.words === (words === '' ? name : `${words} ${name}`));
  return `${name}\\:"${(below?.summary ?? '').replaceAll(/["`$\\]/g, '').replaceAll("'", '')}"`;
}

function flagsOf({ short, long }: Option): string[] {
  return [short, long].filter(flag => flag !== undefined && flag !== null);
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function valueName({ flags }: Option): string {
  return /[<[](?<name>[^>\]]+)/.exec(flags)?.groups?.['name'] ?? 'value';
}

/** `unload NAME`: of what is loaded, no file. */
function takesLoadedName({ arguments: [first] }: CommandHelp): boolean {
  return first?.name() === 'name';
}

/** One word of a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
