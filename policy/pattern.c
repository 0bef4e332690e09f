/*
 * Match users, hosts and digits as local policies write them
 *
 * An index keeps each kind of pattern where it is found in a few steps:
 *
 *   digits      trie over the digits; one walk along the user part
 *   123*456     trie over 123, below it a trie over 654: one walk from the left
 *               and, for each head found, one from the right
 *   hosts,      hash table; one probe for the host, one for user and host, and
 *   user@host   one for each dot of the host (`.example.net`)
 *   *           one pointer
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "store/base.h"
#include "store/hash.h"
#include "realms/radix.h"
#include "policy/pattern.h"

/* A pattern of the hash table */
struct host_slot {
	struct entry e;
	struct host_slot *next; /* all of an index, to free them */
	const struct pattern *pattern;
	char user[PATTERN_TEXT];
	size_t user_len;
	void *value;
};

struct pattern_index {
	struct trie *digits; /* -> value */
	struct trie *around; /* head -> struct tails */
	struct table hosts;  /* of struct host_slot */
	struct host_slot *all;
	void *any;
};

struct tails {
	struct trie *reversed;
};

/* --- text of a URI --- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;

	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t unescape(char *buf, size_t size, const struct pl *text)
{
	size_t n = 0;

	for (size_t i = 0; i < text->l && n < size; ++i) {
		char c = text->p[i];

		if (c == '%' && i + 2 < text->l && hex(text->p[i + 1]) >= 0 &&
		    hex(text->p[i + 2]) >= 0) {
			c = (char)(hex(text->p[i + 1]) << 4 |
				   hex(text->p[i + 2]));
			i += 2;
		}
		buf[n++] = c;
	}

	return n;
}

static bool is_separator(char c)
{
	return c == '-' || c == '.' || c == '(' || c == ')';
}

/* Length without parameters; 0 when it is no number (RFC 3966 3) */
static size_t number_length(const char *p, size_t l)
{
	size_t digits = 0, i;

	for (i = 0; i < l && p[i] != ';'; ++i) {
		if (isdigit((unsigned char)p[i]) || p[i] == '*' || p[i] == '#')
			++digits;
		else if (!is_separator(p[i]) && !(p[i] == '+' && i == 0))
			return 0;
	}

	return digits ? i : 0;
}

/* Digits with or without a plus, copied as far as there is room; 0: something
 * else is in it, too */
static size_t plain_copy(char *buf, size_t size, const struct pl *user)
{
	size_t n = user->l < size ? user->l : size;

	for (size_t i = 0; i < n; ++i) {
		char c = user->p[i];

		if ((c < '0' || c > '9') && !(c == '+' && i == 0 && n > 1))
			return 0;
		buf[i] = c;
	}

	return n;
}

size_t digits_copy(char *buf, size_t size, const struct pl *user)
{
	size_t n = plain_copy(buf, size, user);
	size_t number, to = 0;

	if (n)
		return n;
	n = unescape(buf, size, user);
	number = number_length(buf, n);
	if (!number)
		return n;

	for (size_t i = 0; i < number; ++i) {
		if (!is_separator(buf[i]))
			buf[to++] = buf[i];
	}

	return to;
}

void pattern_key_read(struct pattern_key *key, const struct uri *uri)
{
	bool is_tel = is_word(&uri->scheme, "tel");
	struct pl host = uri->host;

	key->user_len = digits_copy(key->user, sizeof(key->user), &uri->user);
	key->user_cut = key->user_len == sizeof(key->user);
	key->host_len = 0;
	sa_init(&key->addr, AF_UNSPEC);
	if (is_tel || !host.l)
		return;

	if (!uri_is_numeric(uri, &key->addr))
		sa_init(&key->addr, AF_UNSPEC);
	if (host.l > 1 && host.p[host.l - 1] == '.')
		--host.l;
	if (host.l > sizeof(key->host))
		return;
	for (size_t i = 0; i < host.l; ++i)
		key->host[i] = (char)tolower((unsigned char)host.p[i]);
	key->host_len = host.l;
}

