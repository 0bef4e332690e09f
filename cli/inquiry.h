/*
 * Whom verify asks: this machine, the database, DNS, the worker
 */
#pragma once

#include "store/database.h"
#include "store/seal.h"
#include "store/verify.h"

struct sbc;
struct seen;

struct inquiry {
	struct outside outside; /* for struct verify_setup */
	struct outside_host host;
	struct database *db;
	const struct config *cfg;
	struct sbc *sbc;
	struct seen *seen; /* challenges that came, sorted */
	char key[1024];
};

/** Which of the rules that ask are run */
struct inquiry_setup {
	const struct config *cfg;
	const char *file;        /* of this machine that it was read from */
	struct database *db;     /* NULL: only a file is looked at */
	const struct seal *seal; /* of the database */
	struct sbc *sbc;         /* that runs; NULL: none does */
	bool host, dns;
};

/** Make ready; what cannot be had is left out. Any thread: DNS is asked by one
 *  of its own */
void inquiry_init(struct inquiry *q, const struct inquiry_setup *setup);

/** Let go of what it found */
void inquiry_finish(struct inquiry *q);
