/*
 * A challenge in, headers out
 *
 * Each challenge of a 401 or 407 is looked at by itself and becomes, where a row
 * of behaviour.md 6.1 gives credentials, a slot of `tries`: one per auth-realm
 * and kind of header. A retry carries the answers of all slots, computed anew.
 * Whether a challenge is new, free, or a refusal is the table of 6.4.
 *
 * A password lives on the stack from its opening to the end of one digest.
 */
#include <errno.h>
#include <string.h>
#include "store/log.h"
#include "store/number.h"
#include "sbc/alarm.h"
#include "sbc/challengers.h"
#include "sbc/usage.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/prove.h"
#include "sbc/random.h"

enum {
	PICKS = 8,        /* challenges looked at, of different realms */
	REALM_SIZE = 256, /* auth-realm: at most 255 bytes */
	OBJECT_SIZE = 600
};

/** The challenge of one realm that is answered, if any is */
struct pick {
	struct challenge c;
	struct pl text, realm; /* header value; realm with escapes undone */
	bool proxy;
	unsigned algorithms; /* offered, as bits */
	char undone[REALM_SIZE];
};

struct picks {
	struct pick of[PICKS];
	uint32_t n;
};

enum found {
	FOUND,
	FOUND_NOBODY,
	FOUND_MISSING,
	FOUND_BROKEN
};

/** What 6.4 makes of a challenge for a realm that was answered before */
enum verdict {
	VERDICT_FREE,    /* the cached nonce is over */
	VERDICT_STALE,   /* the fresh one was too old already */
	VERDICT_REFUSED, /* the credentials are wrong */
	VERDICT_SPENT    /* stale once more */
};

/** A challenge that was answered, with its text */
struct answered {
	struct challenge c;
	char text[];
};

#define SLOT(t, i) (&(t)->of[i])

/* Slots ------------------------------------------------------------------- */

static void slot_clear(struct tries *t, uint32_t i)
{
	mem_deref(SLOT(t, i)->realm);
	mem_deref(SLOT(t, i)->nonce);
	mem_deref(SLOT(t, i)->user);
	mem_deref(SLOT(t, i)->challenge);
	memset(SLOT(t, i), 0, sizeof(*SLOT(t, i)));
}

static void slot_drop(struct tries *t, uint32_t i)
{
	slot_clear(t, i);
	t->n--;
	memmove(SLOT(t, i), SLOT(t, i + 1), (t->n - i) * sizeof(*SLOT(t, i)));
	memset(SLOT(t, t->n), 0, sizeof(*SLOT(t, t->n)));
}

static void slot_drop_last(struct tries *t)
{
	slot_drop(t, t->n - 1);
}

static int slot_find(const struct tries *t, const struct pl *realm, bool proxy)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->of[i].proxy == proxy &&
		    !pl_strcmp(realm, t->of[i].realm))
			return (int)i;

	return -1;
}

static int slot_add(struct tries *t, const struct pl *realm, bool proxy)
{
	int err;

	if (t->n >= PROOF_REALMS)
		return ENOSPC;

	memset(SLOT(t, t->n), 0, sizeof(*SLOT(t, t->n)));
	err = pl_strdup(&SLOT(t, t->n)->realm, realm);
	if (err)
		return err;
	SLOT(t, t->n)->proxy = proxy;
	t->n++;

	return 0;
}

static int set_text(char **dst, const struct pl *src)
{
	char *s;
	int err;

	if (*dst && !pl_strcmp(src, *dst))
		return 0;

	err = pl_strdup(&s, src);
	if (err)
		return err;
	mem_deref(*dst);
	*dst = s;

	return 0;
}

static struct nonce_key slot_key(const struct proof_setup *s,
				 const struct tries *t, uint32_t i)
{
	struct nonce_key key = { .target = s->target, .proxy = t->of[i].proxy };

	pl_set_str(&key.realm, t->of[i].realm);
	pl_set_str(&key.user, t->of[i].user ? t->of[i].user : "");

	return key;
}

/** The challenge that a slot answered; NULL: it came out of the cache */
static const struct challenge *slot_challenge(const struct tries *t, uint32_t i)
{
	const struct answered *a = t->of[i].challenge;

	return a ? &a->c : NULL;
}

static int slot_keep_challenge(struct tries *t, uint32_t i,
			       const struct pick *p)
{
	struct answered *a = mem_alloc(sizeof(*a) + p->text.l, NULL);

	if (!a)
		return ENOMEM;
	a->c = p->c;
	memcpy(a->text, p->text.p, p->text.l);
	challenge_move(&a->c, &p->text, a->text);
	mem_deref(SLOT(t, i)->challenge);
	SLOT(t, i)->challenge = a;

	return 0;
}

static void new_cnonce(char cnonce[33])
{
	uint8_t raw[16];

	random_fill(raw, sizeof(raw));
	hex_write(cnonce, raw, sizeof(raw));
	cnonce[32] = '\0';
}

/* Challenges -------------------------------------------------------------- */

/** Value of a quoted realm; false when it is longer than any entry's */
static bool undo_realm(struct pick *p)
{
	const struct pl *raw = &p->c.realm;
	size_t n = 0;

	p->realm = *raw;
	if (!raw->l || !memchr(raw->p, '\\', raw->l))
		return true;

	for (size_t i = 0; i < raw->l; i++) {
		if (raw->p[i] == '\\' && i + 1 < raw->l)
			i++;
		if (n >= sizeof(p->undone))
			return false;
		p->undone[n++] = raw->p[i];
	}
	p->realm.p = p->undone;
	p->realm.l = n;

	return true;
}

static int strength(const struct challenge *c)
{
	return digest_strength(digest_algorithm(c));
}

/** A weaker algorithm than the one answered before smells of a man in the
 *  middle (RFC 8760 2.4): it is not looked at */
