/*
 * Line editor on libedit: keys, history, completion over the socket
 */
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
#include <histedit.h>
#include "cli/line.h"

enum {
	HISTORY_LINES = 500,
	LINE_SIZE = 8192 + 2,
	REPLACEMENT = 0xfffd /* in the place of bytes that are no character */
};

struct line {
	struct line_setup setup;
	EditLine *el;
	History *history;
	const char *prompt;
	char text[LINE_SIZE];
	int err;         /* why reading ended */
	bool tab;        /* the last key was a tab that left a choice */
	mbstate_t state; /* of a character of several bytes */
	bool begun;      /* some of them are read */
	bool has_again;  /* a byte that is looked at once more */
	char again;
};

static volatile sig_atomic_t interrupted;

#ifdef __SANITIZE_ADDRESS__
/* libedit 3.1 never frees the names and sentences of functions added to it */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:wcsdup\n";
}
#endif

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

bool line_interrupted(void)
{
	bool was = interrupted;

	interrupted = 0;
	return was;
}

void line_words_add(struct line_words *words, const char *word)
{
	if (words->n == words->room) {
		size_t room = words->room ? 2 * words->room : 32;
		char **v = realloc(words->v, room * sizeof(*v));

		if (!v)
			return;
		words->v = v;
		words->room = room;
	}
	words->v[words->n] = strdup(word);
	words->n += words->v[words->n] != NULL;
}

static void words_free(struct line_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->v[i]);
	free(words->v);
	memset(words, 0, sizeof(*words));
}

/* --- Keys --------------------------------------------------------------- */

static char *prompt_of(EditLine *el)
{
	struct line *line = NULL;

	el_get(el, EL_CLIENTDATA, &line);
	return (char *)line->prompt;
}

/* What is typed up to the cursor; free(3) */
static char *typed_of(EditLine *el)
{
	const LineInfo *info = el_line(el);

	return strndup(info->buffer, (size_t)(info->cursor - info->buffer));
}

static bool is_quoted(const char *typed)
{
	bool quoted = false;

	for (; *typed; typed++) {
		if (quoted && *typed == '\\' && typed[1])
			typed++;
		else if (*typed == '"')
			quoted = !quoted;
	}
	return quoted;
}

/* The word at the end, as typed */
static const char *last_word(const char *typed)
{
	const char *word = typed;
	bool quoted = false;

	for (; *typed; typed++) {
		if (quoted && *typed == '\\' && typed[1])
			typed++;
		else if (*typed == '"')
			quoted = !quoted;
		else if (!quoted && (*typed == ' ' || *typed == '\t'))
			word = typed + 1;
	}
	return word;
}

/* A name as it is typed: in quotes where it needs them or has them already; those
 * of a folder stay open */
static void file_spell(char *out, size_t size, const char *name, bool quoted)
{
	size_t n = 0;

	quoted = quoted || strpbrk(name, " \t()#?|\"\\");
	if (quoted)
		out[n++] = '"';
	for (const char *p = name; *p && n + 4 < size; p++) {
		if (quoted && (*p == '"' || *p == '\\'))
			out[n++] = '\\';
		out[n++] = *p;
	}
	if (quoted && out[n - 1] != '/')
		out[n++] = '"';
	out[n] = '\0';
}

static void files_add(struct line_words *words, const char *begin)
{
	char pattern[4096], name[2 * 4096];
	bool quoted = *begin == '"';
	size_t n = 0;
	glob_t found;

	for (begin += quoted; *begin && n + 2 < sizeof(pattern); begin++) {
		if (quoted && *begin == '\\' && begin[1])
			begin++;
		pattern[n++] = *begin;
	}
	pattern[n] = '\0';
	if (*begin || strpbrk(pattern, "*?["))
		return;
	strcpy(pattern + n, "*");
	if (!glob(pattern, GLOB_MARK | GLOB_NOESCAPE, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			file_spell(name, sizeof(name), found.gl_pathv[i],
				   quoted);
			line_words_add(words, name);
		}
		globfree(&found);
	}
}

/* Bytes that all words have in common */
static size_t common(const struct line_words *words)
{
	size_t n = strlen(words->v[0]);

	for (size_t i = 1; i < words->n; i++) {
		size_t k = 0;

		while (k < n && words->v[i][k] == words->v[0][k])
			k++;
		n = k;
	}
	return n;
}

