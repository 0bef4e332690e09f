/*
 * The shell: options, answers, batch, an operator at his terminal
 *
 * A thin client: it sends lines and prints what comes back. Batch use, options
 * and exit status: acli.md 1.10.
 */
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/client.h"
#include "cli/line.h"
#include "cli/offline.h"
#include "cli/options.h"

enum {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_OPTIONS,
	EXIT_UNREACHABLE,
	EXIT_INTERRUPTED = 130,
	COMMANDS = 256,
	PASSWORD_SIZE = 1024
};

struct shell {
	struct client client;
	struct offline desk; /* --offline */
	struct line *line;   /* NULL: batch */
	const char *socket, *db, *script, *password_file;
	const char *commands[COMMANDS];
	int n;
	bool offline, user, json, keep_going, yes, unreadable;
	bool version, help;
	char prompt[128], history[4096], password[PASSWORD_SIZE];

	/* of the answer under way */
	bool failed, secret, ended, stopped, no_more, enabling;
	bool shows; /* the command only shows something */
	bool said;  /* a line of its answer came */
	bool bar;   /* how far it is stands on the last line */
	int page;   /* lines of a page; 0: no paging; -1: as the terminal has */
	unsigned printed;
};

static const char usage[] =
	"usage: acli [--socket PATH | --offline --db FILE] [-c COMMAND]... "
	"[-f SCRIPT]\n"
	"            [--user] [--json] [--yes] [--keep-going]\n"
	"            [--password-file FILE] [--timeout S]\n"
	"       acli --version | --help\n";

/* --- Options ------------------------------------------------------------ */

static int option_take(struct shell *sh, int c)
{
	char *end;

	switch (c) {

	case 's':
		sh->socket = optarg;
		break;
	case 'o':
		sh->offline = true;
		break;
	case 'd':
		sh->db = optarg;
		break;
	case 'c':
		if (sh->n == COMMANDS) {
			fputs("acli: too many commands\n", stderr);
			return EINVAL;
		}
		sh->commands[sh->n++] = optarg;
		break;
	case 'f':
		sh->script = optarg;
		break;
	case 'u':
		sh->user = true;
		break;
	case 'j':
		sh->json = true;
		break;
	case 'y':
		sh->yes = true;
		break;
	case 'k':
		sh->keep_going = true;
		break;
	case 'p':
		sh->password_file = optarg;
		break;
	case 'v':
		sh->version = true;
		break;
	case 'h':
		sh->help = true;
		break;
	case 't':
		sh->client.timeout = (int)strtol(optarg, &end, 10);
		if (*end || sh->client.timeout < 1) {
			fprintf(stderr, "acli: bad --timeout [%s]\n", optarg);
			return EINVAL;
		}
		break;
	default:
		fputs(usage, stderr);
		return EINVAL;
	}
	return 0;
}

static int options_read(struct shell *sh, int argc, char *argv[])
{
	struct option known[OPTIONS_MAX];
	char brief[OPTIONS_MAX];
	int c;

	options_getopt(known, brief, acli_options);
	while ((c = getopt_long(argc, argv, brief, known, NULL)) != -1)
		if (option_take(sh, c))
			return EINVAL;
	if (sh->help || sh->version)
		return 0;
	if (sh->offline != (sh->db != NULL)) {
		fputs("acli: --offline and --db belong together\n", stderr);
		return EINVAL;
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "acli: unexpected argument [%s]\n%s", argv[optind],
		usage);
	return EINVAL;
}

/* The superuser's password, out of a file that nobody else reads */
static int password_read(struct shell *sh)
{
	FILE *f = fopen(sh->password_file, "re");
	struct stat st;
	int err = f && !fstat(fileno(f), &st) ? 0 : errno;

	if (!err && (st.st_uid != geteuid() || (st.st_mode & 077)))
		err = EPERM;
	if (!err && !fgets(sh->password, sizeof(sh->password), f))
		err = ENODATA;
	sh->password[strcspn(sh->password, "\r\n")] = '\0';
	if (err)
		fprintf(stderr, "acli: %s: %s\n", sh->password_file,
			err == EPERM ? "must be your own, and mode 0600"
				     : strerror(err));
	if (f)
		fclose(f);
	return err;
}