static bool is_weaker(const struct tries *t, const struct pick *p)
{
	int i = slot_find(t, &p->realm, p->proxy);
	const struct challenge *before =
		i >= 0 ? slot_challenge(t, (uint32_t)i) : NULL;

	return before && strength(&p->c) < strength(before);
}

static void pick_take(struct picks *all, const struct tries *t,
		      const struct pl *text, bool proxy)
{
	struct pick *p, *same = NULL;

	if (all->n >= PICKS)
		return;

	p = &all->of[all->n];
	p->text = *text;
	p->proxy = proxy;
	if (challenge_read(&p->c, text) || !is_word(&p->c.scheme, "Digest") ||
	    !strength(&p->c) || digest_qop(&p->c) == QOP_UNKNOWN ||
	    !undo_realm(p) || is_weaker(t, p))
		return;

	for (uint32_t i = 0; i < all->n; i++)
		if (all->of[i].proxy == proxy &&
		    !pl_cmp(&all->of[i].realm, &p->realm))
			same = &all->of[i];

	p->algorithms = 1u << digest_algorithm(&p->c);
	if (!same) {
		all->n++;
		return;
	}
	same->algorithms |= p->algorithms;
	if (strength(&p->c) <= strength(&same->c))
		return;

	same->c = p->c;
	same->text = p->text;
}

/** The strongest usable challenge of each realm, in the order of the headers */
static void picks_take(struct picks *all, const struct tries *t,
		       const struct message *msg)
{
	static const enum header_id ids[] = { HDR_WWW_AUTHENTICATE,
					      HDR_PROXY_AUTHENTICATE };

	all->n = 0;
	for (size_t i = 0; i < 2; i++) {
		const struct header *h = message_first(msg, ids[i]);

		for (; h; h = message_next(msg, h)) {
			struct pl value = header_value(msg, h);

			pick_take(all, t, &value, i == 1);
		}
	}
}

static const struct pick *pick_of(const struct picks *all,
				  const struct tries *t, uint32_t i)
{
	for (uint32_t k = 0; k < all->n; k++)
		if (slot_find(t, &all->of[k].realm, all->of[k].proxy) == (int)i)
			return &all->of[k];

	return NULL;
}

/* Credentials ------------------------------------------------------------- */

/** Join words with blanks: objects of alarms, keys */
static void join(char *buf, size_t size, const char *const *words, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t l = strlen(words[i]);

		if (i && at + 1 < size)
			buf[at++] = ' ';
		if (l > size - 1 - at)
			l = size - 1 - at;
		memcpy(buf + at, words[i], l);
		at += l;
	}
	buf[at] = '\0';
}

/**
 * The same element today: what a call stores is the key, and a new password
 * counts at once (behaviour.md 6.2)
 *
 * @return Element; NULL it is gone
 */
static const void *present(const struct proof_setup *s,
			   const struct element *type, const void *item)
{
	const struct item_ref ref = { type, item };
	char key[1024];
	struct pl pl = { key, 0 };
	int n;

	if (!item || s->trial || !s->plan || s->plan == s->worker->plan)
		return item;

	n = re_snprintf(key, sizeof(key), "%H", item_key_spell, &ref);
	if (n < 0)
		return NULL;
	pl.l = (size_t)n;

	return config_find(s->worker->plan->config, type, &pl);
}

static int open_secret(const struct proof_setup *s, const char *username,
		       const struct secret *password, struct credential *out)
{
	size_t l = strlen(username);

	if (!secret_is_set(password))
		return ENOENT;
	if (l >= sizeof(out->username))
		return EOVERFLOW;
	memcpy(out->username, username, l + 1);

	return secret_open(out->password, password, s->worker->seal);
}

/** Those of the AoR alone, where it has its own; else the agent's. 0; ENOENT;
 *  ESTALE the agent is gone; errno */
static int open_agent(const struct proof_setup *s, struct credential *out)
{
	const struct credential_query *q = &s->query;
	struct owner who = q->owner;
	struct item_ref ref = { .type = &element_surrogate_agent };
	char key[1024], user[AOR_USER_MAX + 1];
	struct pl kpl = { key, 0 }, upl = { user, 0 };
	int n, err;

	/* a deleted agent may have its AoRs removed still */
	who.agent = q->registering ? q->registering
				   : present(s, &element_surrogate_agent,
					     q->owner.agent);
	if (!who.agent)
		return ESTALE;
	ref.item = who.agent;

	n = re_snprintf(key, sizeof(key), "%H", item_key_spell, &ref);
	if (n < 0)
		return EOVERFLOW;
	kpl.l = (size_t)n;
	n = aor_register_user(user, sizeof(user), &who);
	if (n < 0)
		return EOVERFLOW;
	upl.l = (size_t)n;

	err = credential_of_aor(s->worker->credentials, &kpl, &upl, out);
	if (err != ENOENT)
		return err;

	/* an auth-user without a group of "^" is one for all AoRs (7.2, 2) */
	if (*who.agent->auth_user && !strchr(who.agent->auth_user, '^'))
		return open_secret(s, who.agent->auth_user,
				   &who.agent->password, out);

	n = aor_auth_user(user, sizeof(user), &who);
	if (n < 0 || (size_t)n >= sizeof(user))
		return EOVERFLOW;
	user[n] = '\0';

	return open_secret(s, user, &who.agent->password, out);
}

static const struct auth_attribute *entry_of_row(
	const struct proof_setup *s, const struct credential_choice *choice,
	const struct pl *auth_realm);

/** Of a configuration that does not run: its entry, else an imported row; of this
 *  auth-realm alone. 0; ENOENT; errno */
static int open_row_of(const struct proof_setup *s,
		       const struct credential_choice *choice,
		       const struct credential_key *key, struct credential *out)
{
	const struct auth_attribute *entry =
		entry_of_row(s, choice, &key->auth_realm);

	if (entry && !pl_strcmp(&key->auth_realm, entry->auth_realm))
		return open_secret(s, entry->username, &entry->password, out);

	return credential_imported(s->worker->credentials, key, out);
}

