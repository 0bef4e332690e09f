/*
 * Nonces to use again, with rising nc
 *
 * Two tables: entries by (target, auth-realm, user, header) and what is known of each
 * target. An entry is one block with its text. Entries leave least recently
 * used first; a target without entries leaves before the table of targets
 * could outgrow that of the entries.
 */
#include <errno.h>
#include <string.h>
#include "store/hash.h"
#include "sbc/nonces.h"

enum {
	UNUSED = 3600 * 1000, /* then an entry goes [ms] */
	REFUSALS = 3,         /* in a row, then the target rests */
	REST = 3600 * 1000,   /* [ms] */
	REALMS = 16,          /* remembered of one target */
	REALM_MAX = 255,      /* longest that an entry may name [bytes] */
	TEXT_MAX = 4096       /* nonce and opaque of an entry [bytes] */
};

/** An auth-realm of a target, and which header it wants with which methods */
struct habit {
	char *realm;
	uint16_t methods[2]; /* sets of method_id: WWW, proxy */
};

/** What is known of a target */
struct place {
	struct entry e;
	struct le le; /* of nonces.bare, while it has no entries */
	struct sa dst;
	uint8_t transport;
	uint8_t refused; /* cached nonces in a row */
	uint8_t realms_n, realms_next;
	uint32_t entries;
	uint64_t rests_until; /* 0: does not */
	struct habit realms[REALMS];
};

struct nonce {
	struct entry e;
	struct le le; /* of nonces.lru, least recently used first */
	struct place *place;
	uint64_t used;
	uint32_t nc;
	uint8_t algorithm, qop;
	bool userhash, has_algorithm, has_opaque, proxy;
	char cnonce[33];
	struct pl realm, user, nonce, opaque; /* in text, or in next */
	char *next;                           /* nextnonce, or NULL */
	char text[];
};

struct nonces {
	struct table entries, targets;
	struct list lru, bare; /* nonces; places without any */
	struct place *asked;   /* for last: a request asks several times */
	uint32_t size;
};

static uint64_t place_hash(const struct target *t)
{
	return hash_mix(sa_hash(&t->dst, SA_ALL), t->transport);
}

static bool place_matches(const struct entry *e, const void *key)
{
	const struct place *p = (const struct place *)e;
	const struct target *t = key;

	return p->transport == t->transport && sa_cmp(&p->dst, &t->dst, SA_ALL);
}

static bool nonce_matches(const struct entry *e, const void *arg)
{
	const struct nonce *n = (const struct nonce *)e;
	const struct nonce_key *key = arg;

	return place_matches(&n->place->e, key->target) &&
	       n->proxy == key->proxy && !pl_cmp(&n->realm, &key->realm) &&
	       !pl_cmp(&n->user, &key->user);
}

static uint64_t nonce_hash(const struct place *p, const struct nonce_key *key)
{
	uint64_t h = hash_mix(p->e.hash, key->proxy);

	h = hash_mix(h, hash_bytes(key->realm.p, key->realm.l));

	return hash_mix(h, hash_bytes(key->user.p, key->user.l));
}

static void place_destructor(void *arg)
{
	struct place *p = arg;

	list_unlink(&p->le);
	for (uint32_t i = 0; i < p->realms_n; i++)
		mem_deref(p->realms[i].realm);
}

static void nonce_destructor(void *arg)
{
	struct nonce *n = arg;

	list_unlink(&n->le);
	mem_deref(n->next);
}

static void place_remove(struct nonces *all, struct place *p)
{
	if (all->asked == p)
		all->asked = NULL;
	table_remove(&all->targets, &p->e);
	mem_deref(p);
}

static void nonce_remove(struct nonces *all, struct nonce *n)
{
	struct place *p = n->place;

	if (!--p->entries) {
		list_unlink(&p->le);
		list_append(&all->bare, &p->le, p);
	}
	table_remove(&all->entries, &n->e);
	mem_deref(n);
}

static struct place *find_place(struct nonces *all, const struct target *t)
{
	struct place *p = all->asked;

	if (p && place_matches(&p->e, t))
		return p;

	p = (struct place *)table_find(&all->targets, place_hash(t),
				       place_matches, t);
	if (p)
		all->asked = p;

	return p;
}

static struct nonce *find(struct nonces *all, const struct nonce_key *key)
{
	const struct place *p = find_place(all, key->target);

	return p ? (struct nonce *)table_find(&all->entries, nonce_hash(p, key),
					      nonce_matches, key)
		 : NULL;
}

/** Make room for one more target: the first of those without entries goes. One
 *  exists when the table is full, for entries are at most size */
static void places_trim(struct nonces *all)
{
	while (all->targets.count > all->size && all->bare.head)
		place_remove(all, list_ledata(all->bare.head));
}

static struct place *place_get(struct nonces *all, const struct target *t)
{
	struct place *p = find_place(all, t);

