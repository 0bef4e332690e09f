/*
 * Who logs in: his name, his role, and how often he may err
 *
 * acli.md 4. The kernel tells who connects; groups are those of the machine at
 * that moment. Front thread.
 */
#pragma once

#include <sys/types.h>
#include "store/elements/admin_security.h"
#include "sbc/timer.h"

enum role {
	ROLE_NONE, /* may not connect */
	ROLE_USER,
	ROLE_SUPERUSER
};

enum {
	LOGIN_NAME = 128
};

/** Role of who connects: root and the daemon's own user may become superuser, and
 *  who is in both groups; who is in user-group is a user */
enum role login_role(const struct login_config *c, uid_t uid, gid_t gid);

/** "anna@local", or with the address of the SSH client where that can be read: it is
 *  information, never authority. pid: of the peer; 0 unknown */
void login_name(char name[LOGIN_NAME], uid_t uid, pid_t pid);

/** Group of the control socket: that of user-group, else the daemon's own */
gid_t login_group(const struct login_config *c);

/** Wrong passwords of one user; an entry is gone when he was right, or when his
 *  lock-out is over */
struct mistakes {
	struct le le;
	uid_t uid;
	uint32_t n;
	bool locked;
	bool alarmed;
	struct timer over;
};

/** Is he locked out? list: of struct mistakes */
bool login_is_locked(const struct list *list, uid_t uid);

/** One more wrong password. True: he is locked out from now on. Out of memory he is
 *  not counted */
bool login_failed(struct list *list, const struct login_config *c, uid_t uid,
		  const char *user);

/** He knew the password */
void login_succeeded(struct list *list, uid_t uid);
