/*
 * The shell without a daemon: a database and a session, in a process of its own
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include <re_sys.h>
#include "store/log.h"
#include "store/versions.h"
#include "sbc/timer.h"
#include "cli/logging.h"
#include "cli/offline.h"
#include "cli/server.h"

struct desk {
	struct database *db;
	struct seal *seal;
	struct mailbox *mailbox;
	struct control *control;
	struct server *server;
	struct audit *audit;
	bool readonly;
};

static int store_open(struct desk *d, const char *path, char *why, size_t size)
{
	char text[DATABASE_WHY] = "", key[400];
	uint32_t saved = 0;
	int err = database_open(&d->db, path, false, text);

	if (err == EBUSY || err == EROFS || err == EACCES) {
		d->readonly = true;
		err = database_open(&d->db, path, true, text);
	}
	if (err) {
		snprintf(why, size, "%s", *text ? text : strerror(err));
		return err;
	}
	err = database_beside(d->db, "sbc.key", key, sizeof(key));
	(void)versions_numbers(d->db, &saved, NULL);
	if (!err)
		err = seal_open(&d->seal, key, !d->readonly && !saved);
	if (err)
		snprintf(why, size, "The key file %s cannot be used: %s", key,
			 strerror(err));
	return err;
}

/* As the running configuration wants it, or what would run next. A daemon that has
 * the database has its audit log as well, and nothing is changed here */
static int audit_begin(struct desk *d)
{
	struct config *cfg = NULL;
	char folder[1024];
	struct stat st;
	int err;

	if (d->readonly)
		return 0;
	err = versions_load(&cfg, d->db, 0);
	if (err == ENOENT)
		err = versions_load(&cfg, d->db, VERSION_EDITING);
	if (!err)
		err = audit_open(&d->audit);
	if (!err) {
		const struct system_config *system =
			config_single(cfg, &element_system_config);

		if (!stat(database_path(d->db), &st))
			audit_owner(d->audit, st.st_uid);
		logging_folder(folder, sizeof(folder), system, d->db);
		audit_follow(d->audit, cfg, folder);
	}
	config_give(cfg);
	return err;
}

static int serve(struct desk *d, int fd)
{
	struct control_setup setup = { .db = d->db, .seal = d->seal };
	int err = mailbox_open(&d->mailbox, d);

	setup.home = d->mailbox;
	if (!err)
		err = audit_begin(d);
	setup.audit = d->audit;
	if (!err)
		err = control_open(&d->control, &setup);
	if (!err)
		err = server_open(&d->server, NULL);
	if (!err)
		err = server_serve(d->server, d->control);
	if (!err)
		err = server_join(d->server, fd,
				  d->readonly ? "The daemon has this database: "
						"it is only read."
					      : NULL);
	return err ? err : re_main(NULL);
}

static void desk_close(struct desk *d)
{
	server_close(d->server);
	control_close(d->control);
	audit_close(d->audit);
	mailbox_close(d->mailbox);
	database_close(d->db);
	seal_close(d->seal);
}

/* The process of the session. The first line says whether it could be opened */
static int run(int fd, const char *path)
{
	struct desk d = { .db = NULL };
	char why[512] = "";
	int err;

	/* It lives and dies with its terminal's other process */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	log_level_set(LOG_COMPONENTS, LEVEL_ZERO);
	err = libre_init();
	if (!err)
		err = wheel_open();
	if (!err)
		err = store_open(&d, path, why, sizeof(why));
	(void)dprintf(fd, "%d %s\n", err, why);
	if (!err)
		err = serve(&d, fd);
	else
		close(fd);
	desk_close(&d);
	wheel_close();
	libre_close();
	return err;
}

/* "0 " or the errno and why */
static int greeting_read(int fd, char *why, size_t size)
{
	char line[640];
	size_t n = 0;
	int err = 0;

	while (n + 1 < sizeof(line) && read(fd, line + n, 1) == 1 &&
	       line[n] != '\n')
		n++;
	line[n] = '\0';
	if (sscanf(line, "%d", &err) != 1)
		err = EIO;
	if (err)
		snprintf(why, size, "%s",
			 strchr(line, ' ') ? strchr(line, ' ') + 1
					   : strerror(err));
	return err;
}

int offline_open(struct offline *o, const char *path, char *why, size_t size)
{
	int fds[2], err;
	pid_t child;

	if (access(path, F_OK)) {
		err = errno;
		snprintf(why, size, "%s: %s", path, strerror(err));
		return err;
	}
	o->child = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		snprintf(why, size, "%s", strerror(errno));
		return errno;
	}
	child = fork();
	if (child == 0) {
		close(fds[0]);
		_exit(run(fds[1], path) ? 1 : 0);
	}
	close(fds[1]);
	err = child < 0 ? errno : greeting_read(fds[0], why, size);
	o->fd = fds[0];
	o->child = child;
	if (err)
		offline_close(o);
	return err;
}

/* Whoever runs the next command finds the database free */
void offline_close(struct offline *o)
{
	if (o->child <= 0)
		return;
	close(o->fd);
	while (waitpid(o->child, NULL, 0) < 0 && errno == EINTR)
		;
	o->child = 0;
}