/* --- one pattern --- */

static struct pl pattern_host(const struct pattern *p)
{
	struct pl host = p->host;

	if (host.l > 1 && host.p[host.l - 1] == '.')
		--host.l;

	return host;
}

static bool host_matches(const struct pattern *p, const struct pattern_key *key)
{
	struct pl host = pattern_host(p);

	if (sa_isset(&p->addr, SA_ADDR))
		return sa_cmp(&p->addr, &key->addr, SA_ADDR);

	return host.l == key->host_len && !memcmp(host.p, key->host, host.l);
}

static bool is_below(const struct pattern *p, const struct pattern_key *key)
{
	struct pl host = pattern_host(p);
	size_t skip = key->host_len - host.l;

	return key->host_len > host.l + 1 && key->host[skip - 1] == '.' &&
	       !memcmp(key->host + skip, host.p, host.l);
}

static bool user_begins(const struct pattern_key *key, const struct pl *head)
{
	return key->user_len >= head->l && !memcmp(key->user, head->p, head->l);
}

/* The inner `*` stands for nothing or more: head and tail do not overlap */
static bool user_ends(const struct pattern_key *key, const struct pattern *p)
{
	return !key->user_cut && key->user_len >= p->head.l + p->tail.l &&
	       !memcmp(key->user + key->user_len - p->tail.l, p->tail.p,
		       p->tail.l);
}

static bool user_is(const struct pattern_key *key, const struct pl *user)
{
	char buf[PATTERN_TEXT];
	size_t n = digits_copy(buf, sizeof(buf), user);

	return !key->user_cut && key->user_len == n &&
	       !memcmp(key->user, buf, n);
}

bool pattern_matches(const struct pattern *p, const struct pattern_key *key)
{
	switch ((enum pattern_kind)p->kind) {

	case PATTERN_ANY:
		return true;

	case PATTERN_DIGITS:
		return user_begins(key, &p->head);

	case PATTERN_AROUND:
		return user_begins(key, &p->head) && user_ends(key, p);

	case PATTERN_HOST:
	case PATTERN_ADDRESS:
		return host_matches(p, key);

	case PATTERN_BELOW:
		return is_below(p, key);

	case PATTERN_USER_HOST:
		return user_is(key, &p->head) && host_matches(p, key);
	}

	return false;
}

struct pattern_rank pattern_rank(const struct pattern *p)
{
	struct pattern_rank rank = { .length = p->length };

	rank.is_explicit = p->kind != PATTERN_ANY && p->kind != PATTERN_AROUND;

	return rank;
}

bool pattern_match(const struct pattern *p, const struct uri *uri,
		   uint16_t *length)
{
	struct pattern_key key;

	pattern_key_read(&key, uri);
	if (!pattern_matches(p, &key))
		return false;

	*length = p->length;

	return true;
}

int patterns_matches(const struct patterns *list, const struct pattern_key *key)
{
	struct pattern_rank best = { 0 };
	int at = -1;

	for (uint32_t i = 0; i < list->n; ++i) {
		struct pattern_rank rank = pattern_rank(&list->v[i]);

		if (!pattern_matches(&list->v[i], key))
			continue;
		if (at < 0 || rank.length > best.length ||
		    (rank.length == best.length &&
		     rank.is_explicit > best.is_explicit)) {
			at = (int)i;
			best = rank;
		}
	}

	return at;
}

int patterns_match(const struct patterns *list, const struct uri *uri)
{
	struct pattern_key key;

	pattern_key_read(&key, uri);

	return patterns_matches(list, &key);
}

/* --- index: building --- */

static void tails_destructor(void *arg)
{
	struct tails *tails = arg;

	mem_deref(tails->reversed);
}

static void index_destructor(void *arg)
{
	struct pattern_index *x = arg;

	while (x->all) {
		struct host_slot *slot = x->all;

		x->all = slot->next;
		mem_deref(slot->value);
		mem_deref(slot);
	}
	table_finish(&x->hosts);
	mem_deref(x->digits);
	mem_deref(x->around);
	mem_deref(x->any);
}