/* --- Output ------------------------------------------------------------- */

static unsigned page_height(const struct shell *sh, unsigned *width)
{
	unsigned height;

	line_size(&height, width);
	if (!sh->line || !sh->page || sh->no_more || !isatty(STDOUT_FILENO))
		return 0;
	return sh->page > 0 ? (unsigned)sh->page : height;
}

/* `--More-- `: blank for a page, Enter for a line, q to stop */
static void page_wait(struct shell *sh)
{
	fputs("--More-- ", stdout);
	fflush(stdout);
	for (;;) {
		char key = line_key();

		if (key == 'q' || key == 'Q' || !key || line_interrupted())
			sh->stopped = true;
		else if (key == ' ')
			sh->printed = 0;
		else if (key == '\r' || key == '\n')
			sh->printed--;
		else
			continue;
		break;
	}
	fputs("\r         \r", stdout);
}

/* Lines of the terminal that a text takes */
static unsigned rows(const char *text, unsigned width)
{
	size_t n = strlen(text);

	return n ? (unsigned)((n + width - 1) / width) : 1;
}

/* Ctrl-C stops what runs over the screen. What a command did is said all the same:
 * an import that nobody can stop is not done in silence */
static void output(struct shell *sh, const char *text)
{
	unsigned width, height = page_height(sh, &width);

	if (sh->line && line_interrupted() && (sh->shows || sh->said))
		sh->stopped = true;
	sh->said = true;
	if (sh->stopped)
		return;
	if (height && sh->printed + rows(text, width) >= height)
		page_wait(sh);
	if (sh->stopped)
		return;
	puts(text);
	sh->printed += height ? rows(text, width) : 0;
}

/* acli.md 1.6: nothing else begins with a per cent sign */
static void error_say(struct shell *sh, const char *text)
{
	fflush(stdout);
	if (*text)
		fprintf(sh->line ? stdout : stderr, "%% %s\n", text);
	sh->failed = true;
}

/* --- How far long work is ------------------------------------------------- */

/* "reading 4096 59000046". Only at a terminal, and gone before the next line */
static void bar_draw(struct shell *sh, const char *text)
{
	static const char full[] = "########################################";
	char what[32];
	unsigned long long done, total;
	unsigned share;

	if (!isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO) ||
	    sscanf(text, "%31s %llu %llu", what, &done, &total) != 3 || !total)
		return;
	share = (unsigned)(done >= total ? 100 : done * 100 / total);
	fflush(stdout);
	fprintf(stderr, "\r%-8s [%-40.*s] %3u %%", what, (int)(share * 2 / 5),
		full, share);
	fflush(stderr);
	sh->bar = true;
}

static void bar_clear(struct shell *sh)
{
	if (!sh->bar)
		return;
	sh->bar = false;
	fprintf(stderr, "\r%58s\r", "");
	fflush(stderr);
}

/* --- Answers ------------------------------------------------------------ */

/* --yes agrees; without it a question in batch is an error (acli.md 1.10) */
static int batch_answer(struct shell *sh, const char *question, bool quiet)
{
	if (quiet && sh->enabling && *sh->password)
		return client_line(&sh->client, sh->password);
	if (sh->yes && !quiet)
		return client_line(&sh->client, "yes");
	fflush(stdout);
	fprintf(stderr, "%% %s%s\n", question,
		quiet ? "needs a terminal" : "needs --yes");
	sh->failed = true;
	return client_line(&sh->client, "\x03");
}

static int question_answer(struct shell *sh, const char *question, bool quiet)
{
	const char *text = NULL;
	int err;

	if (!sh->line)
		return batch_answer(sh, question, quiet);
	err = quiet ? line_read_quiet(&text, sh->line, question)
		    : line_read(&text, sh->line, question);
	sh->printed = 0;
	switch (err) {

	case 0:
		return client_line(&sh->client, text);
	case EINTR:
	case ENODATA:
		return client_line(&sh->client, "\x03");
	default:
		return err;
	}
}