static void columns_print(const struct line_words *words)
{
	unsigned height, width, across;
	size_t widest = 0, down;

	for (size_t i = 0; i < words->n; i++)
		if (strlen(words->v[i]) > widest)
			widest = strlen(words->v[i]);
	line_size(&height, &width);
	across = width / (unsigned)(widest + 2);
	if (!across)
		across = 1;
	down = (words->n + across - 1) / across;
	putchar('\n');
	for (size_t row = 0; row < down; row++) {
		for (size_t i = row; i < words->n; i += down)
			printf("%-*s",
			       i + down < words->n ? (int)widest + 2 : 0,
			       words->v[i]);
		putchar('\n');
	}
	fflush(stdout);
}

/* A unique word and a blank; else what they have in common, and at the second
 * tab all of them */
static unsigned char completed(struct line *line, const char *typed,
			       struct line_words *words)
{
	const char *word = last_word(typed);
	size_t have = strlen(word), n;
	bool again = line->tab;
	char *more;

	line->tab = false;
	if (words->files)
		files_add(words, word);
	if (!words->n)
		return CC_ERROR;
	n = common(words);
	/* What was typed needs quotes: it is typed anew with them */
	if (n && *words->v[0] == '"' && *word != '"') {
		el_deletestr(line->el, (int)have);
		have = 0;
	}
	if (n < have || strncmp(words->v[0], word, have)) {
		if (words->n == 1)
			return CC_ERROR;
		n = have; /* some need them, some do not */
	}
	if (n > have || words->n == 1) {
		char *last = words->v[0] + strlen(words->v[0]) - 1;

		more = strndup(words->v[0] + have, n - have);
		if (more && *more)
			el_insertstr(line->el, more);
		free(more);
		if (words->n == 1 && *last != '/')
			el_insertstr(line->el, " ");
		line->tab = words->n > 1;
		return CC_REFRESH;
	}
	if (!again) {
		line->tab = true;
		return CC_ERROR; /* a bell: there are several */
	}
	columns_print(words);
	return CC_REDISPLAY;
}

static unsigned char on_tab(EditLine *el, int key)
{
	struct line_words words = { 0 };
	struct line *line = NULL;
	unsigned char result = CC_ERROR;
	char *typed = typed_of(el);
	(void)key;

	el_get(el, EL_CLIENTDATA, &line);
	if (typed && !line->setup.words(typed, &words, line->setup.arg))
		result = completed(line, typed, &words);
	words_free(&words);
	free(typed);
	return result;
}

static unsigned char on_question(EditLine *el, int key)
{
	struct line *line = NULL;
	char *typed = typed_of(el);
	unsigned char result = CC_REDISPLAY;
	(void)key;

	el_get(el, EL_CLIENTDATA, &line);
	if (typed && is_quoted(typed)) {
		el_insertstr(el, "?");
		result = CC_REFRESH;
	} else if (typed) {
		printf("?\n");
		(void)line->setup.help(typed, line->setup.arg);
		fflush(stdout);
	}
	free(typed);
	return result;
}

/* One character, while the daemon is listened to as well */
static int on_read(EditLine *el, wchar_t *out)
{
	struct line *line = NULL;

	el_get(el, EL_CLIENTDATA, &line);
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = line->setup.daemon, .events = POLLIN },
		};
		size_t n;
		char c;

		if (interrupted) {
			line->err = EINTR;
			return -1;
		}
		if (!line->has_again && poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents) {
			line->err = line->setup.news(line->setup.arg);
			if (line->err)
				return -1;
			el_set(el, EL_REFRESH);
		}
		if (!line->has_again && !fds[0].revents)
			continue;
		if (line->has_again)
			c = line->again;
		else if (read(STDIN_FILENO, &c, 1) != 1)
			return 0;
		line->has_again = false;
		n = mbrtowc(out, &c, 1, &line->state);
		if (n == (size_t)-2) {
			line->begun = true;
			continue;
		}
		if (n == (size_t)-1) {
			/* What is no UTF-8 is seen, and what ended it counts */
			memset(&line->state, 0, sizeof(line->state));
			line->again = c;
			line->has_again = line->begun;
			*out = REPLACEMENT;
		}
		line->begun = false;
		if (c != '\t')
			line->tab = false;
		return 1;
	}
}

/* --- Life --------------------------------------------------------------- */

static void history_begin(struct line *line)
{
	HistEvent event;

	line->history = history_init();
	if (!line->history)
		return;
	history(line->history, &event, H_SETSIZE, HISTORY_LINES);
	history(line->history, &event, H_SETUNIQUE, 1);
	if (line->setup.history)
		history(line->history, &event, H_LOAD, line->setup.history);
	el_set(line->el, EL_HIST, history, line->history);
}