	if (p)
		return p;

	places_trim(all);

	p = mem_zalloc(sizeof(*p), place_destructor);
	if (!p)
		return NULL;
	sa_cpy(&p->dst, &t->dst);
	p->transport = t->transport;
	if (table_add(&all->targets, &p->e, place_hash(t)))
		return mem_deref(p);
	list_append(&all->bare, &p->le, p);

	return p;
}

static struct habit *habit_find(const struct place *p, const struct pl *realm)
{
	for (uint32_t i = 0; p && i < p->realms_n; i++)
		if (!pl_strcmp(realm, p->realms[i].realm))
			return (struct habit *)&p->realms[i];

	return NULL;
}

static int place_learn(struct place *p, const struct pl *realm)
{
	struct habit fresh = { .realm = NULL };
	int err;

	if (habit_find(p, realm))
		return 0;

	err = pl_strdup(&fresh.realm, realm);
	if (err)
		return err;

	/* the oldest gives way */
	if (p->realms_n == REALMS)
		mem_deref(p->realms[p->realms_next].realm);
	else
		p->realms_n++;
	p->realms[p->realms_next] = fresh;
	p->realms_next = (uint8_t)((p->realms_next + 1) % REALMS);

	return 0;
}

static struct pl copy(char **at, const struct pl *from)
{
	struct pl pl = { *at, from->l };

	if (from->l)
		memcpy(*at, from->p, from->l);
	*at += from->l;

	return pl;
}

static void trim(struct nonces *all, uint32_t size)
{
	while (all->entries.count > size)
		nonce_remove(all, list_ledata(all->lru.head));
}

static void touch(struct nonces *all, struct nonce *n, uint64_t now)
{
	n->used = now;
	list_unlink(&n->le);
	list_append(&all->lru, &n->le, n);
}

static void show(const struct nonce *n, struct nonce_entry *out)
{
	*out = (struct nonce_entry){
		.nonce = n->nonce,
		.opaque = n->opaque,
		.algorithm = n->algorithm,
		.qop = n->qop,
		.userhash = n->userhash,
		.has_algorithm = n->has_algorithm,
		.has_opaque = n->has_opaque,
		.nc = n->nc,
	};
	memcpy(out->cnonce, n->cnonce, sizeof(out->cnonce));
}

static int use(struct nonces *all, struct nonce *n, uint64_t now,
	       struct nonce_entry *out)
{
	/* nc has eight digits; unused for an hour, the peer has forgotten it */
	if (n->nc == UINT32_MAX || now >= n->used + UNUSED) {
		nonce_remove(all, n);
		return ENOENT;
	}

	touch(all, n, now);
	n->nc++;
	show(n, out);

	return 0;
}

static void nonces_destructor(void *arg)
{
	struct nonces *all = arg;

	trim(all, 0);
	while (all->bare.head)
		place_remove(all, list_ledata(all->bare.head));
	table_finish(&all->entries);
	table_finish(&all->targets);
}

int nonces_open(struct nonces **np, uint32_t size)
{
	struct nonces *all = mem_zalloc(sizeof(*all), nonces_destructor);

	if (!all)
		return ENOMEM;

	table_init(&all->entries);
	table_init(&all->targets);
	list_init(&all->lru);
	list_init(&all->bare);
	all->size = size;
	*np = all;

	return 0;
}

void nonces_close(struct nonces *n)
{
	mem_deref(n);
}

void nonces_resize(struct nonces *n, uint32_t size)
{
	n->size = size;
	trim(n, size);
}

void nonces_clear(struct nonces *n)
{
	trim(n, 0);
}

size_t nonces_count(const struct nonces *n)
{
	return n->entries.count;
}

int nonce_put(struct nonces *n, const struct nonce_key *key,
	      const struct challenge *c, const char cnonce[33], uint32_t nc,
	      uint64_t now)
{
	struct nonce *old = find(n, key), *fresh;
	struct place *place;
	size_t size;
	char *at;
	int err;

	if (!n->size)
		return 0;

	/* the same nonce by two requests at once: nc never falls */
	if (old && !pl_cmp(&old->nonce, &c->nonce)) {
		if (old->nc < nc)
			old->nc = nc;
		touch(n, old, now);
		return 0;
	}

	size = key->realm.l + key->user.l + c->nonce.l + c->opaque.l;
	if (key->realm.l > REALM_MAX || size > TEXT_MAX)
		return EOVERFLOW;

	fresh = mem_zalloc(sizeof(*fresh) + size, nonce_destructor);
	if (!fresh)
		return ENOMEM;

	at = fresh->text;
	fresh->realm = copy(&at, &key->realm);
	fresh->user = copy(&at, &key->user);
	fresh->nonce = copy(&at, &c->nonce);
	fresh->opaque = copy(&at, &c->opaque);
	fresh->algorithm = (uint8_t)digest_algorithm(c);
	fresh->qop = (uint8_t)digest_qop(c);
	fresh->userhash = c->userhash;
	fresh->has_algorithm = c->has_algorithm;
	fresh->has_opaque = c->has_opaque;
	fresh->proxy = key->proxy;
	fresh->nc = nc;
	memcpy(fresh->cnonce, cnonce, sizeof(fresh->cnonce));

	place = place_get(n, key->target);
	err = place ? place_learn(place, &key->realm) : ENOMEM;
	if (err)
		goto out;

	err = table_add(&n->entries, &fresh->e, nonce_hash(place, key));
	if (err)
		goto out;

	fresh->place = place;
	place->entries++;
	list_unlink(&place->le);
	if (old)
		nonce_remove(n, old);
	touch(n, fresh, now);
	trim(n, n->size);

out:
	if (err)
		mem_deref(fresh);

	return err;
}