static int open_row(const struct proof_setup *s,
		    struct credential_choice *choice, const struct pl *realm,
		    struct credential *out)
{
	struct credential_key key = { .auth_realm = *realm };
	int err;

	pl_set_str(&key.realm, choice->realm);
	pl_set_str(&key.lookup, choice->lookup);

	err = s->trial ? open_row_of(s, choice, &key, out)
		       : credential_get(s->worker->credentials, &key, out);
	if (err != ENOENT)
		return err;

	pl_set_str(&key.auth_realm, "*");
	choice->any = true;
	if (s->trial)
		return open_row_of(s, choice, &key, out);

	return credential_get(s->worker->credentials, &key, out);
}

static int open_choice(const struct proof_setup *s,
		       struct credential_choice *choice, const struct pl *realm,
		       struct credential *out)
{
	if (choice->of_agent)
		return open_agent(s, out);
	if (choice->realm && choice->lookup)
		return open_row(s, choice, realm, out);
	if (choice->entry)
		return open_secret(s, choice->entry->username,
				   &choice->entry->password, out);

	return ENOENT;
}

static bool falls_back(const struct proof_setup *s)
{
	const struct plan *plan = s->trial ? s->trial : s->worker->plan;

	return plan->sip->auth_lookup_miss == AUTH_LOOKUP_MISS_FALLBACK;
}

/** Where the search stands: has the last row failed it, or is it behind it? */
static bool search_goes_on(const struct proof_setup *s,
			   const struct credential_choice *choice)
{
	if (choice->by == BY_REGISTER)
		return false; /* row 1b */

	return !choice->required || falls_back(s);
}

/** An agent that is gone is as an entry that is gone (6.2) */
static int opened(int err, struct credential_choice *choice)
{
	if (err != ESTALE)
		return err;
	choice->required = true;

	return ENOENT;
}

/** Next row of 6.1; false: row 5 */
static bool choose(const struct proof_setup *s, const struct pl *realm,
		   enum credential_by *from, struct credential_choice *choice)
{
	struct credential_query q = s->query;
	enum credential_by before = *from;

	q.method = s->method;
	q.auth_realm = *realm;
	if (!q.to_registrar && q.owner.agent && s->knows)
		q.to_registrar = s->knows(s->worker, &q, realm);
	/* whether this AoR has some of its own is seen when they are opened */
	q.aor_credentials = true;
	q.egress = present(s, &element_session_agent, q.egress);
	q.ingress = present(s, &element_session_agent, q.ingress);
	credential_choose(&q, *from, choice);
	*from = choice->by;

	if (choice->by == BY_NOBODY)
		return false;

	/* row 3d: entries at the PBX's own session-agent never answer for it */
	if (choice->by == BY_INGRESS && q.owner.agent && !q.registering)
		return false;

	/* each search is behind the one before */
	return before == BY_REGISTER || choice->by > before;
}

static enum found fetch(const struct proof_setup *s, const struct pl *realm,
			struct credential *out,
			struct credential_choice *choice)
{
	enum credential_by from = BY_REGISTER;

	out->password[0] = '\0';
	while (choose(s, realm, &from, choice)) {
		int err = opened(open_choice(s, choice, realm, out), choice);

		if (!err)
			return FOUND;
		credential_wipe(out);
		if (err != ENOENT) {
			log_error(AUTH, "auth-credential",
				  "row=%s text=\"cannot be read: %s\"",
				  choice->row ? choice->row : "",
				  strerror(err));
			return FOUND_BROKEN;
		}
		if (!search_goes_on(s, choice))
			return FOUND_MISSING;
	}

	return FOUND_NOBODY;
}

/* What is told ------------------------------------------------------------ */

static void set_chars(char *buf, size_t size, const char *p, size_t l)
{
	if (l >= size)
		l = size - 1;
	if (l)
		memcpy(buf, p, l);
	buf[l] = '\0';
}

static void tell(struct proof_report *report, const struct pl *realm,
		 const struct credential_choice *choice, const char *user)
{
	const char *lookup = choice->lookup ? choice->lookup : "";

	if (!report)
		return;

	report->by = choice->by;
	report->row = choice->row;
	set_chars(report->auth_realm, sizeof(report->auth_realm), realm->p,
		  realm->l);
	set_chars(report->lookup, sizeof(report->lookup), lookup,
		  strlen(lookup));
	set_chars(report->user, sizeof(report->user), user, strlen(user));
}

static void lookup_object(char object[OBJECT_SIZE],
			  const struct credential_choice *choice)
{
	const char *words[] = { choice->realm ? choice->realm : "",
				choice->lookup ? choice->lookup : "" };

	join(object, OBJECT_SIZE, words, 2);
}

static void refused_object(char object[OBJECT_SIZE], const struct tries *t,
			   uint32_t i)
{
	const char *words[] = { t->of[i].realm,
				t->of[i].user ? t->of[i].user : "" };

	join(object, OBJECT_SIZE, words, 2);
}

/* rows 2c, 3c */
static void tell_missing(const struct proof_setup *s, const struct pl *realm,
			 const struct credential_choice *choice)
{
	char object[OBJECT_SIZE];

	if (s->query.registering)
		return; /* row 1b */

	count(COUNT_FAILED_NO_ENTRY, 1);
	if (!choice->lookup)
		return;
	lookup_object(object, choice);
	alarm_raise("auth-lookup-missing", ALARM_MAJOR, object,
		    "no credentials for auth-realm %.*s, method %.*s",
		    (int)realm->l, realm->p, (int)s->method.l, s->method.p);
}

static void tell_there(const struct credential_choice *choice)
{
	char object[OBJECT_SIZE];

	if (choice->of_agent || !choice->lookup)
		return;
	lookup_object(object, choice);
	alarm_clear("auth-lookup-missing", object);
}

/** The entry of a row 2 or 3b that was found: of this auth-realm, or the one for
 *  every one. False: the row has no entry in the table */