static void keys_bind(EditLine *el)
{
	static const char *const keys[][2] = {
		{ "\t", "sbc-words" },          { "?", "sbc-help" },
		{ "^R", "em-inc-search-prev" }, { "^W", "ed-delete-prev-word" },
		{ "^U", "vi-kill-line-prev" },  { "^L", "ed-clear-screen" },
	};

	el_set(el, EL_EDITOR, "emacs");
	el_set(el, EL_ADDFN, "sbc-words", "Complete a word", on_tab);
	el_set(el, EL_ADDFN, "sbc-help", "What may follow", on_question);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

int line_open(struct line **linep, const struct line_setup *setup)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	struct line *line;

	if (!isatty(STDIN_FILENO))
		return ENOTTY;
	line = calloc(1, sizeof(*line));
	if (!line)
		return ENOMEM;
	line->setup = *setup;
	line->prompt = "";
	line->el = el_init("acli", stdin, stdout, stderr);
	if (!line->el) {
		free(line);
		return ENOMEM;
	}
	el_set(line->el, EL_CLIENTDATA, line);
	el_set(line->el, EL_PROMPT, prompt_of);
	el_set(line->el, EL_SIGNAL, 0);
	keys_bind(line->el);
	el_set(line->el, EL_GETCFN, on_read);
	history_begin(line);
	/* No SA_RESTART: whatever waits comes back */
	sigaction(SIGINT, &action, NULL);
	*linep = line;
	return 0;
}

void line_close(struct line *line)
{
	if (!line)
		return;
	if (line->history)
		history_end(line->history);
	el_end(line->el);
	explicit_bzero(line, sizeof(*line));
	free(line);
}

int line_read(const char **text, struct line *line, const char *prompt)
{
	const char *got;
	int n = 0;

	interrupted = 0;
	line->prompt = prompt;
	line->err = 0;
	line->tab = false;
	/* Before the prompt: a Ctrl-D that comes with it would become no key at
	 * all when the terminal is set behind it */
	el_set(line->el, EL_PREP_TERM, 1);
	got = el_gets(line->el, &n);
	if (line_interrupted() || line->err == EINTR) {
		el_reset(line->el);
		puts("^C");
		return EINTR;
	}
	if (line->err)
		return line->err;
	if (!got || n <= 0) {
		putchar('\n');
		return ENODATA;
	}
	snprintf(line->text, sizeof(line->text), "%.*s",
		 (int)strcspn(got, "\r\n"), got);
	*text = line->text;
	return 0;
}

int line_read_quiet(const char **text, struct line *line, const char *prompt)
{
	struct termios before, quiet;
	bool whole = false;

	interrupted = 0;
	if (tcgetattr(STDIN_FILENO, &before))
		return ENOTTY;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON | ISIG;
	/* Before the prompt: it drops what was typed, and who sees the prompt may
	 * type at once */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fputs(prompt, stdout);
	fflush(stdout);
	for (size_t n = 0; n + 1 < sizeof(line->text);) {
		ssize_t got = read(STDIN_FILENO, &line->text[n], 1);

		if (got <= 0)
			break;
		if (line->text[n] == '\n') {
			line->text[n] = '\0';
			whole = true;
			break;
		}
		n++;
	}
	tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	putchar('\n');
	if (line_interrupted())
		return EINTR;
	*text = line->text;
	return whole ? 0 : ENODATA;
}

/* The file is written each time: a terminal may vanish */
void line_remember(struct line *line, const char *text)
{
	HistEvent event;
	mode_t before;

	if (!line->history || !*text)
		return;
	history(line->history, &event, H_ENTER, text);
	if (!line->setup.history)
		return;
	before = umask(077);
	(void)chmod(line->setup.history, 0600);
	history(line->history, &event, H_SAVE, line->setup.history);
	umask(before);
}

void line_history(struct line *line)
{
	HistEvent event;

	if (!line->history)
		return;
	for (int more = history(line->history, &event, H_LAST); more != -1;
	     more = history(line->history, &event, H_PREV))
		printf("%5d  %.*s\n", event.num, (int)strcspn(event.str, "\n"),
		       event.str);
}

char line_key(void)
{
	struct termios before, raw;
	char c = 0;

	if (tcgetattr(STDIN_FILENO, &before))
		return 0;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	if (read(STDIN_FILENO, &c, 1) != 1)
		c = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return c;
}

void line_size(unsigned *height, unsigned *width)
{
	struct winsize size = { 0 };

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*height = size.ws_row ? size.ws_row : 24;
	*width = size.ws_col ? size.ws_col : 80;
}