void nonce_wanted(struct nonces *n, const struct nonce_key *key,
		  enum method_id method, bool wanted)
{
	struct habit *h = habit_find(find_place(n, key->target), &key->realm);
	const uint16_t bit = (uint16_t)(1u << method);

	if (!h)
		return;
	if (wanted)
		h->methods[key->proxy] |= bit;
	else
		h->methods[key->proxy] &= (uint16_t)~bit;
}

unsigned nonce_wants(struct nonces *n, const struct nonce_key *key,
		     enum method_id method)
{
	const struct habit *h =
		habit_find(find_place(n, key->target), &key->realm);
	const uint16_t bit = (uint16_t)(1u << method);

	if (!h)
		return 0;

	return (h->methods[0] & bit ? NONCE_WWW : 0u) |
	       (h->methods[1] & bit ? NONCE_PROXY : 0u);
}

int nonce_take(struct nonces *n, const struct nonce_key *key, uint64_t now,
	       struct nonce_entry *out)
{
	struct nonce *nonce = find(n, key);

	if (!nonce || nonce->place->rests_until > now)
		return ENOENT;

	return use(n, nonce, now, out);
}

int nonce_take_same(struct nonces *n, const struct nonce_key *key,
		    const struct pl *nonce, uint64_t now,
		    struct nonce_entry *out)
{
	struct nonce *found = find(n, key);

	if (!found || pl_cmp(&found->nonce, nonce))
		return ENOENT;

	return use(n, found, now, out);
}

int nonce_look(struct nonces *n, const struct nonce_key *key,
	       const struct pl *nonce, struct nonce_entry *out)
{
	const struct nonce *found = find(n, key);

	if (!found || pl_cmp(&found->nonce, nonce))
		return ENOENT;
	show(found, out);

	return 0;
}

void nonce_worked(struct nonces *n, const struct nonce_key *key)
{
	struct place *p = find_place(n, key->target);

	if (p)
		p->refused = 0;
}

bool nonce_refused(struct nonces *n, const struct nonce_key *key, uint64_t now)
{
	struct place *p = find_place(n, key->target);

	nonce_drop(n, key);
	if (!p || ++p->refused < REFUSALS)
		return false;

	p->refused = 0;
	p->rests_until = now + REST;

	return true;
}

void nonce_drop(struct nonces *n, const struct nonce_key *key)
{
	struct nonce *nonce = find(n, key);

	if (nonce)
		nonce_remove(n, nonce);
}

int nonce_next(struct nonces *n, const struct nonce_key *key,
	       const struct pl *nextnonce)
{
	struct nonce *nonce = find(n, key);
	char *next;
	int err;

	if (!nonce)
		return ENOENT;

	/* RFC 7616 3.4.2: the session key stays bound to the first nonce; a
	 * peer that reads it otherwise would refuse us, so a challenge it is */
	if (nonce->algorithm == DIGEST_MD5_SESS ||
	    nonce->algorithm == DIGEST_SHA256_SESS ||
	    nonce->algorithm == DIGEST_SHA512_256_SESS ||
	    nextnonce->l > TEXT_MAX) {
		nonce_remove(n, nonce);
		return ENOENT;
	}

	if (!pl_cmp(&nonce->nonce, nextnonce))
		return 0;

	err = pl_strdup(&next, nextnonce);
	if (err)
		return err;

	mem_deref(nonce->next);
	nonce->next = next;
	nonce->nonce.p = next;
	nonce->nonce.l = nextnonce->l;
	nonce->nc = 0;

	return 0;
}

bool nonces_rest(struct nonces *n, const struct target *target, uint64_t now)
{
	const struct place *p = find_place(n, target);

	return p && p->rests_until > now;
}

int nonces_realm(struct nonces *n, const struct target *target, uint32_t nth,
		 struct pl *realm)
{
	const struct place *p = find_place(n, target);

	if (!p || nth >= p->realms_n)
		return ENOENT;

	pl_set_str(realm, p->realms[nth].realm);

	return 0;
}