static bool entry_key(struct credential_key *key,
		      const struct credential_choice *choice,
		      const struct pl *realm)
{
	if (!choice->realm || !choice->lookup)
		return false;
	pl_set_str(&key->realm, choice->realm);
	pl_set_str(&key->lookup, choice->lookup);
	key->auth_realm = *realm;
	if (choice->any)
		pl_set_str(&key->auth_realm, "*");

	return true;
}

static void note_answered(const struct proof_setup *s,
			  const struct credential_choice *choice,
			  const struct pl *realm)
{
	struct credential_key key;

	if (entry_key(&key, choice, realm))
		usage_answered(s->worker->usage, &key, clock_wall());
}

/** Whose credentials a slot holds */
static void note_refused(const struct proof_setup *s, const struct tries *t,
			 uint32_t i)
{
	enum credential_by from = BY_REGISTER;
	struct credential_choice choice = { 0 };
	struct credential_key key;
	struct pl realm;

	pl_set_str(&realm, t->of[i].realm);
	while (choose(s, &realm, &from, &choice)) {
		if (choice.by != t->of[i].by)
			continue;
		if (!entry_key(&key, &choice, &realm))
			return;
		/* nothing was fetched that would say so */
		if (!credential_exists(s->worker->credentials, &key))
			pl_set_str(&key.auth_realm, "*");
		usage_refused(s->worker->usage, &key, clock_wall());
		return;
	}
}

static void tell_refused(const struct proof_setup *s, const struct tries *t,
			 uint32_t i)
{
	char object[OBJECT_SIZE];

	count(COUNT_REFUSED_TWICE, 1);
	if (s->query.registering)
		return; /* surrogate-credentials-refused says it */

	note_refused(s, t, i);
	refused_object(object, t, i);
	alarm_raise("auth-credentials-refused", ALARM_MAJOR, object,
		    "refused twice with fresh nonces, row %s, method %.*s",
		    credential_by_name(t->of[i].by), (int)s->method.l,
		    s->method.p);
}

static void count_answer(enum credential_by by)
{
	static const enum counter counters[] = {
		[BY_REGISTER] = COUNT_ANSWERED_REGISTER,
		[BY_POLICY] = COUNT_ANSWERED_POLICY,
		[BY_SURROGATE] = COUNT_ANSWERED_SURROGATE,
		[BY_EGRESS] = COUNT_ANSWERED_EGRESS,
		[BY_INGRESS] = COUNT_ANSWERED_INGRESS,
	};

	if (by < BY_NOBODY)
		count(counters[by], 1);
}

/* Computing --------------------------------------------------------------- */

static int write_answer(const struct proof_setup *s, const struct pl *realm_raw,
			const struct nonce_entry *e, bool proxy,
			const struct credential *cred, struct mbuf *headers)
{
	struct digest_input in = {
		.algorithm = e->algorithm,
		.qop = e->qop,
		.userhash = e->userhash,
		.has_algorithm = e->has_algorithm,
		.has_opaque = e->has_opaque,
		.realm = *realm_raw,
		.nonce = e->nonce,
		.opaque = e->opaque,
		.password = cred->password,
		.method = s->method,
		.uri = s->uri,
		.body = s->body,
		.nc = e->nc,
		.proxy = proxy,
	};

	pl_set_str(&in.username, cred->username);
	in.cnonce = e->cnonce;

	return digest_write(headers, &in);
}

/** A realm as it stands between quotes */
static int quote_realm(char *buf, size_t size, const char *realm,
		       struct pl *out)
{
	size_t n = 0;

	for (; *realm; realm++) {
		if (n + 2 > size)
			return EOVERFLOW;
		if (*realm == '"' || *realm == '\\')
			buf[n++] = '\\';
		buf[n++] = *realm;
	}
	out->p = buf;
	out->l = n;

	return 0;
}

static void entry_of_challenge(struct nonce_entry *e, const struct challenge *c)
{
	e->nonce = c->nonce;
	e->opaque = c->opaque;
	e->algorithm = digest_algorithm(c);
	e->qop = digest_qop(c);
	e->userhash = c->userhash;
	e->has_algorithm = c->has_algorithm;
	e->has_opaque = c->has_opaque;
}

/**
 * What a slot answers with now: nc raised, by the cache where the nonce stands
 * there (others may have used it), else by the slot
 *
 * @return 0; ENOENT an answer of the cache whose entry is gone
 */
static int slot_use(const struct proof_setup *s, struct tries *t, uint32_t i,
		    struct nonce_entry *e)
{
	const struct challenge *c = slot_challenge(t, i);
	struct nonce_key key = slot_key(s, t, i);
	struct pl nonce;

	pl_set_str(&nonce, SLOT(t, i)->nonce);
	if (!nonce_take_same(s->worker->nonces, &key, &nonce, clock_ms(), e)) {
		memcpy(SLOT(t, i)->cnonce, e->cnonce, sizeof(e->cnonce));
		SLOT(t, i)->nc = e->nc;
	} else {
		if (!c)
			return ENOENT;
		entry_of_challenge(e, c);
		memcpy(e->cnonce, SLOT(t, i)->cnonce, sizeof(e->cnonce));
		e->nc = ++SLOT(t, i)->nc;
	}

	return 0;
}

static int slot_write(const struct proof_setup *s, struct tries *t, uint32_t i,
		      const struct credential *cred, struct mbuf *headers)
{
	const struct challenge *c = slot_challenge(t, i);
	char quoted[2 * REALM_SIZE];
	struct nonce_entry e;
	struct pl raw;
	int err = slot_use(s, t, i, &e);

	if (err)
		return err;

	/* byte by byte as it came, where that is known */
	if (c)
		raw = c->realm;
	else
		err = quote_realm(quoted, sizeof(quoted), SLOT(t, i)->realm,
				  &raw);
	if (err)
		return err;

	return write_answer(s, &raw, &e, SLOT(t, i)->proxy, cred, headers);
}

