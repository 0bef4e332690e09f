/*
 * The shell: socket, batch
 *
 * A thin client: it sends lines and prints what comes back. Batch use, options
 * and exit status: acli.md 1.10.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_OPTIONS,
	EXIT_UNREACHABLE,
	FILE_BYTES = 64 << 20, /* the largest file that is sent */
	COMMANDS = 256,
	LINE_SIZE = 8192 + 2
};

struct shell {
	const char *socket, *script;
	const char *commands[COMMANDS];
	int n, timeout; /* [s] */
	bool user, keep_going, interactive, yes, unreadable;
	int fd;
	char buf[16384]; /* bytes of the daemon that are no whole line yet */
	size_t len;
	char prompt[64];
};

static const char usage[] =
	"usage: acli [--socket PATH] [-c COMMAND]... [-f SCRIPT] [--user] "
	"[--yes] [--keep-going]\n"
	"            [--timeout S]\n";

static int options_read(struct shell *sh, int argc, char *argv[])
{
	static const struct option known[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "command", required_argument, NULL, 'c' },
		{ "file", required_argument, NULL, 'f' },
		{ "user", no_argument, NULL, 'u' },
		{ "yes", no_argument, NULL, 'y' },
		{ "keep-going", no_argument, NULL, 'k' },
		{ "timeout", required_argument, NULL, 't' },
		{ 0 },
	};
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "c:f:", known, NULL)) != -1) {
		switch (c) {

		case 's':
			sh->socket = optarg;
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
		case 'y':
			sh->yes = true;
			break;
		case 'k':
			sh->keep_going = true;
			break;
		case 't':
			sh->timeout = (int)strtol(optarg, &end, 10);
			if (*end || sh->timeout < 1) {
				fprintf(stderr, "acli: bad --timeout [%s]\n",
					optarg);
				return EINVAL;
			}
			break;
		default:
			fputs(usage, stderr);
			return EINVAL;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "acli: unexpected argument [%s]\n%s", argv[optind],
		usage);
	return EINVAL;
}

static int daemon_connect(struct shell *sh)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (strlen(sh->socket) >= sizeof(at.sun_path))
		return ENAMETOOLONG;
	strcpy(at.sun_path, sh->socket);
	sh->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sh->fd < 0)
		return errno;
	return connect(sh->fd, (struct sockaddr *)&at, sizeof(at)) ? errno : 0;
}

