/*
 * Options of both programs: name, argument, and one sentence each
 *
 * The only place where an option is declared: getopt, man pages and completion
 * read it.
 */
#pragma once

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

enum {
	OPTIONS_MAX = 32,
	OPTION_CODE = 256 /* of the first option without a letter */
};

/** What stands behind an option; completion offers it */
enum option_takes {
	TAKES_NOTHING,
	TAKES_WORD,
	TAKES_FILE,
	TAKES_FOLDER,
	TAKES_LEVEL,  /* of the log */
	TAKES_COMMAND /* of the shell */
};

struct option_text {
	const char *name;
	char code;  /* what getopt_long gives; 0: OPTION_CODE and its place */
	bool brief; /* `code` is an option of one letter, too */
	enum option_takes takes;
	const char *argument; /* "FILE"; NULL */
	const char *help;
};

/** Ended by a NULL name */
extern const struct option_text sbcd_options[], acli_options[];

/** As getopt_long wants them: the long ones, and the letters in brief */
void options_getopt(struct option known[OPTIONS_MAX], char brief[OPTIONS_MAX],
		    const struct option_text *options);

/** Answer to --help: how the program is called, and a line for each option */
void options_help(FILE *f, const char *usage,
		  const struct option_text *options);