int pattern_index_alloc(struct pattern_index **xp)
{
	struct pattern_index *x = mem_zalloc(sizeof(*x), index_destructor);

	if (!x)
		return ENOMEM;

	table_init(&x->hosts);
	*xp = x;

	return 0;
}

static void reverse(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; ++i)
		to[i] = from[n - 1 - i];
}

static int around_slot(void ***slotp, struct pattern_index *x,
		       const struct pattern *p)
{
	char reversed[PATTERN_TEXT];
	struct pl tail = { reversed, p->tail.l };
	struct tails *tails;
	void **slot;
	int err = 0;

	if (p->tail.l > sizeof(reversed))
		return EINVAL;

	if (!x->around)
		err = trie_alloc(&x->around);
	if (!err)
		err = trie_slot(&slot, x->around, &p->head);
	if (err)
		return err;

	if (!*slot) {
		tails = mem_zalloc(sizeof(*tails), tails_destructor);
		if (!tails)
			return ENOMEM;
		err = trie_alloc(&tails->reversed);
		if (err) {
			mem_deref(tails);
			return err;
		}
		*slot = tails;
	}

	tails = *slot;
	reverse(reversed, p->tail.p, p->tail.l);

	return trie_slot(slotp, tails->reversed, &tail);
}

static uint64_t host_hash(const struct sa *addr, const char *host, size_t len)
{
	if (sa_af(addr) == AF_INET)
		return hash_bytes(&addr->u.in.sin_addr, 4);
	if (sa_af(addr) == AF_INET6)
		return hash_bytes(&addr->u.in6.sin6_addr, 16);

	return hash_bytes(host, len);
}

/* One table for all kinds: the kind is part of the key */
static uint64_t kind_hash(enum pattern_kind kind, uint64_t host)
{
	return hash_mix(kind, host);
}

static uint64_t user_hash(const char *user, size_t len, uint64_t host)
{
	return hash_mix(kind_hash(PATTERN_USER_HOST, host),
			hash_bytes(user, len));
}

static bool same_pattern(const struct entry *e, const void *key)
{
	const struct host_slot *a = (const struct host_slot *)e;
	const struct host_slot *b = key;
	struct pl x = pattern_host(a->pattern), y = pattern_host(b->pattern);

	if (a->pattern->kind != b->pattern->kind ||
	    a->user_len != b->user_len || memcmp(a->user, b->user, a->user_len))
		return false;
	if (sa_isset(&a->pattern->addr, SA_ADDR))
		return sa_cmp(&a->pattern->addr, &b->pattern->addr, SA_ADDR);

	return x.l == y.l && !memcmp(x.p, y.p, x.l);
}

static int host_slot(void ***slotp, struct pattern_index *x,
		     const struct pattern *p)
{
	struct host_slot *slot = mem_zalloc(sizeof(*slot), NULL);
	struct pl host = pattern_host(p);
	struct entry *known;
	uint64_t hash;
	int err;

	if (!slot)
		return ENOMEM;

	slot->pattern = p;
	hash = host_hash(&p->addr, host.p, host.l);
	if (p->kind == PATTERN_USER_HOST) {
		slot->user_len =
			digits_copy(slot->user, sizeof(slot->user), &p->head);
		hash = user_hash(slot->user, slot->user_len, hash);
	} else {
		hash = kind_hash(p->kind, hash);
	}

	known = table_find(&x->hosts, hash, same_pattern, slot);
	if (known) {
		mem_deref(slot);
		*slotp = &((struct host_slot *)known)->value;
		return 0;
	}

	err = table_add(&x->hosts, &slot->e, hash);
	if (err) {
		mem_deref(slot);
		return err;
	}

	slot->next = x->all;
	x->all = slot;
	*slotp = &slot->value;

	return 0;
}