/** A slot takes up a challenge; a nonce it knows goes on with its nc */
static int slot_take(struct tries *t, uint32_t i, const struct pick *p,
		     const char *user)
{
	struct pl upl;
	bool same;
	int err;

	pl_set_str(&upl, user);
	same = SLOT(t, i)->nonce && SLOT(t, i)->user &&
	       !pl_strcmp(&p->c.nonce, SLOT(t, i)->nonce) &&
	       !strcmp(SLOT(t, i)->user, user);

	err = set_text(&SLOT(t, i)->nonce, &p->c.nonce);
	if (!err)
		err = set_text(&SLOT(t, i)->user, &upl);
	if (!err)
		err = slot_keep_challenge(t, i, p);
	if (err)
		return err;

	SLOT(t, i)->cached = false;
	if (!same) {
		new_cnonce(SLOT(t, i)->cnonce);
		SLOT(t, i)->nc = 0;
	}

	return 0;
}

/* The table of 6.4 -------------------------------------------------------- */

static enum verdict judge(const struct tries *t, uint32_t i,
			  const struct pick *p)
{
	if (t->of[i].cached)
		return VERDICT_FREE;
	if (!p->c.stale)
		return VERDICT_REFUSED;

	return t->of[i].stale_used ? VERDICT_SPENT : VERDICT_STALE;
}

/* The target wants the other header with this method: what was sent unasked is
 * not refused, it was the wrong one */
static void drop_other_header(const struct proof_setup *s, struct tries *t,
			      const struct picks *picks, const struct pick *p)
{
	int i = slot_find(t, &p->realm, !p->proxy);
	struct nonce_key key;

	if (i < 0 || !t->of[i].cached || pick_of(picks, t, (uint32_t)i))
		return;

	count(COUNT_PREEMPTIVE_CHALLENGED, 1);
	key = slot_key(s, t, (uint32_t)i);
	nonce_wanted(s->worker->nonces, &key, method_find(&s->method), false);
	slot_drop(t, (uint32_t)i);
}

/** Challenges of realms that were answered before; false: final */
static bool judge_all(const struct proof_setup *s, struct tries *t,
		      const struct picks *picks)
{
	for (uint32_t k = 0; k < picks->n; k++) {
		const struct pick *p = &picks->of[k];
		int i = slot_find(t, &p->realm, p->proxy);
		struct nonce_key key;
		bool fresh;

		if (i < 0) {
			drop_other_header(s, t, picks, p);
			continue;
		}

		key = slot_key(s, t, (uint32_t)i);
		switch (judge(t, (uint32_t)i, p)) {
		case VERDICT_FREE:
			count(COUNT_PREEMPTIVE_CHALLENGED, 1);
			if (nonce_refused(s->worker->nonces, &key, clock_ms()))
				count(COUNT_NONCE_ONCE_TARGETS, 1);
			break;
		case VERDICT_STALE:
			count(COUNT_STALE_RETRIES, 1);
			SLOT(t, i)->stale_used = true;
			break;
		case VERDICT_REFUSED:
			fresh = pl_strcmp(&p->c.nonce, SLOT(t, i)->nonce) != 0;
			nonce_drop(s->worker->nonces, &key);
			if (fresh)
				tell_refused(s, t, (uint32_t)i);
			return false;
		case VERDICT_SPENT:
			nonce_drop(s->worker->nonces, &key);
			return false;
		}
	}

	return true;
}

/* One retry --------------------------------------------------------------- */

struct retry {
	const struct proof_setup *s;
	struct tries *t;
	const struct picks *picks;
	struct mbuf *headers;
	struct proof_report *report;
	uint32_t answered;          /* of the challenges that came */
	const struct pick *unknown; /* no credentials for this realm */
	const struct pick *missed;  /* row 2c or 3c: the first one */
	struct credential_choice miss;
	bool missing, over;
};

/** Answer a slot: with the challenge that came, or once more the one it has.
 *  0; ENOENT no credentials, or nothing to answer with; errno */
static int retry_slot(struct retry *r, uint32_t i)
{
	const struct pick *p = pick_of(r->picks, r->t, i);
	struct credential_choice choice = { 0 };
	struct credential cred;
	enum found found;
	struct pl realm;
	int err = 0;

	pl_set_str(&realm, SLOT(r->t, i)->realm);
	found = fetch(r->s, &realm, &cred, &choice);
	if (found != FOUND) {
		if (!p)
			return ENOENT;
		r->unknown = p;
		if (found == FOUND_NOBODY)
			return ENOENT;
		r->missing = true;
		if (!r->answered)
			tell(r->report, &realm, &choice, "");
		if (found == FOUND_MISSING && !r->missed) {
			r->missed = p;
			r->miss = choice;
		}
		return ENOENT;
	}

	if (p)
		err = slot_take(r->t, i, p, cred.username);
	if (!err)
		err = slot_write(r->s, r->t, i, &cred, r->headers);
	if (!err && p) {
		SLOT(r->t, i)->by = (uint8_t)choice.by;
		if (!r->answered++)
			tell(r->report, &realm, &choice, cred.username);
		count_answer(choice.by);
		tell_there(&choice);
		note_answered(r->s, &choice, &realm);
	}
	credential_wipe(&cred);

	return err;
}

/** All realms that were answered, then the new ones */
static int retry_all(struct retry *r)
{
	uint32_t before = r->t->n;
	int err;

	for (uint32_t i = 0; i < before; i++) {
		err = retry_slot(r, i);
		if (err && err != ENOENT)
			return err;
	}

	for (uint32_t k = 0; k < r->picks->n; k++) {
		const struct pick *p = &r->picks->of[k];

		if (slot_find(r->t, &p->realm, p->proxy) >= 0)
			continue;
		err = slot_add(r->t, &p->realm, p->proxy);
		if (err == ENOSPC) {
			r->over = true;
			continue;
		}
		if (err)
			return err;
		err = retry_slot(r, r->t->n - 1);
		if (err)
			slot_drop_last(r->t);
		if (err && err != ENOENT)
			return err;
	}

	return 0;
}

