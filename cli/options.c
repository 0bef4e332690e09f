/*
 * Options of both programs: name, argument, and one sentence each
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>
#include "cli/options.h"

/* clang-format off */
const struct option_text sbcd_options[] = {
	{ "config",        0, false, TAKES_FILE,    "FILE",  "Read, verify, save and activate this configuration, YAML or ACLI text, then run it" },
	{ "db",            0, false, TAKES_FILE,    "FILE",  "Database; without --config what was activated last runs. Default /var/lib/sbc/sbc.db" },
	{ "socket",        0, false, TAKES_FILE,    "PATH",  "Control socket for acli. Default /run/sbc/acli.sock" },
	{ "log-level",     0, false, TAKES_LEVEL,   "LEVEL", "Level of all components, instead of process-log-level and log-levels" },
	{ "verify",        0, false, TAKES_FILE,    "FILE",  "Check a configuration and end; needs no database, no privileges and no network" },
	{ "json",          0, false, TAKES_NOTHING, NULL,    "With --verify: one JSON document instead of text" },
	{ "strict",        0, false, TAKES_NOTHING, NULL,    "With --verify: a WARNING counts, too" },
	{ "host",          0, false, TAKES_NOTHING, NULL,    "With --verify: also the rules that look at files, addresses and rights of this machine" },
	{ "dns",           0, false, TAKES_NOTHING, NULL,    "With --verify: also the rules that ask DNS, 2 s for a question, 10 s for all" },
	{ "manual",        0, false, TAKES_NOTHING, NULL,    "Print the reference of one ELEMENT, or of all and the rules of verify" },
	{ "plugin-dir",    0, false, TAKES_FOLDER,  "DIR",   "Folder below which authentication plug-ins must lie. Default /usr/lib/sbcd/plugins" },
	{ "allow-modules", 0, false, TAKES_NOTHING, NULL,    "Plug-ins of type module may be loaded" },
	{ "node-id",       0, false, TAKES_WORD,    "N",     "Number of this machine in flow tokens, 0-255. Default 0" },
	{ "version",       0, false, TAKES_NOTHING, NULL,    "Print name and version" },
	{ "help",          0, false, TAKES_NOTHING, NULL,    "Print how the program is called" },
	{ NULL },
};

const struct option_text acli_options[] = {
	{ "socket",        's', false, TAKES_FILE,    "PATH",    "Control socket of the daemon. Default /run/sbc/acli.sock" },
	{ "offline",       'o', false, TAKES_NOTHING, NULL,      "Without daemon, on the database that --db names" },
	{ "db",            'd', false, TAKES_FILE,    "FILE",    "Database for --offline; one that a daemon uses can only be read" },
	{ "command",       'c', true,  TAKES_COMMAND, "COMMAND", "Run this command; may be repeated, one connection for all" },
	{ "file",          'f', true,  TAKES_FILE,    "SCRIPT",  "Run the lines of a file; - is standard input. A line that begins with # is a comment" },
	{ "user",          'u', false, TAKES_NOTHING, NULL,      "Stay in user mode; else a batch starts in the highest mode that the role allows" },
	{ "json",          'j', false, TAKES_NOTHING, NULL,      "As if every show ended in | json" },
	{ "yes",           'y', false, TAKES_NOTHING, NULL,      "Answer yes to every question; without it a question in a batch is an error" },
	{ "keep-going",    'k', false, TAKES_NOTHING, NULL,      "Go on after a line that failed; without it the first failure ends the run" },
	{ "password-file", 'p', false, TAKES_FILE,    "FILE",    "Superuser password; the file has to be your own, and of mode 0600" },
	{ "timeout",       't', false, TAKES_WORD,    "S",       "Longest silence of the daemon in seconds. Default 30" },
	{ "version",       'v', false, TAKES_NOTHING, NULL,    "Print name and version" },
	{ "help",          'h', false, TAKES_NOTHING, NULL,    "Print how the program is called" },
	{ NULL },
};
/* clang-format on */

void options_getopt(struct option known[OPTIONS_MAX], char brief[OPTIONS_MAX],
		    const struct option_text *options)
{
	size_t i, n = 0;

	memset(known, 0, OPTIONS_MAX * sizeof(*known));
	for (i = 0; options[i].name; i++) {
		assert(i + 1 < OPTIONS_MAX && n + 3 < OPTIONS_MAX);
		known[i].name = options[i].name;
		known[i].has_arg =
			options[i].argument ? required_argument : no_argument;
		known[i].val = options[i].code ? options[i].code
					       : OPTION_CODE + (int)i;
		if (!options[i].brief)
			continue;
		brief[n++] = options[i].code;
		if (options[i].argument)
			brief[n++] = ':';
	}
	brief[n] = '\0';
}

void options_help(FILE *f, const char *usage, const struct option_text *options)
{
	char name[64];

	fprintf(f, "%s\n", usage);
	for (; options->name; options++) {
		(void)snprintf(name, sizeof(name), "%s%.1s%s--%s%s%s",
			       options->brief ? "-" : "",
			       options->brief ? &options->code : "",
			       options->brief ? ", " : "", options->name,
			       options->argument ? " " : "",
			       options->argument ? options->argument : "");
		fprintf(f, "  %-24s %s\n", name, options->help);
	}
}