/* What one line of an answer says; 0 or errno. *end: it was the last one */
static int answer_take(struct shell *sh, const char *line, bool *end)
{
	const char *text = line + 5;

	if (strlen(line) < 5)
		return EPROTO;
	if (strncmp(line, "5000", 4))
		bar_clear(sh);
	*end = line[4] == ' ' && strchr("0189", line[0]);
	switch (atoi(line)) {

	case 0:
		snprintf(sh->prompt, sizeof(sh->prompt), "%s", text);
		sh->ended = !*text;
		return 0;
	case 2001:
	case 2002:
		return question_answer(sh, text, line[3] == '2');
	case 4001:
		return client_send_file(&sh->client, text, &sh->unreadable);
	case 4002:
		return client_take_file(&sh->client, text, &sh->failed);
	case 5000: /* a sign of life */
		bar_draw(sh, text);
		return 0;
	case 5002:
		sh->secret = true;
		return 0;
	case 5003:
		sh->page = atoi(text);
		return 0;
	case 5004:
		sh->no_more = true;
		return 0;
	case 5005:
		sh->client.breaks = true;
		fflush(stdout);
		return 0;
	default:
		break;
	}
	if (line[0] == '8' || line[0] == '9')
		error_say(sh, text);
	else if (line[0] == '5')
		printf("%s\n", text);
	else
		output(sh, text);
	if (sh->client.breaks) /* whoever reads it waits for each line */
		fflush(stdout);
	return 0;
}

/* What is followed ends when somebody has seen enough */
static int follow_end(struct shell *sh)
{
	sh->client.breaks = false;
	sh->stopped = true;
	return client_line(&sh->client, "\x03");
}

static int answer_print(struct shell *sh)
{
	char line[CLIENT_LINE];
	bool end = false;
	int err = 0;

	sh->failed = sh->secret = sh->stopped = sh->no_more = false;
	sh->said = false;
	sh->printed = 0;
	while (!err && !end) {
		err = client_receive(&sh->client, line);
		if (!err)
			err = answer_take(sh, line, &end);
		if (err == EINTR || (!err && sh->client.breaks && sh->stopped))
			err = follow_end(sh);
	}
	sh->client.breaks = false;
	explicit_bzero(line, sizeof(line));
	return err;
}

static bool is_show(const char *line)
{
	line += strspn(line, " \t");
	return !strncmp(line, "sh", 2) || !strncmp(line, "test-", 5);
}

static int line_run(struct shell *sh, const char *line)
{
	char text[CLIENT_LINE];
	int err;

	if (sh->json && is_show(line) && !strchr(line, '|')) {
		snprintf(text, sizeof(text), "%.8000s | json", line);
		line = text;
	}
	sh->shows = is_show(line);
	err = client_line(&sh->client, line);
	if (err == E2BIG) {
		error_say(sh, "The line is longer than 8192 bytes");
		return 0;
	}
	return err ? err : answer_print(sh);
}

/* --- An operator at his terminal ---------------------------------------- */

static int key_ask(struct shell *sh, const char *typed, char key)
{
	char text[CLIENT_LINE];

	if (strlen(typed) + 2 > sizeof(text))
		return E2BIG;
	snprintf(text, sizeof(text), "%s%c", typed, key);
	return client_line(&sh->client, text);
}

static int words_get(const char *typed, struct line_words *out, void *arg)
{
	struct shell *sh = arg;
	char line[CLIENT_LINE];
	int err = key_ask(sh, typed, '\t');

	while (!err) {
		err = client_receive(&sh->client, line);
		if (err || strlen(line) < 5)
			return err ? err : EPROTO;
		if (!strncmp(line, "3001", 4))
			line_words_add(out, line + 5);
		else if (!strncmp(line, "3002", 4))
			out->files = true;
		else if (line[4] == ' ')
			break;
	}
	return err;
}

static int help_get(const char *typed, void *arg)
{
	struct shell *sh = arg;
	int err = key_ask(sh, typed, '?');

	return err ? err : answer_print(sh);
}

/* Something between two answers: of a lock, of the daemon's end */
static int news_take(void *arg)
{
	struct shell *sh = arg;
	char line[CLIENT_LINE];
	bool end;
	int err = client_poll(&sh->client);

	while (!err && client_has_line(&sh->client)) {
		err = client_receive(&sh->client, line);
		if (!err) {
			putchar('\n');
			err = answer_take(sh, line, &end);
		}
	}
	return err;
}