int pattern_index_slot(void ***slotp, struct pattern_index *x,
		       const struct pattern *p)
{
	int err = 0;

	switch ((enum pattern_kind)p->kind) {

	case PATTERN_ANY:
		*slotp = &x->any;
		return 0;

	case PATTERN_DIGITS:
		if (!x->digits)
			err = trie_alloc(&x->digits);
		return err ? err : trie_slot(slotp, x->digits, &p->head);

	case PATTERN_AROUND:
		return around_slot(slotp, x, p);

	case PATTERN_HOST:
	case PATTERN_BELOW:
	case PATTERN_ADDRESS:
	case PATTERN_USER_HOST:
		return host_slot(slotp, x, p);
	}

	return EINVAL;
}

/* --- index: asking --- */

struct walk {
	const struct pattern_key *key;
	char reversed[PATTERN_TEXT];
	size_t head;   /* length of the head at hand */
	uint16_t plus; /* 1: the head has a `+`, which is no digit */
	pattern_h *h;
	void *arg;
};

/* The length of a pattern of digits is the number of its digits */
static uint16_t plus_of(const struct pattern_key *key, size_t length)
{
	return length && key->user[0] == '+';
}

static bool digits_found(void *value, size_t length, void *arg)
{
	const struct walk *w = arg;
	struct pattern_rank rank = { .is_explicit = true };

	rank.length = (uint16_t)(length - plus_of(w->key, length));
	w->h(value, rank, w->arg);

	return false;
}

static bool tail_found(void *value, size_t length, void *arg)
{
	const struct walk *w = arg;
	struct pattern_rank rank = { .is_explicit = false };

	rank.length = (uint16_t)(w->head + length - w->plus);
	w->h(value, rank, w->arg);

	return false;
}

static bool head_found(void *value, size_t length, void *arg)
{
	struct walk *w = arg;
	const struct tails *tails = value;
	struct pl rest = { w->reversed, w->key->user_len - length };

	w->head = length;
	w->plus = plus_of(w->key, length);
	trie_walk(tails->reversed, &rest, tail_found, w);

	return false;
}

static bool slot_matches(const struct entry *e, const void *key)
{
	const struct host_slot *slot = (const struct host_slot *)e;

	return pattern_matches(slot->pattern, key);
}

static void probe(const struct walk *w, const struct pattern_index *x,
		  uint64_t hash)
{
	struct entry *e = table_find(&x->hosts, hash, slot_matches, w->key);
	struct host_slot *slot = (struct host_slot *)e;

	if (slot && slot->value)
		w->h(slot->value, pattern_rank(slot->pattern), w->arg);
}

static void walk_hosts(const struct walk *w, const struct pattern_index *x)
{
	const struct pattern_key *key = w->key;
	uint64_t hash;

	hash = host_hash(&key->addr, key->host, key->host_len);
	probe(w, x, user_hash(key->user, key->user_len, hash));
	if (sa_isset(&key->addr, SA_ADDR)) {
		probe(w, x, kind_hash(PATTERN_ADDRESS, hash));
		return;
	}

	probe(w, x, kind_hash(PATTERN_HOST, hash));
	for (size_t i = 1; i < key->host_len; ++i) {
		if (key->host[i - 1] != '.')
			continue;
		hash = hash_bytes(key->host + i, key->host_len - i);
		probe(w, x, kind_hash(PATTERN_BELOW, hash));
	}
}

void pattern_index_walk(const struct pattern_index *x,
			const struct pattern_key *key, pattern_h *h, void *arg)
{
	struct pl user = { key->user, key->user_len };
	struct walk w = { .key = key, .h = h, .arg = arg };

	if (x->digits)
		trie_walk(x->digits, &user, digits_found, &w);
	if (x->around && !key->user_cut) {
		reverse(w.reversed, key->user, key->user_len);
		trie_walk(x->around, &user, head_found, &w);
	}
	if (x->hosts.count && (key->host_len || sa_isset(&key->addr, SA_ADDR)))
		walk_hosts(&w, x);
	if (x->any) {
		struct pattern_rank none = { 0 };

		h(x->any, none, arg);
	}
}
