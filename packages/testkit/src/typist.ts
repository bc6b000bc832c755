import { compileC } from './compile.ts';

/**
 * @returns the program `typist TEXT COMMAND…`, without libraries: runs the command on a terminal of its own, hands on what it says,
 *   types the text when it asks a question, which ends in `] `, and ends as it does
 */
export function compileTypist(): Uint8Array {
  return compileC(source, ['-static', '-D_GNU_SOURCE'], { link: true });
}

const source = `
#include <pty.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char said[4096];
	int terminal, status, asked = 0;
	ssize_t length;
	pid_t child = forkpty(&terminal, NULL, NULL, NULL);

	if (child < 0)
		return 99;
	if (child == 0) {
		execv(argv[2], argv + 2);
		_exit(98);
	}
	while ((length = read(terminal, said, sizeof(said))) > 0) {
		write(1, said, length);
		if (!asked && memmem(said, length, "] ", 2)) {
			asked = 1;
			write(terminal, argv[1], strlen(argv[1]));
			write(terminal, "\\n", 1);
		}
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}
`;