/* A word after one that says so is a secret, however it was misspelt */
static bool looks_secret(const char *line)
{
	static const char *const begins[] = { "pass", "secret", "key" };

	for (line += strspn(line, " "); *line; line += strspn(line, " ")) {
		size_t n = strcspn(line, " ");

		for (int i = 0; i < 3; i++)
			if (!strncmp(line, begins[i], strlen(begins[i])) &&
			    line[n] && line[n + strspn(line + n, " ")])
				return true;
		line += n;
	}
	return false;
}

static bool is_history(const char *line)
{
	return !strcmp(line, "history");
}

static int operator_line(struct shell *sh, const char *typed)
{
	char line[CLIENT_LINE];
	bool failed;
	int err;

	/* The editor's own text is used for the answer to a question too */
	snprintf(line, sizeof(line), "%s", typed);
	if (is_history(line)) {
		line_history(sh->line);
		return 0;
	}
	err = line_run(sh, line);
	failed = sh->failed;
	if (!sh->secret && !looks_secret(line))
		line_remember(sh->line, line);
	/* An error has no prompt with it */
	if (!err && failed)
		err = line_run(sh, "");
	explicit_bzero(line, sizeof(line));
	return err;
}

static int operator_serve(struct shell *sh)
{
	int err = line_run(sh, "\x01"); /* banner, first prompt */

	while (!err && !sh->ended) {
		const char *text = NULL;

		err = line_read(&text, sh->line, sh->prompt);
		if (err == EINTR)
			err = 0;
		else if (err == ENODATA)
			err = operator_line(sh, "exit");
		else if (!err)
			err = operator_line(sh, text);
	}
	return err;
}

static int operator_begin(struct shell *sh)
{
	const char *home = getenv("HOME");
	struct line_setup setup = {
		.daemon = sh->client.fd,
		.words = words_get,
		.help = help_get,
		.news = news_take,
		.arg = sh,
	};

	if (home && strlen(home) + 16 < sizeof(sh->history)) {
		snprintf(sh->history, sizeof(sh->history), "%s/.acli_history",
			 home);
		setup.history = sh->history;
	}
	return line_open(&sh->line, &setup);
}

/* --- Batch -------------------------------------------------------------- */

static void on_interrupt(int number)
{
	(void)number;
	_exit(EXIT_INTERRUPTED);
}

/* One line of a batch; NULL: it is none. *over: nothing more is run */
static int batch_line(struct shell *sh, const char *line, bool *any_failed,
		      bool *over)
{
	int err = 0;

	if (line)
		err = line_run(sh, line);
	else
		error_say(sh, "The line holds a zero byte");
	*any_failed |= sh->failed || sh->unreadable;
	*over = err || sh->ended ||
		((sh->failed || sh->unreadable) && !sh->keep_going);
	return err;
}

/* What editors of some systems write in front of UTF-8 is not of the first line */
static const char *mark_skip(const char *line)
{
	static const char mark[] = "\xef\xbb\xbf";

	return strncmp(line, mark, strlen(mark)) ? line : line + strlen(mark);
}

static int script_run(struct shell *sh, FILE *f, bool *any_failed, bool *over)
{
	char *line = NULL;
	const char *text;
	bool is_first = true;
	size_t room = 0;
	ssize_t n;
	int err = 0;

	/* However long it is, it is one line, and refused as one */
	while (!*over && (n = getline(&line, &room, f)) >= 0) {
		bool whole = !memchr(line, '\0', (size_t)n);

		line[strcspn(line, "\r\n")] = '\0';
		text = is_first ? mark_skip(line) : line;
		is_first = false;
		err = batch_line(sh, whole ? text : NULL, any_failed, over);
		explicit_bzero(line, (size_t)n);
	}
	free(line);
	return err;
}

/* Of -c, which may be some lines */
static int command_run(struct shell *sh, const char *text, bool *any_failed,
		       bool *over)
{
	FILE *f;
	int err;

	if (!strchr(text, '\n'))
		return batch_line(sh, text, any_failed, over);

	f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	if (!f)
		return ENOMEM;
	err = script_run(sh, f, any_failed, over);
	(void)fclose(f);
	return err;
}