static int bytes_send(struct shell *sh, const char *p, size_t n)
{
	size_t at = 0;

	while (at < n) {
		ssize_t sent = send(sh->fd, p + at, n - at, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return errno;
		if (sent > 0)
			at += (size_t)sent;
	}
	return 0;
}

static int line_send(struct shell *sh, const char *line)
{
	char buf[LINE_SIZE];
	size_t n = strcspn(line, "\r\n");
	int err;

	if (n > sizeof(buf) - 1)
		return E2BIG;
	memcpy(buf, line, n);
	buf[n++] = '\n';
	err = bytes_send(sh, buf, n);
	explicit_bzero(buf, sizeof(buf));
	return err;
}

/* Wait for more bytes of the daemon, behind those that are there */
static int bytes_wait(struct shell *sh)
{
	struct pollfd pfd = { .fd = sh->fd, .events = POLLIN };
	ssize_t n;

	if (sh->len == sizeof(sh->buf))
		return EPROTO;
	if (poll(&pfd, 1, sh->timeout * 1000) == 0)
		return ETIMEDOUT;
	n = recv(sh->fd, sh->buf + sh->len, sizeof(sh->buf) - sh->len, 0);
	if (n == 0)
		return ECONNRESET;
	if (n > 0)
		sh->len += (size_t)n;
	return n < 0 && errno != EINTR ? errno : 0;
}

static void bytes_drop(struct shell *sh, size_t n)
{
	sh->len -= n;
	memmove(sh->buf, sh->buf + n, sh->len);
}

/* Next whole line of the daemon, without its end. 0; errno */
static int line_receive(struct shell *sh, char line[LINE_SIZE])
{
	for (;;) {
		char *end = memchr(sh->buf, '\n', sh->len);
		int err;

		if (end) {
			size_t len = (size_t)(end - sh->buf);
			size_t copy = len < LINE_SIZE ? len : LINE_SIZE - 1;

			memcpy(line, sh->buf, copy);
			line[copy] = '\0';
			bytes_drop(sh, len + 1);
			return 0;
		}
		err = bytes_wait(sh);
		if (err)
			return err;
	}
}

/* --- Files: with the rights of the operator ----------------------------- */

static int file_read(char **textp, size_t *np, const char *name)
{
	FILE *f = fopen(name, "re");
	struct stat st;
	char *text = NULL;
	size_t n = 0;
	int err = 0;

	if (!f || fstat(fileno(f), &st))
		err = errno;
	else if (S_ISDIR(st.st_mode))
		err = EISDIR;
	else if (st.st_size > FILE_BYTES)
		err = EFBIG;
	if (!err && !(text = malloc((size_t)st.st_size + 1)))
		err = ENOMEM;
	if (!err) {
		n = fread(text, 1, (size_t)st.st_size, f);
		err = ferror(f) ? EIO : 0;
	}
	if (f)
		fclose(f);
	if (err) {
		free(text);
		return err;
	}
	*textp = text;
	*np = n;
	return 0;
}

/* Its length in a line, then its bytes; "-" where there is none */
static int file_send(struct shell *sh, const char *name)
{
	char *text = NULL, head[32];
	size_t n = 0;
	int err = file_read(&text, &n, name);

	if (err) {
		fprintf(stderr, "acli: %s: %s\n", name, strerror(err));
		sh->unreadable = true;
		return line_send(sh, "-");
	}
	snprintf(head, sizeof(head), "%zu", n);
	err = line_send(sh, head);
	if (!err)
		err = bytes_send(sh, text, n);
	explicit_bzero(text, n);
	free(text);
	return err;
}

/* "LENGTH NAME", then the bytes. A file that cannot be written is read to its
 * end all the same */
static int file_take(struct shell *sh, const char *what, bool *failed)
{
	char *name;
	size_t left = strtoull(what, &name, 10);
	FILE *f;
	int fd;

	if (*name++ != ' ')
		return EPROTO;
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	while (left) {
		size_t n = sh->len < left ? sh->len : left;
		int err = n ? 0 : bytes_wait(sh);

		if (err)
			return err;
		if (f && fwrite(sh->buf, 1, n, f) != n)
			*failed = true;
		bytes_drop(sh, n);
		left -= n;
	}
	if (!f || fclose(f))
		*failed = true;
	if (*failed)
		fprintf(stderr, "acli: %s: %s\n", name, strerror(errno));
	return 0;
}

/* --- Answers ------------------------------------------------------------ */

/* --yes agrees; without it a question in batch is an error (acli.md 1.10) */
static int question_answer(struct shell *sh, const char *question, bool *failed)
{
	char line[LINE_SIZE];

	if (sh->yes)
		return line_send(sh, "yes");
	if (!sh->interactive) {
		fprintf(stderr, "%% %s: use --yes\n", question);
		*failed = true;
		return line_send(sh, "n");
	}
	fputs(question, stdout);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return line_send(sh, "n");
	return line_send(sh, line);
}

/* Print the answer to one line. *failed is set when the command failed */
static int answer_print(struct shell *sh, bool *failed)
{
	char line[LINE_SIZE];
	int err;

	for (;;) {
		err = line_receive(sh, line);
		if (err)
			return err;
		if (strlen(line) < 5)
			return EPROTO;
		switch (line[0]) {

		case '0':
			snprintf(sh->prompt, sizeof(sh->prompt), "%.63s",
				 line + 5);
			break;
		case '2':
			err = question_answer(sh, line + 5, failed);
			break;
		case '4':
			err = line[3] == '1' ? file_send(sh, line + 5)
					     : file_take(sh, line + 5, failed);
			break;
		case '8':
		case '9':
			fflush(stdout);
			fprintf(sh->interactive ? stdout : stderr, "%% %s\n",
				line + 5);
			*failed = true;
			break;
		default:
			puts(line + 5);
			break;
		}
		if (err)
			return err;
		if (line[4] == ' ' && strchr("0189", line[0]))
			return 0;
	}
}

static int line_run(struct shell *sh, const char *line, bool *failed)
{
	int err = line_send(sh, line);

	if (!err)
		err = answer_print(sh, failed);
	return err;
}

static const char *reason(int err)
{
	return err == ETIMEDOUT ? "The daemon does not answer" : strerror(err);
}

static bool is_end(const char *line)
{
	return !strcmp(line, "exit") || !strcmp(line, "quit");
}

/* Lines of a file, or of a terminal with prompts */
static int script_run(struct shell *sh, FILE *f, bool *any_failed)
{
	char line[LINE_SIZE];
	int err = 0;

	for (;;) {
		bool failed = false;

		if (sh->interactive) {
			fputs(sh->prompt, stdout);
			fflush(stdout);
		}
		if (!fgets(line, sizeof(line), f))
			break;
		line[strcspn(line, "\r\n")] = '\0';
		if (is_end(line))
			break;
		err = line_run(sh, line, &failed);
		if (err)
			break;
		*any_failed |= failed;
		if (failed && !sh->keep_going && !sh->interactive)
			break;
	}
	return err;
}

static int run(struct shell *sh, bool *any_failed)
{
	FILE *f = stdin;
	bool failed = false;
	int err = 0;

	/* Batch starts in the highest mode the role allows (1.10) */
	if (!sh->user && !sh->interactive)
		err = line_run(sh, "enable", &failed);
	for (int i = 0; i < sh->n && !err; i++) {
		failed = false;
		err = line_run(sh, sh->commands[i], &failed);
		*any_failed |= failed;
		if (failed && !sh->keep_going)
			return err;
	}
	if (err || (sh->n && !sh->script))
		return err;

	if (sh->script && strcmp(sh->script, "-")) {
		f = fopen(sh->script, "re");
		if (!f) {
			fprintf(stderr, "acli: %s: %s\n", sh->script,
				strerror(errno));
			exit(EXIT_OPTIONS);
		}
	}
	if (sh->interactive)
		err = line_run(sh, "", &failed); /* its first prompt */
	if (!err)
		err = script_run(sh, f, any_failed);
	if (f != stdin)
		fclose(f);
	return err;
}

int main(int argc, char *argv[])
{
	static struct shell sh = {
		.socket = "/run/sbc/acli.sock",
		.timeout = 30,
		.fd = -1,
		.prompt = "> ",
	};
	bool failed = false;
	int err;

	if (options_read(&sh, argc, argv))
		return EXIT_OPTIONS;
	sh.interactive = !sh.n && !sh.script && isatty(STDIN_FILENO);

	err = daemon_connect(&sh);
	if (err) {
		fprintf(stderr, "%% The daemon is not reachable at %s: %s\n",
			sh.socket, strerror(err));
		return EXIT_UNREACHABLE;
	}
	err = run(&sh, &failed);
	if (err) {
		fprintf(stderr, "%% %s\n", reason(err));
		return EXIT_UNREACHABLE;
	}
	return sh.unreadable ? EXIT_OPTIONS : failed ? EXIT_FAILED : EXIT_OK;
}
