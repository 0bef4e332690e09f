/*
 * Associated URIs, and the AoR that each belongs to
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "sbc/identities.h"

enum {
	URIS_MAX = 16 /* associated URIs of one AoR */
};

/** An associated URI of an AoR, kept with its customer-host in mind */
struct associated {
	struct entry e;
	struct registration *r;
	struct associated *next;
	struct pl user, host; /* in text; host empty: tel */
	char text[];
};

/** Visual separators do not count (RFC 3966 5.1.1) */
static uint64_t user_hash(const struct pl *user)
{
	char buf[AOR_USER_MAX];
	size_t n = 0;

	for (size_t i = 0; i < user->l && n < sizeof(buf); i++)
		if (!strchr("-.()", user->p[i]))
			buf[n++] = user->p[i];

	return hash_bytes(buf, n);
}

struct associated_key {
	const struct realm *realm;
	const struct uri *uri;
	const struct registration *r; /* another AoR of it; NULL: a request's */
};

static bool realm_has(const struct realm *realm, const char *name)
{
	for (; realm; realm = realm->parent)
		if (!strcmp(realm->config->identifier, name))
			return true;

	return false;
}

static bool is_tel(const struct uri *uri)
{
	return is_word(&uri->scheme, "tel");
}

static bool is_host(const struct pl *host, const char *name)
{
	struct pl pl;

	pl_set_str(&pl, name);

	return pl.l && host_equal(&pl, host);
}

/** May an identity with this host be the URI? Its own host is replaced by
 *  customer-host where there is one (4.9); register-host always counts (5.1) */
static bool host_fits(const struct associated *a, const struct pl *host)
{
	const struct surrogate_agent *agent = a->r->flock->agent;

	if (is_host(host, agent->register_host))
		return true;
	if (agent->customer_host[0])
		return is_host(host, agent->customer_host);

	return a->host.l && host_equal(&a->host, host);
}

/** Would both be found by the same identity? */
static bool is_same_uri(const struct associated *a, const struct uri *uri,
			const struct registration *r)
{
	const struct surrogate_agent *agent = r->flock->agent;

	if (!a->host.l || is_tel(uri) || host_equal(&a->host, &uri->host) ||
	    host_fits(a, &uri->host))
		return true;

	return agent->customer_host[0] &&
	       is_host(&(struct pl){ agent->customer_host,
				     strlen(agent->customer_host) },
		       a->r->flock->agent->customer_host);
}

static bool associated_matches(const struct entry *e, const void *arg)
{
	const struct associated *a = (const struct associated *)e;
	const struct associated_key *key = arg;

	if (!a->r->flock->enabled ||
	    !realm_has(key->realm, a->r->flock->agent->realm_id) ||
	    !user_equal(&a->user, &key->uri->user))
		return false;
	if (key->r)
		return is_same_uri(a, key->uri, key->r);

	return is_tel(key->uri) || host_fits(a, &key->uri->host);
}

void identities_drop(struct table *all, struct registration *r)
{
	while (r->uris) {
		struct associated *a = r->uris;

		r->uris = a->next;
		table_remove(all, &a->e);
		mem_deref(a);
	}
}

/** Does another AoR of the same tenant have it? The older one keeps it */
static bool is_taken(const struct table *all, const struct registration *r,
		     const struct uri *uri)
{
	const struct realm *realm =
		realm_named(r->flock->plan->realms, r->flock->agent->realm_id);
	const struct associated_key key = { realm, uri, r };
	const struct associated *a = (const struct associated *)table_find(
		all, user_hash(&uri->user), associated_matches, &key);

	return a && a->r != r;
}

static void associated_add(struct table *all, struct registration *r,
			   const struct uri *uri)
{
	struct associated *a;
	size_t host_l = is_tel(uri) ? 0 : uri->host.l;
	char aor[AOR_SIZE] = "";

	if (is_taken(all, r, uri)) {
		(void)registration_aor(aor, sizeof(aor), r);
		if (log_admit("reg-uri-taken"))
			log_warning(SURROGATE, "reg-uri-taken",
				    "aor=%s text=\"an associated URI belongs "
				    "to another AoR already\"",
				    aor);
		return;
	}

	a = mem_zalloc(sizeof(*a) + uri->user.l + host_l, NULL);
	if (!a)
		return;
	memcpy(a->text, uri->user.p, uri->user.l);
	if (host_l)
		memcpy(a->text + uri->user.l, uri->host.p, host_l);
	a->user = (struct pl){ a->text, uri->user.l };
	a->host = (struct pl){ a->text + uri->user.l, host_l };
	a->r = r;
	if (table_add(all, &a->e, user_hash(&a->user))) {
		mem_deref(a);
		return;
	}
	a->next = r->uris;
	r->uris = a;
}

void identities_take(struct table *all, struct registration *r)
{
	struct pl rest, value;

	identities_drop(all, r);
	if (!r->bound || !r->associated)
		return;

	pl_set_str(&rest, r->associated);
	for (int i = 0; i < URIS_MAX && !list_next(&rest, &value); i++) {
		struct address addr;

		if (!address_read(&addr, &value) && addr.uri.scheme.l &&
		    addr.uri.user.l)
			associated_add(all, r, &addr.uri);
	}
}

int identities_find(struct owner *who, const struct table *all,
		    const struct realm *realm, const struct uri *uri)
{
	const struct associated_key key = { .realm = realm, .uri = uri };
	const struct associated *a = (const struct associated *)table_find(
		all, user_hash(&uri->user), associated_matches, &key);

	if (!a)
		return ENOENT;
	who->agent = a->r->flock->agent;
	who->number = registration_number(a->r);

	return 0;
}
