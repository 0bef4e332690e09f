/*
 * What rules may ask that is not in the configuration: machine, database, DNS
 *
 * Whoever runs the rules fills in what he can answer. A question that nobody
 * answers leaves its rules out.
 */
#pragma once

#include <stdbool.h>
#include "store/base.h"
#include "store/seal.h"

/** This machine: the rules marked host */
struct outside_host {
	bool (*has_address)(const struct sa *sa, void *arg);
	uint32_t first_port, last_port; /* that the system gives out; 0: none */
	const char *key_file;           /* of the database; NULL: no database */
	const char *file; /* that the configuration was read from; NULL */
	const struct seal *seal; /* opens stored secrets; NULL */
	bool unguarded; /* somebody may become superuser without a password */
	void *arg;
};

/** A row of the credential table that was imported: 0 to go on */
typedef int(outside_row_h)(const char *realm, const char *auth_realm,
			   const char *lookup, void *arg);

/** Credentials of a single AoR, those of an agent together; the agent by its
 *  key as item_key_spell writes it */
typedef int(outside_aor_h)(const char *agent, const char *user, void *arg);

/** An auth-realm that peers of a realm have challenged with; the text stays
 *  until the rules have run */
typedef int(outside_seen_h)(const char *realm, const char *auth_realm,
			    void *arg);

enum outside_answer {
	OUTSIDE_SILENT, /* no answer in time */
	OUTSIDE_NONE,   /* there is no such name */
	OUTSIDE_FOUND
};

enum {
	OUTSIDE_TARGETS = 16
};

/** A name that is asked of DNS (RFC 3263), and what came of it */
struct outside_name {
	const char *name;  /* host, without port */
	const char *realm; /* whose DNS servers are asked; "" those of all */
	uint32_t port;     /* 0: SRV records tell */
	enum outside_answer answer;
	struct sa targets[OUTSIDE_TARGETS]; /* with port */
	uint32_t n;
};

struct outside {
	const struct outside_host *host; /* NULL: rules marked host are left
					    out */
	/** Walk what was imported. 0; the errno of h, or of the database */
	int (*rows)(outside_row_h *h, void *to, void *arg);
	int (*aors)(outside_aor_h *h, void *to, void *arg);
	int (*seen)(outside_seen_h *h, void *to, void *arg);
	/** Ask DNS for all names side by side. 0; errno */
	int (*resolve)(struct outside_name *v, size_t n, void *arg);
	void *arg;
};

/**
 * Look at this machine: its addresses and the ports that it gives out
 *
 * @param host  Set; the rest stays as it was. outside_host_forget frees
 *
 * @return 0; ENOMEM; errno of the system
 */
int outside_host_look(struct outside_host *host);

/** Free what outside_host_look made */
void outside_host_forget(struct outside_host *host);