/* Batch starts in the highest mode the role allows (1.10). The password file is
 * for this question alone */
static int enable_run(struct shell *sh, bool *any_failed, bool *over)
{
	int err;

	sh->enabling = true;
	err = batch_line(sh, "\x05", any_failed, over);
	sh->enabling = false;
	return err;
}

static int batch_run(struct shell *sh, bool *any_failed)
{
	FILE *f = stdin;
	bool over = false;
	int err = 0;

	if (!sh->user)
		err = enable_run(sh, any_failed, &over);
	for (int i = 0; i < sh->n && !err && !over; i++)
		err = command_run(sh, sh->commands[i], any_failed, &over);
	if (!err && !over && (sh->script || !sh->n)) {
		if (sh->script && strcmp(sh->script, "-"))
			f = fopen(sh->script, "re");
		if (!f) {
			fprintf(stderr, "acli: %s: %s\n", sh->script,
				strerror(errno));
			return ENOENT;
		}
		err = script_run(sh, f, any_failed, &over);
		if (f != stdin)
			fclose(f);
	}
	/* What is at hand and was not stored is an error, and lost */
	if (!err && !sh->ended) {
		err = line_run(sh, "\x04");
		*any_failed |= sh->failed;
	}
	return err;
}

/* ------------------------------------------------------------------------- */

static const char *reason(const struct shell *sh, int err)
{
	switch (err) {

	case ETIMEDOUT:
		return "The daemon does not answer";
	case ECONNRESET:
	case EPIPE:
		return sh->offline ? "The database was closed"
				   : "The connection to the daemon is lost";
	default:
		return strerror(err);
	}
}

static int daemon_reach(struct shell *sh)
{
	char why[512] = "";
	int err;

	if (sh->offline) {
		err = offline_open(&sh->desk, sh->db, why, sizeof(why));
		if (err)
			fprintf(stderr, "%% %s\n", why);
		sh->client.fd = sh->desk.fd;
		return err;
	}
	err = client_connect(&sh->client, sh->socket);
	if (err)
		fprintf(stderr, "%% The daemon is not reachable at %s: %s\n",
			sh->socket, strerror(err));
	return err;
}

/* --help and --version: what was not printed was not said */
static int about(const struct shell *sh)
{
	if (sh->help)
		options_help(stdout, usage, acli_options);
	else
		puts("acli " SBC_VERSION);
	return fflush(stdout) || ferror(stdout) ? EXIT_OPTIONS : EXIT_OK;
}

int main(int argc, char *argv[])
{
	static struct shell sh = {
		.client = { .fd = -1, .timeout = 30 },
		.socket = "/run/sbc/acli.sock",
		.prompt = "> ",
		.page = -1,
	};
	bool failed = false, terminal;
	int err;

	setlocale(LC_CTYPE, "");
	/* Names are UTF-8: without a locale they could not be typed */
	if (!strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968"))
		setlocale(LC_CTYPE, "C.UTF-8");
	if (options_read(&sh, argc, argv))
		return EXIT_OPTIONS;
	if (sh.help || sh.version)
		return about(&sh);
	if (sh.password_file && password_read(&sh))
		return EXIT_OPTIONS;
	if (daemon_reach(&sh))
		return EXIT_UNREACHABLE;

	terminal = !sh.n && !sh.script && isatty(STDIN_FILENO);
	if (terminal && !operator_begin(&sh)) {
		err = operator_serve(&sh);
	} else {
		(void)signal(SIGINT, on_interrupt);
		err = batch_run(&sh, &failed);
		if (err == ENOENT)
			return EXIT_OPTIONS;
	}
	line_close(sh.line);
	if (sh.offline)
		offline_close(&sh.desk);
	else
		client_close(&sh.client);
	explicit_bzero(sh.password, sizeof(sh.password));
	if (err) {
		fprintf(stderr, "%% %s\n", reason(&sh, err));
		return EXIT_UNREACHABLE;
	}
	return sh.unreadable ? EXIT_OPTIONS : failed ? EXIT_FAILED : EXIT_OK;
}