static enum proof nobody(const struct proof_setup *s)
{
	if (!s->query.registering)
		count(COUNT_PASSED_THROUGH, 1);

	return PROOF_NOBODY;
}

static void tell_unknown(const struct retry *r)
{
	char object[OBJECT_SIZE];

	set_chars(object, sizeof(object), r->unknown->realm.p,
		  r->unknown->realm.l);
	alarm_raise("auth-realm-unknown", ALARM_WARNING, object,
		    "no credentials, though other realms of the target have");
}

void tries_reset(struct tries *t)
{
	while (t->n)
		slot_drop_last(t);
	t->sends = 0;
}

/** For show credentials seen, and the rule that asks for missing entries */
static void note(const struct proof_setup *s, const struct tries *t,
		 const struct picks *picks, bool answered)
{
	for (uint32_t k = 0; k < picks->n && s->query.egress_realm; k++) {
		const struct pick *p = &picks->of[k];
		int i = slot_find(t, &p->realm, p->proxy);
		const struct challenger what = {
			.realm = s->query.egress_realm,
			.target = s->target,
			.auth_realm = p->realm,
			.algorithms = p->algorithms,
			.registering = s->query.registering != NULL,
			.by = answered && i >= 0
				      ? (enum credential_by)t->of[i].by
				      : BY_NOBODY,
		};

		challengers_note(s->worker->challengers, &what);
	}
}

static enum proof answer(const struct proof_setup *setup, struct tries *tries,
			 const struct picks *picks, struct mbuf *headers,
			 struct proof_report *report)
{
	struct retry r = {
		.s = setup,
		.t = tries,
		.picks = picks,
		.headers = headers,
		.report = report,
	};
	size_t begun = headers->end;
	int err;

	if (!judge_all(setup, tries, picks))
		return PROOF_SPENT;
	if (tries->sends >= PROOF_SENDS)
		return PROOF_SPENT;

	err = retry_all(&r);
	if (!err && r.answered) {
		if (r.unknown)
			tell_unknown(&r);
		tries->sends++;
		return PROOF_READY;
	}

	headers->pos = headers->end = begun;
	if (err)
		log_error(AUTH, "auth-answer", "text=\"%s\"", strerror(err));
	if (r.missed)
		tell_missing(setup, &r.missed->realm, &r.miss);
	if (r.missing)
		return PROOF_MISSING;
	if (err || r.over)
		return PROOF_SPENT;

	return nobody(setup);
}

enum proof prove_challenge(const struct proof_setup *setup, struct tries *tries,
			   struct mbuf *headers, struct proof_report *report,
			   proof_h *h, void *arg)
{
	struct picks picks;
	enum proof proof;

	count(COUNT_CHALLENGES, 1);
	if (!tries->sends)
		tries->sends = 1; /* the request that was challenged */

	picks_take(&picks, tries, setup->challenge);
	if (!picks.n)
		return tries->n ? PROOF_SPENT : nobody(setup);

	proof = answer(setup, tries, &picks, headers, report);
	note(setup, tries, &picks, proof == PROOF_READY);

	return proof;
}

/** The entry of a row 2 or 3b, as the configuration has it; NULL: imported */
static const struct auth_attribute *entry_of_row(
	const struct proof_setup *s, const struct credential_choice *choice,
	const struct pl *auth_realm)
{
	const struct plan *plan = s->trial ? s->trial : s->worker->plan;
	const struct realm *realm = realm_named(plan->realms, choice->realm);
	const struct auth_attribute *any = NULL;
	const struct items *all;

	if (!realm)
		return NULL;

	all = &realm->config->auth_attributes;
	for (uint32_t i = 0; i < all->n; i++) {
		const struct auth_attribute *entry = all->v[i];

		if (strcmp(entry->auth_user_lookup, choice->lookup))
			continue;
		if (!pl_strcmp(auth_realm, entry->auth_realm))
			return entry;
		if (!strcmp(entry->auth_realm, "*"))
			any = entry;
	}

	return any;
}

/** May this method carry credentials unasked (6.4)? Those of agents have
 *  auth-methods, which the choice has heeded */
static bool may_go_ahead(const struct proof_setup *s,
			 const struct credential_choice *choice,
			 const struct pl *auth_realm)
{
	const struct auth_attribute *entry = choice->entry;
	const struct names *methods;

	if (!s->in_dialog)
		return true;
	if (!entry && choice->realm && choice->lookup)
		entry = entry_of_row(s, choice, auth_realm);
	if (!entry)
		return true;
	methods = &entry->in_dialog_methods;

	return !methods->n || names_have(methods, &s->method);
}

/** Credentials ahead in one header. 0; ENOENT no nonce; errno */
static int ahead_header(const struct proof_setup *s, struct tries *t,
			const struct nonce_key *key,
			const struct credential *cred, enum credential_by by,
			struct mbuf *headers)
{
	char quoted[2 * REALM_SIZE];
	struct nonce_entry e;
	struct pl raw;
	uint32_t i;
	int err;

	err = nonce_take(s->worker->nonces, key, clock_ms(), &e);
	if (!err)
		err = slot_add(t, &key->realm, key->proxy);
	if (err)
		return err;

	i = t->n - 1;
	SLOT(t, i)->cached = true;
	SLOT(t, i)->by = (uint8_t)by;
	SLOT(t, i)->nc = e.nc;
	memcpy(SLOT(t, i)->cnonce, e.cnonce, sizeof(e.cnonce));
	err = set_text(&SLOT(t, i)->nonce, &e.nonce);
	err |= set_text(&SLOT(t, i)->user, &key->user);
	err |= quote_realm(quoted, sizeof(quoted), SLOT(t, i)->realm, &raw);
	if (!err)
		err = write_answer(s, &raw, &e, key->proxy, cred, headers);
	if (err)
		slot_drop_last(t);
	else
		count(COUNT_PREEMPTIVE_SENT, 1);

