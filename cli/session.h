/*
 * One operator: mode, path, role
 */
#pragma once

#include "store/database.h"
#include "store/seal.h"
#include "sbc/sbc.h"
#include "cli/reply.h"
#include "cli/words.h"

enum mode {
	MODE_USER,
	MODE_SUPERUSER
};

struct session {
	struct sbc *sbc;
	struct database *db;
	const struct seal *seal;
	enum mode mode;
	bool may_be_superuser; /* by the kernel's word on who connects */
	bool ends;             /* the connection is closed after the answer */
	struct reply reply;    /* of the line under way */
};

/** Prompt of the present mode (acli.md 1.2), with its blank at the end */
void session_prompt(const struct session *s, char *buf, size_t size);
