/*
 * Who names an object: find, rename, and what goes with it when it goes
 *
 * A reference is a value of a parameter with `to`, or the next hop that is the
 * name of a session-agent. It holds the first part of the key.
 */
#pragma once

#include "store/config.h"

/** A parameter that names the object */
struct user {
	const struct element *type;
	const void *item;
	const struct element *child; /* sub-element that has it, or NULL */
	const void *child_item;
	const struct field *field;
};
typedef void(user_h)(const struct user *user, void *arg);

/** Walk those who name an object; how many there are. h may be NULL */
uint32_t users_walk(const struct config *cfg, const struct element *type,
		    const char *name, user_h *h, void *arg);

/** Name under which an object is referred to: the first part of its key;
 *  mem_deref. 0; ENOMEM */
int user_name(char **namep, const struct element *type, const void *item);

/** Print "session-router local-policy [* * pbx-a] source-realm" */
int user_print(struct re_printf *pf, const struct user *user);

/**
 * Make a configuration in which all users name another object, or none
 *
 * @param newp  Set to the configuration; give back with config_give
 * @param cfg   Configuration; whether it has the object does not matter
 * @param type  Element of the object
 * @param name  Its name
 * @param to    Its new name. NULL: the reference is emptied, and what cannot be
 *              without it is deleted, with what cannot be without that
 *
 * @return 0; ENOMEM; EINVAL the new name is not legal everywhere
 */
int users_rename(struct config **newp, const struct config *cfg,
		 const struct element *type, const char *name, const char *to);