	return err;
}

/** In the headers that the target wants with this method; while that is not
 *  known, in the one for which there is a nonce */
static int ahead_headers(const struct proof_setup *s, struct tries *t,
			 struct nonce_key *key, const struct credential *cred,
			 enum credential_by by, struct mbuf *headers)
{
	const enum method_id method = method_find(&s->method);
	const unsigned wants = nonce_wants(s->worker->nonces, key, method);
	bool sent = false;
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		/* a registrar asks with 401, a proxy with 407 */
		key->proxy = (i == 0) != (method == REGISTER);
		if (wants ? !(wants & (key->proxy ? NONCE_PROXY : NONCE_WWW))
			  : sent)
			continue;
		err = ahead_header(s, t, key, cred, by, headers);
		sent |= !err;
		if (err == ENOENT || err == ENOSPC)
			err = 0;
	}
	count(sent ? COUNT_CACHE_HITS : COUNT_CACHE_MISSES, 1);

	return err;
}

/** Credentials of one realm. 0, also when there are none; ENOMEM */
static int ahead_realm(const struct proof_setup *s, struct tries *t,
		       const struct pl *realm, struct mbuf *headers)
{
	struct credential_choice choice = { 0 };
	struct credential cred;
	struct nonce_key key = { .target = s->target, .realm = *realm };
	uint32_t before = t->n;
	int err = 0;

	if (fetch(s, realm, &cred, &choice) != FOUND)
		return 0;

	pl_set_str(&key.user, cred.username);
	if (may_go_ahead(s, &choice, realm))
		err = ahead_headers(s, t, &key, &cred, choice.by, headers);
	if (t->n > before)
		note_answered(s, &choice, realm);
	credential_wipe(&cred);

	return err;
}

int prove_ahead(const struct proof_setup *setup, struct tries *tries,
		struct mbuf *headers)
{
	size_t begun = headers->end;
	struct pl realm;
	int err = 0;

	tries->sends = 1;
	if (nonces_rest(setup->worker->nonces, setup->target, clock_ms()))
		return 0;

	for (uint32_t n = 0; !err && tries->n < PROOF_REALMS; n++) {
		if (nonces_realm(setup->worker->nonces, setup->target, n,
				 &realm))
			break;
		err = ahead_realm(setup, tries, &realm, headers);
	}
	if (!err)
		return 0;

	/* without credentials it is challenged, and that is all */
	headers->pos = headers->end = begun;
	tries_reset(tries);
	tries->sends = 1;

	return err == ENOMEM ? ENOMEM : 0;
}

static void replace(const struct tries *t, struct message *out, bool proxy)
{
	const enum header_id id =
		proxy ? HDR_PROXY_AUTHORIZATION : HDR_AUTHORIZATION;
	const struct header *h = message_first(out, id), *next;

	for (; h; h = next) {
		struct pl value = header_value(out, h);
		struct pick p;

		next = message_next(out, h);
		if (!challenge_read(&p.c, &value) && undo_realm(&p) &&
		    slot_find(t, &p.realm, proxy) >= 0)
			message_remove(out, h);
	}
}

void prove_replace(const struct tries *tries, struct message *out)
{
	if (!tries->n)
		return;

	replace(tries, out, false);
	replace(tries, out, true);
}

/* The answer -------------------------------------------------------------- */

/** What Authentication-Info says (RFC 7616 3.5) */
struct info {
	struct pl nextnonce, rspauth, cnonce;
};

static struct pl unquoted(const struct pl *v)
{
	struct pl pl = *v;

	if (pl.l >= 2 && pl.p[0] == '"') {
		pl.p++;
		pl.l -= 2;
	}

	return pl;
}

static int info_read(struct info *info, const struct pl *value)
{
	struct pl rest = *value, name, val;
	int err;

	memset(info, 0, sizeof(*info));
	while (!(err = digest_param_next(&rest, &name, &val))) {
		if (is_word(&name, "nextnonce"))
			info->nextnonce = unquoted(&val);
		else if (is_word(&name, "rspauth"))
			info->rspauth = unquoted(&val);
		else if (is_word(&name, "cnonce"))
			info->cnonce = unquoted(&val);
	}

	return err == ENOENT ? 0 : err;
}

/** The slot that an info speaks of: that of its cnonce, else the only one */
static int info_slot(const struct tries *t, const struct info *info, bool proxy)
{
	int only = -1, n = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		if (t->of[i].proxy != proxy)
			continue;
		if (info->cnonce.l &&
		    !pl_strcmp(&info->cnonce, t->of[i].cnonce))
			return (int)i;
		only = (int)i;
		n++;
	}

	return n == 1 ? only : -1;
}

/** Does the peer know the password too? True also when it cannot be told */
static bool info_right(const struct proof_setup *s, struct tries *t, uint32_t i,
		       const struct info *info, const struct message *answer)
{
	struct credential_choice choice = { 0 };
	struct digest_input in = { 0 };
	struct nonce_entry e;
	struct nonce_key key = slot_key(s, t, i);
	struct credential cred;
	const struct challenge *c = slot_challenge(t, i);
	char quoted[2 * REALM_SIZE], mine[129];
	struct pl nonce;
	bool right = true;

	if (!info->rspauth.l)
		return true;

	pl_set_str(&nonce, t->of[i].nonce);
	if (c)
		entry_of_challenge(&e, c);
	else if (nonce_look(s->worker->nonces, &key, &nonce, &e))
		return true;

	if (quote_realm(quoted, sizeof(quoted), t->of[i].realm, &in.realm) ||
	    fetch(s, &key.realm, &cred, &choice) != FOUND)
		return true;

	in.algorithm = e.algorithm;
	in.qop = e.qop;
	in.nonce = nonce;
	in.username = key.user;
	in.password = cred.password;
	in.uri = s->uri;
	in.body = answer->body;
	in.nc = t->of[i].nc;
	in.cnonce = t->of[i].cnonce;
	if (!digest_response(mine, &in, true))
		right = !pl_strcasecmp(&info->rspauth, mine);
	credential_wipe(&cred);

	return right;
}

