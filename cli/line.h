/*
 * Line editor on libedit: keys, history, completion over the socket
 *
 * The one file that knows libedit. Tab and the question mark ask whoever opened
 * the editor, who asks the daemon (acli.md 1.5).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct line;

/** Words that may follow */
struct line_words {
	char **v;
	size_t n, room;
	bool files; /* names of files too */
};

/** Add a word. Out of memory loses it */
void line_words_add(struct line_words *words, const char *word);

struct line_setup {
	int daemon;          /* becomes readable when there is news */
	const char *history; /* file, mode 0600; NULL: none */
	/** Words for what is typed; 0 or errno */
	int (*words)(const char *typed, struct line_words *out, void *arg);
	/** Print help for what is typed; 0 or errno */
	int (*help)(const char *typed, void *arg);
	/** Something came from the daemon while a line was typed. 0; else reading
	 *  ends with this errno */
	int (*news)(void *arg);
	void *arg;
};

/**
 * Open the editor on standard input and output
 *
 * @return 0; ENOMEM; ENOTTY
 */
int line_open(struct line **linep, const struct line_setup *setup);

/** Write the history and close; NULL is fine */
void line_close(struct line *line);

/**
 * Read a line
 *
 * @param text    Set to the line without its end; valid until the next call
 * @param line    Editor
 * @param prompt  Printed in front
 *
 * @return 0; ENODATA Ctrl-D on an empty line; EINTR Ctrl-C; errno of news
 */
int line_read(const char **text, struct line *line, const char *prompt);

/** Read a line that is not to be seen, as line_read */
int line_read_quiet(const char **text, struct line *line, const char *prompt);

/** Keep a line in the history, and write that to its file */
void line_remember(struct line *line, const char *text);

/** Print the history, numbered */
void line_history(struct line *line);

/** Has Ctrl-C been pressed since the last call? */
bool line_interrupted(void);

/** Read one key at once, without echo; 0 at the end */
char line_key(void);

/** Size of the terminal in lines and columns */
void line_size(unsigned *height, unsigned *width);
