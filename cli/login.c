/*
 * Who logs in: his name, his role, and how often he may err
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/base.h"
#include "sbc/alarm.h"
#include "cli/login.h"

enum {
	ENTRY = 4096,       /* of the databases of users and groups [bytes] */
	GROUPS = 1024,      /* of one user */
	ENVIRONMENT = 65536 /* of a process, as far as it is looked at */
};

/* --- Role ------------------------------------------------------------------ */

static bool group_number(gid_t *gid, const char *name)
{
	char text[ENTRY];
	struct group group, *found = NULL;

	if (getgrnam_r(name, &group, text, sizeof(text), &found) || !found)
		return false;
	*gid = found->gr_gid;

	return true;
}

static bool is_member(const gid_t *groups, int n, const char *name)
{
	gid_t gid;

	if (!group_number(&gid, name))
		return false;
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;

	return false;
}

enum role login_role(const struct login_config *c, uid_t uid, gid_t gid)
{
	char text[ENTRY];
	struct passwd user, *found = NULL;
	gid_t groups[GROUPS] = { gid };
	int n = GROUPS;

	if (uid == 0 || uid == geteuid())
		return ROLE_SUPERUSER;
	(void)getpwuid_r(uid, &user, text, sizeof(text), &found);
	if (!found || getgrouplist(user.pw_name, user.pw_gid, groups, &n) < 0)
		n = 1; /* no name: the group that the kernel told */
	if (!is_member(groups, n, c->user_group))
		return ROLE_NONE;

	return is_member(groups, n, c->superuser_group) ? ROLE_SUPERUSER
							: ROLE_USER;
}

gid_t login_group(const struct login_config *c)
{
	gid_t gid;

	return group_number(&gid, c->user_group) ? gid : getegid();
}

/* --- Name ------------------------------------------------------------------ */

/* "SSH_CONNECTION=192.0.2.7 50000 192.0.2.1 22" of the peer's process */
static bool ssh_address(char *out, size_t size, pid_t pid)
{
	static const char name[] = "SSH_CONNECTION=";
	char path[64], *bytes = malloc(ENVIRONMENT);
	ssize_t n = -1;
	bool found = false;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
	fd = bytes && pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		n = read(fd, bytes, ENVIRONMENT - 1);
		close(fd);
	}
	if (n > 0)
		bytes[n] = '\0';
	for (char *p = bytes; n > 0 && p < bytes + n && !found;
	     p += strlen(p) + 1) {
		struct sa sa;

		if (strncmp(p, name, strlen(name)))
			continue;
		p += strlen(name);
		p[strcspn(p, " ")] = '\0';
		/* It may say anything: only an address is taken */
		if (sa_set_str(&sa, p, 0))
			break;
		found = re_snprintf(out, size, "%j", &sa) > 0;
	}
	if (bytes)
		explicit_bzero(bytes, ENVIRONMENT);
	free(bytes);

	return found;
}

void login_name(char name[LOGIN_NAME], uid_t uid, pid_t pid)
{
	char text[ENTRY], from[64];
	struct passwd user, *found = NULL;

	(void)getpwuid_r(uid, &user, text, sizeof(text), &found);
	if (!ssh_address(from, sizeof(from), pid))
		strcpy(from, "local");
	if (found)
		(void)re_snprintf(name, LOGIN_NAME, "%s@%s", user.pw_name,
				  from);
	else
		(void)re_snprintf(name, LOGIN_NAME, "%u@%s", uid, from);
}

/* --- Mistakes --------------------------------------------------------------- */

static struct mistakes *mistakes_of(const struct list *list, uid_t uid)
{
	for (struct le *le = list_head(list); le; le = le->next) {
		struct mistakes *m = le->data;

		if (m->uid == uid)
			return m;
	}

	return NULL;
}

static void object_of(char *buf, size_t size, uid_t uid)
{
	(void)snprintf(buf, size, "uid %u", (unsigned)uid);
}

static void mistakes_destructor(void *arg)
{
	struct mistakes *m = arg;
	char object[32];

	timer_cancel(&m->over);
	list_unlink(&m->le);
	object_of(object, sizeof(object), m->uid);
	if (m->alarmed)
		alarm_clear("login-lockout", object);
}

static void lockout_over(void *arg)
{
	mem_deref(arg);
}

bool login_is_locked(const struct list *list, uid_t uid)
{
	const struct mistakes *m = mistakes_of(list, uid);

	return m && m->locked;
}

bool login_failed(struct list *list, const struct login_config *c, uid_t uid,
		  const char *user)
{
	struct mistakes *m = mistakes_of(list, uid);
	char object[32];

	if (!m) {
		m = mem_zalloc(sizeof(*m), mistakes_destructor);
		if (!m)
			return false;
		m->uid = uid;
		list_append(list, &m->le, m);
	}
	if (m->locked || ++m->n < c->max_login_attempts || !c->lockout_interval)
		return false;

	m->locked = true;
	m->alarmed = c->send_alarm;
	object_of(object, sizeof(object), uid);
	if (m->alarmed)
		alarm_raise("login-lockout", ALARM_WARNING, object,
			    "%s typed %u wrong passwords, locked out for %u s",
			    user, m->n, c->lockout_interval);
	timer_start(&m->over, (uint64_t)c->lockout_interval * 1000,
		    lockout_over, m);

	return true;
}

void login_succeeded(struct list *list, uid_t uid)
{
	mem_deref(mistakes_of(list, uid));
}