static void info_take(const struct proof_setup *s, struct tries *t,
		      const struct message *answer, const struct pl *value,
		      bool proxy)
{
	struct nonce_key key;
	struct info info;
	int i;

	if (info_read(&info, value))
		return;
	i = info_slot(t, &info, proxy);
	if (i < 0)
		return;

	key = slot_key(s, t, (uint32_t)i);
	if (!info_right(s, t, (uint32_t)i, &info, answer)) {
		nonce_drop(s->worker->nonces, &key);
		count(COUNT_RSPAUTH_WRONG, 1);
		if (log_admit("auth-rspauth"))
			log_warning(AUTH, "auth-rspauth",
				    "realm=%s text=\"wrong rspauth, nonce "
				    "dropped\"",
				    t->of[i].realm);
		return;
	}
	if (info.nextnonce.l &&
	    !nonce_next(s->worker->nonces, &key, &info.nextnonce))
		count(COUNT_NEXT_NONCES, 1);
}

static void info_all(const struct proof_setup *s, struct tries *t,
		     const struct message *answer)
{
	static const enum header_id ids[] = { HDR_AUTHENTICATION_INFO,
					      HDR_PROXY_AUTHENTICATION_INFO };

	for (size_t k = 0; k < 2; k++) {
		const struct header *h = message_first(answer, ids[k]);

		for (; h; h = message_next(answer, h)) {
			struct pl value = header_value(answer, h);

			info_take(s, t, answer, &value, k == 1);
		}
	}
}

bool prove_report(const struct proof_setup *setup, const struct tries *tries,
		  struct proof_report *report)
{
	struct credential_choice choice = { .by = BY_REGISTER };
	enum credential_by from = BY_REGISTER;
	struct pl realm;

	if (!tries->n || !tries->of[0].user)
		return false;

	/* The look-up is that of the row which gave it */
	pl_set_str(&realm, tries->of[0].realm);
	while (choose(setup, &realm, &from, &choice) &&
	       choice.by != tries->of[0].by)
		;
	choice.by = tries->of[0].by;
	tell(report, &realm, &choice, tries->of[0].user);

	return true;
}

static void slot_accept(const struct proof_setup *s, struct tries *t,
			uint32_t i)
{
	struct nonce_key key = slot_key(s, t, i);
	const struct challenge *c = slot_challenge(t, i);
	char object[OBJECT_SIZE];

	if (t->of[i].cached) {
		nonce_worked(s->worker->nonces, &key);
		nonce_wanted(s->worker->nonces, &key, method_find(&s->method),
			     true);
		return;
	}
	/* what cannot be kept is asked for once more */
	if (c)
		(void)nonce_put(s->worker->nonces, &key, c, t->of[i].cnonce,
				t->of[i].nc, clock_ms());
	nonce_wanted(s->worker->nonces, &key, method_find(&s->method), true);

	if (s->query.registering)
		return;
	refused_object(object, t, i);
	alarm_clear("auth-credentials-refused", object);
}

void prove_accepted(const struct proof_setup *setup, struct tries *tries,
		    const struct message *answer)
{
	for (uint32_t i = 0; i < tries->n; i++) {
		struct nonce_key key = slot_key(setup, tries, i);

		if (!tries->of[i].user || !tries->of[i].nonce)
			continue;
		if (answer->code == 403)
			nonce_drop(setup->worker->nonces, &key);
		else
			slot_accept(setup, tries, i);
	}
	if (answer->code != 403)
		info_all(setup, tries, answer);
}

/** Is it the entry for every auth-realm that answered? */
static bool is_wildcard(const struct credential_choice *choice)
{
	if (choice->realm && choice->lookup)
		return choice->any;

	return choice->entry && !strcmp(choice->entry->auth_realm, "*");
}

/** The letter behind the number says what was found */
static const char *row_name(const struct proof_explanation *e)
{
	switch (e->choice.by) {

	case BY_REGISTER:
		return e->found ? "1a" : "1b";
	case BY_POLICY:
		return !e->found ? "2c" : e->any ? "2b" : "2a";
	case BY_SURROGATE:
		if (e->choice.of_agent)
			return "3a";
		return e->found ? "3b" : "3c";
	case BY_EGRESS:
	case BY_INGRESS:
	case BY_NOBODY:
		break;
	}

	return e->choice.row;
}

uint32_t prove_realms(const struct message *challenge, struct proof_realm *out,
		      uint32_t n)
{
	static const struct tries none;
	struct picks picks;
	uint32_t i;

	picks_take(&picks, &none, challenge);
	for (i = 0; i < picks.n && i < n; i++) {
		const struct pick *p = &picks.of[i];

		set_chars(out[i].auth_realm, sizeof(out[i].auth_realm),
			  p->realm.p, p->realm.l);
		out[i].algorithm =
			digest_algorithm_name(digest_algorithm(&p->c));
		out[i].proxy = p->proxy;
	}

	return i;
}

void prove_explain(const struct proof_setup *setup, const struct pl *auth_realm,
		   struct proof_explanation *out)
{
	enum credential_by from = BY_REGISTER;
	struct credential cred = { .password = "" };

	memset(out, 0, sizeof(*out));
	for (;;) {
		if (!choose(setup, auth_realm, &from, &out->choice)) {
			out->choice =
				(struct credential_choice){ .by = BY_NOBODY,
							    .row = "5" };
			return;
		}
		out->found =
			!open_choice(setup, &out->choice, auth_realm, &cred);
		if (out->found)
			set_chars(out->user, sizeof(out->user), cred.username,
				  strlen(cred.username));
		credential_wipe(&cred);
		if (out->found || !search_goes_on(setup, &out->choice))
			break;
	}
	out->any = out->found && is_wildcard(&out->choice);
	out->choice.row = row_name(out);
}
