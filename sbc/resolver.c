/*
 * Where a name leads: NAPTR, SRV, A, AAAA, cache by TTL, stale answers
 *
 * Parts: a `set` is a list of DNS servers with its c-ares channel; a `question`
 * is a name and a type asked of a set, and its place in the cache; a `resolve`
 * is a caller who waits.
 *
 * A resolve keeps no state of its own way: each time nothing is left to wait for
 * it walks RFC 3263 4 from the top through the cache, which asks what is not
 * there. So the order of questions stands in one place (find_targets), callers
 * share questions without knowing of each other, and what came meanwhile counts.
 *
 * c-ares calls back from inside, so an answer only goes into the cache there;
 * callers hear of it at the end of the turn.
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <ares.h>
#include <ares_nameser.h>
#include "store/base.h"
#include <re_main.h>
#include "store/elements/system_config.h"
#include "store/hash.h"
#include "store/log.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/random.h"
#include "sbc/resolver.h"
#include "sbc/timer.h"
#include "sbc/turn.h"

enum {
	CACHE = 10000,    /* questions; the one not used for longest goes */
	AVOIDED = 10000,  /* targets */
	RECORDS = 32,     /* of one answer; more are left out */
	NAME = 256,       /* RFC 1035 2.3.4, with the ending zero */
	ROUNDS = 2,       /* through all servers */
	FAILURE = 30000,  /* life of a failure [ms] */
	AVOID_FIRST = 30, /* [s] */
	AVOID_MOST = 300,
	DEPTH = 16,     /* realms on the way to dns-servers */
	DOWN_AFTER = 3, /* questions without an answer: an alarm */
	SERVERS_TEXT = 1024,
	DATAGRAM = 1232, /* [bytes] no fragments; longer answers come by TCP */
	SLACK = 1        /* [ms] ares_timeout rounds down */
};

/* One record, whatever its type */
struct record {
	uint16_t priority; /* SRV; order of NAPTR */
	uint16_t weight;   /* SRV; preference of NAPTR */
	uint16_t port;     /* SRV */
	uint8_t transport; /* NAPTR */
	bool address;      /* NAPTR with flag a: no SRV in between */
	struct sa sa;      /* A, AAAA */
	char *name;        /* target of SRV, replacement of NAPTR; or NULL */
};

struct answer {
	uint32_t n;
	uint32_t ttl; /* [s], the least of all records */
	struct record records[RECORDS];
};

struct socket {
	struct le le;
	struct channel *channel;
	int fd;
};

struct channel {
	struct le le;
	struct resolver *r;
	struct set *set;
	ares_channel ares;
	struct timer timer;
	struct list sockets;
	unsigned asked; /* questions under way */
	bool retired;   /* goes with its last question */
	bool deaf;      /* no memory to listen to a socket */
};

struct set {
	struct le le;
	struct channel *channel; /* NULL until it is needed */
	unsigned silent;         /* questions in a row without an answer */
	uint64_t mute_until;     /* [ms] old answers are used without a wait */
	bool down;               /* the alarm is up */
	uint32_t trip;           /* of an answer, smoothed [us] */
	uint64_t answered, lost; /* questions */
	char *servers; /* as c-ares takes them; "" those of resolv.conf */
};

struct question {
	struct entry entry;
	struct le le; /* of all, the last used at the end */
	struct resolver *r;
	struct set *set;
	struct channel *channel; /* while it is asked */
	int type;
	struct answer *answer; /* the last good outcome: NULL, no such thing */
	uint64_t expires;      /* [ms] */
	uint64_t settled;      /* number of the event that brought it */
	uint64_t asked;        /* [us] */
	bool known; /* it had an outcome once: answer, or none there */
	struct list waits;
	char name[];
};

struct wait {
	struct le of_question, of_resolve;
	struct question *question;
	struct resolve *resolve;
};

struct resolve {
	struct le le, ready;
	struct resolver *r;
	const struct realm *realm;
	uint16_t port;
	enum transport transport;
	uint64_t began; /* events up to here are older than the question */
	bool late;      /* dns-timeout is over: no more waiting */
	bool looks;     /* only: nothing is asked, and nothing changes */
	struct timer timer;
	struct list waits;
	resolve_h *h;
	void *arg;
	char host[NAME];
};

struct avoided {
	struct entry entry;
	struct le le; /* of all, oldest first */
	struct sa addr;
	uint8_t transport;
	uint32_t length; /* [s] */
	uint64_t until;  /* [ms] */
};

struct resolver {
	const struct realms *realms;
	char *servers; /* of system-config */
	char *domain;
	uint32_t timeout; /* [ms] */
	uint32_t max_ttl; /* [s] */
	struct list sets, retired;
	struct table cache;
	struct list questions;
	struct list resolves, ready;
	struct deferred deliver;
	struct table avoided;
	struct list avoids;
	uint64_t events;
	bool closed;
};

/* What a walk found, and what it still waits for */
struct walk {
	struct resolve *resolve;
	struct set *set;
	struct resolved found;
	bool waits;  /* something is under way */
	bool silent; /* something had no answer */
	bool misfit; /* an address, but no sip-port for it */
	int err;     /* ENOMEM */
};

/* --- Reading an answer ------------------------------------------------- */

struct reader {
	const uint8_t *p;
	size_t n, at;
	bool starved; /* something is missing for want of memory */
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* A name at a place of the message, in lower case; its length there, or 0 */
static size_t name_read(struct reader *m, size_t at, char name[NAME])
{
	char *text = NULL;
	long length = 0;
	size_t n;
	int status;

	if (at >= m->n)
		return 0;
	status = ares_expand_name(m->p + at, m->p, (int)m->n, &text, &length);
	m->starved |= status == ARES_ENOMEM;
	if (status != ARES_SUCCESS)
		return 0;

	n = strlen(text);
	if (n >= NAME)
		length = 0;
	for (size_t i = 0; length && i <= n; i++)
		name[i] = (char)tolower((unsigned char)text[i]);
	ares_free_string(text);

	return (size_t)length;
}

static bool is_text(const uint8_t *p, size_t n, const char *text)
{
	return n == strlen(text) && !strncasecmp((const char *)p, text, n);
}

/* RFC 3263 4.1 and RFC 7118 10: which transport a service is */
static enum transport service_transport(const uint8_t *p, size_t n)
{
	if (is_text(p, n, "SIP+D2U"))
		return TRANSPORT_UDP;
	if (is_text(p, n, "SIP+D2T"))
		return TRANSPORT_TCP;
	if (is_text(p, n, "SIPS+D2T"))
		return TRANSPORT_TLS;
	if (is_text(p, n, "SIP+D2W"))
		return TRANSPORT_WS;
	if (is_text(p, n, "SIPS+D2W"))
		return TRANSPORT_WSS;
	return TRANSPORT_NONE;
}

/* RFC 3403 4.1: order, preference, flags, services, regexp, replacement */
static bool naptr_read(struct record *rec, struct reader *m, size_t at,
		       size_t end, char name[NAME])
{
	const uint8_t *part[3];
	size_t length[3];

	if (end - at < 4)
		return false;
	rec->priority = get16(m->p + at);
	rec->weight = get16(m->p + at + 2);
	at += 4;

	for (unsigned i = 0; i < 3; i++) {
		if (at >= end || m->p[at] > end - at - 1)
			return false;
		length[i] = m->p[at];
		part[i] = m->p + at + 1;
		at += 1 + length[i];
	}

	rec->transport = (uint8_t)service_transport(part[1], length[1]);
	rec->address = is_text(part[0], length[0], "a");
	if (rec->transport == TRANSPORT_NONE || length[2] ||
	    (!rec->address && !is_text(part[0], length[0], "s")))
		return false;

	return at < end && name_read(m, at, name) && *name;
}

/* RFC 2782. A target of "" is the root: no such service here */
static bool srv_read(struct record *rec, struct reader *m, size_t at,
		     size_t end, char name[NAME])
{
	if (end - at < 7)
		return false;
	rec->priority = get16(m->p + at);
	rec->weight = get16(m->p + at + 2);
	rec->port = get16(m->p + at + 4);

	return name_read(m, at + 6, name) > 0;
}

static bool record_read(struct record *rec, int type, struct reader *m,
			size_t at, size_t end)
{
	char name[NAME] = "";

	switch (type) {
	case ns_t_a:
		if (end - at != 4)
			return false;
		sa_set_in(&rec->sa, get32(m->p + at), 0);
		/* 0.0.0.0 and :: would be this machine itself */
		return sa_isset(&rec->sa, SA_ADDR);
	case ns_t_aaaa:
		if (end - at != 16)
			return false;
		sa_set_in6(&rec->sa, m->p + at, 0);
		return sa_isset(&rec->sa, SA_ADDR);
	case ns_t_srv:
		if (!srv_read(rec, m, at, end, name))
			return false;
		break;
	case ns_t_naptr:
		if (!naptr_read(rec, m, at, end, name))
			return false;
		break;
	default:
		return false;
	}

	if (str_dup(&rec->name, name))
		m->starved = true;
	return rec->name != NULL;
}

static void answer_destructor(void *arg)
{
	struct answer *a = arg;

	for (uint32_t i = 0; i < a->n; i++)
		mem_deref(a->records[i].name);
}

/* One record of the answer section; false at the end of what can be read */
static bool section_step(struct answer *a, int type, struct reader *m)
{
	char name[NAME];
	size_t length = name_read(m, m->at, name), end;
	const uint8_t *head = m->p + m->at + length;
	uint32_t ttl;

	if (!length || m->n - m->at - length < 10)
		return false;
	m->at += length + 10;
	end = m->at + get16(head + 8);
	if (end > m->n)
		return false;

	/* RFC 2181 8: a TTL with the highest bit is 0 */
	ttl = get32(head + 4) & 0x80000000u ? 0 : get32(head + 4);
	if (get16(head + 2) == ns_c_in &&
	    (get16(head) == type || get16(head) == ns_t_cname)) {
		/* the chain of CNAMEs lives as long as its shortest link */
		if (ttl < a->ttl)
			a->ttl = ttl;
		if (get16(head) == type && a->n < RECORDS) {
			struct record *rec = &a->records[a->n];

			memset(rec, 0, sizeof(*rec));
			a->n += record_read(rec, type, m, m->at, end);
		}
	}

	m->at = end;
	return true;
}

static int answer_read(struct answer **ap, int type, const uint8_t *p, size_t n)
{
	struct reader m = { p, n, NS_HFIXEDSZ, false };
	char name[NAME];
	struct answer *a, *small;
	unsigned questions, answers;

	if (n < NS_HFIXEDSZ)
		return EBADMSG;

	questions = get16(p + 4);
	answers = get16(p + 6);
	while (questions--) {
		size_t length = name_read(&m, m.at, name);

		if (!length || m.n - m.at - length < NS_QFIXEDSZ)
			return m.starved ? ENOMEM : EBADMSG;
		m.at += length + NS_QFIXEDSZ;
	}

	a = mem_zalloc(sizeof(*a), answer_destructor);
	if (!a)
		return ENOMEM;
	a->ttl = UINT32_MAX;
	while (answers-- && section_step(a, type, &m))
		;

	/* most answers have one or two records */
	small = mem_realloc(a, offsetof(struct answer, records) +
				       a->n * sizeof(a->records[0]));
	if (small)
		a = small;
	if (!a->n || m.starved) {
		mem_deref(a);
		return m.starved ? ENOMEM : ENOENT;
	}

	*ap = a;
	return 0;
}

/* --- Channels: c-ares under our loop and wheel ------------------------- */

static void channel_kick(struct channel *c);

/* A channel that nobody needs goes when c-ares is not on the stack */
static void channel_leave(struct channel *c)
{
	if (c->retired && !c->asked)
		turn_defer(&c->r->deliver);
	else
		channel_kick(c);
}

static void channel_timeout(void *arg)
{
	struct channel *c = arg;

	turn_enter();
	ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	channel_leave(c);
	turn_leave();
}

/* When c-ares wants to be called again */
static void channel_kick(struct channel *c)
{
	struct timeval tv;

	if (!ares_timeout(c->ares, NULL, &tv)) {
		timer_cancel(&c->timer);
		return;
	}
	timer_start(&c->timer,
		    (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 +
			    SLACK,
		    channel_timeout, c);
}

static void socket_handler(int flags, void *arg)
{
	struct socket *s = arg;
	struct channel *c = s->channel;
	int fd = s->fd; /* c-ares may close it, and so free s */

	turn_enter();
	ares_process_fd(c->ares, flags & FD_READ ? fd : ARES_SOCKET_BAD,
			flags & FD_WRITE ? fd : ARES_SOCKET_BAD);
	channel_leave(c);
	turn_leave();
}

static void socket_destructor(void *arg)
{
	struct socket *s = arg;

	list_unlink(&s->le);
	fd_close(s->fd);
}

/* c-ares tells what it waits for; nothing: it closes the socket */
static void socket_state(void *arg, ares_socket_t fd, int readable,
			 int writable)
{
	struct channel *c = arg;
	int flags = (readable ? FD_READ : 0) | (writable ? FD_WRITE : 0);
	struct socket *s = NULL;

	for (struct le *le = list_head(&c->sockets); le && !s; le = le->next) {
		s = le->data;
		if (s->fd != fd)
			s = NULL;
	}

	if (!flags) {
		mem_deref(s);
		return;
	}

	if (!s) {
		s = mem_zalloc(sizeof(*s), socket_destructor);
		if (!s) {
			c->deaf = true;
			return;
		}
		s->channel = c;
		s->fd = fd;
		list_append(&c->sockets, &s->le, s);
	}
	if (fd_listen(fd, flags, socket_handler, s))
		c->deaf = true;
}

static void channel_destructor(void *arg)
{
	struct channel *c = arg;

	list_unlink(&c->le);
	timer_cancel(&c->timer);
	if (c->ares)
		ares_destroy(c->ares); /* settles what is under way */
	list_flush(&c->sockets);
}

static void ares_start(void)
{
	(void)ares_library_init(ARES_LIB_INIT_ALL); /* fails on no Unix */
}

static int ares_errno(int status)
{
	return status == ARES_SUCCESS  ? 0
	       : status == ARES_ENOMEM ? ENOMEM
				       : EINVAL;
}

static int servers_number(ares_channel ares)
{
	struct ares_addr_port_node *servers = NULL;
	int n = 0;

	if (ares_get_servers_ports(ares, &servers) == ARES_SUCCESS) {
		for (struct ares_addr_port_node *s = servers; s; s = s->next)
			n++;
		ares_free_data(servers);
	}
	return n ? n : 1;
}

/* c-ares asks all servers with time t, then all with 2t: 3t for each server
 * shall be dns-timeout (configuration.md 2.1) */
static int channel_init(struct channel *c, int servers)
{
	struct ares_options opt = { 0 };
	int status;

	opt.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
	opt.ednspsz = DATAGRAM;
	opt.timeout = (int)(c->r->timeout / (3 * (unsigned)servers));
	opt.tries = ROUNDS;
	opt.sock_state_cb = socket_state;
	opt.sock_state_cb_data = c;

	status = ares_init_options(&c->ares, &opt,
				   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS |
					   ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
					   ARES_OPT_SOCK_STATE_CB |
					   ARES_OPT_NOROTATE);
	if (status == ARES_SUCCESS && *c->set->servers)
		status = ares_set_servers_ports_csv(c->ares, c->set->servers);

	return ares_errno(status);
}

static int channel_alloc(struct channel **cp, struct resolver *r,
			 struct set *set)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct channel *c;
	int servers, err;

	pthread_once(&once, ares_start);

	c = mem_zalloc(sizeof(*c), channel_destructor);
	if (!c)
		return ENOMEM;
	c->r = r;
	c->set = set;

	err = channel_init(c, 1);
	if (err)
		goto out;

	/* how many there are in resolv.conf is known only now */
	servers = servers_number(c->ares);
	if (servers > 1) {
		ares_destroy(c->ares);
		c->ares = NULL;
		err = channel_init(c, servers);
	}

out:
	if (err)
		mem_deref(c);
	else
		*cp = c;

	return err;
}

static void channel_retire(struct channel *c)
{
	if (!c)
		return;

	c->retired = true;
	list_append(&c->r->retired, &c->le, c);
}

static void retired_free(struct resolver *r)
{
	struct le *le = list_head(&r->retired);

	while (le) {
		struct channel *c = le->data;

		le = le->next;
		if (!c->asked)
			mem_deref(c);
	}
}

/* --- Sets of servers ---------------------------------------------------- */

static void set_destructor(void *arg)
{
	struct set *set = arg;

	list_unlink(&set->le);
	mem_deref(set->channel);
	mem_deref(set->servers);
}

static struct set *set_named(struct resolver *r, const char *servers)
{
	struct set *set;

	for (struct le *le = list_head(&r->sets); le; le = le->next) {
		set = le->data;
		if (!strcmp(set->servers, servers))
			return set;
	}

	set = mem_zalloc(sizeof(*set), set_destructor);
	if (!set)
		return NULL;
	if (str_dup(&set->servers, servers))
		return mem_deref(set);
	list_append(&r->sets, &set->le, set);

	return set;
}

/* "192.0.2.53:53,[2001:db8::53]:5353" */
static void servers_print(char text[SERVERS_TEXT],
			  const struct addresses *servers)
{
	size_t at = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < servers->n; i++) {
		struct sa sa = servers->v[i];
		char one[80];

		if (!sa_port(&sa))
			sa_set_port(&sa, NS_DEFAULTPORT);
		if (re_snprintf(one, sizeof(one), "%s%J", i ? "," : "", &sa) <
			    0 ||
		    at + strlen(one) >= SERVERS_TEXT)
			return; /* more than twenty are not asked */
		memcpy(text + at, one, strlen(one) + 1);
		at += strlen(one);
	}
}

/* configuration.md: own, else those of dns-realm, else of the parent */
static const struct addresses *servers_of(const struct resolver *r,
					  const struct realm *realm,
					  unsigned depth)
{
	const struct addresses *servers = NULL;
	const struct realm *other;

	if (!realm || depth > DEPTH)
		return NULL;
	if (realm->config->dns_servers.n)
		return &realm->config->dns_servers;

	other = r->realms ? realm_named(r->realms, realm->config->dns_realm)
			  : NULL;
	if (other)
		servers = servers_of(r, other, depth + 1);

	return servers ? servers : servers_of(r, realm->parent, depth + 1);
}

static struct set *set_of(struct resolver *r, const struct realm *realm)
{
	const struct addresses *servers = servers_of(r, realm, 0);
	char text[SERVERS_TEXT];

	if (!servers)
		return set_named(r, r->servers);

	servers_print(text, servers);
	return set_named(r, text);
}

/* As RFC 6298 2 smooths: an eighth of each new one */
static void set_timed(struct set *set, uint64_t took)
{
	uint32_t trip = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;

	set->trip = set->trip ? set->trip - set->trip / 8 + trip / 8 : trip;
	if (!set->trip)
		set->trip = 1; /* there was one */
}

/* Three questions in a row without an answer: acli.md 5.1 */
static void set_heard(struct set *set, bool answered)
{
	const char *object = *set->servers ? set->servers : "resolv.conf";

	if (answered)
		set->answered++;
	else
		set->lost++;
	if (answered) {
		set->silent = 0;
		set->mute_until = 0;
		if (set->down)
			alarm_clear("dns-server-down", object);
		set->down = false;
		return;
	}

	set->mute_until = clock_ms() + FAILURE;
	if (++set->silent < DOWN_AFTER || set->down)
		return;
	set->down = true;
	alarm_raise("dns-server-down", ALARM_MAJOR, object,
		    "%u questions in a row had no answer", set->silent);
}

/* --- Questions and their cache ------------------------------------------ */

struct question_key {
	const struct set *set;
	const char *name;
	int type;
};

static bool question_matches(const struct entry *e, const void *arg)
{
	const struct question *q = (const struct question *)e;
	const struct question_key *key = arg;

	return q->set == key->set && q->type == key->type &&
	       !strcmp(q->name, key->name);
}

static void question_destructor(void *arg)
{
	struct question *q = arg;

	assert(!q->channel && list_isempty(&q->waits));
	table_remove(&q->r->cache, &q->entry);
	list_unlink(&q->le);
	mem_deref(q->answer);
}

/* Drop the one not used for longest that nobody waits for */
static void cache_make_room(struct resolver *r)
{
	struct le *le = list_head(&r->questions);

	while (le && r->cache.count >= CACHE) {
		struct question *q = le->data;

		le = le->next;
		if (!q->channel && list_isempty(&q->waits))
			mem_deref(q);
	}
}

static uint64_t question_hash(const struct question_key *key)
{
	return hash_mix(hash_bytes(key->name, strlen(key->name)),
			hash_mix((uintptr_t)key->set, (uint64_t)key->type));
}

static struct question *question_find(const struct resolver *r,
				      const struct question_key *key)
{
	return (struct question *)table_find(&r->cache, question_hash(key),
					     question_matches, key);
}

static struct question *question_get(struct resolver *r, struct set *set,
				     const char *name, int type)
{
	struct question_key key = { set, name, type };
	struct question *q = question_find(r, &key);

	if (q) {
		list_unlink(&q->le);
		list_append(&r->questions, &q->le, q);
		return q;
	}

	cache_make_room(r);
	if (r->cache.count >= CACHE)
		return NULL; /* 10,000 under way: no more */

	q = mem_zalloc(sizeof(*q) + strlen(name) + 1, question_destructor);
	if (!q)
		return NULL;
	q->r = r;
	q->set = set;
	q->type = type;
	memcpy(q->name, name, strlen(name) + 1);
	if (table_add(&r->cache, &q->entry, question_hash(&key)))
		return mem_deref(q);
	list_append(&r->questions, &q->le, q);

	return q;
}

static void wait_destructor(void *arg)
{
	struct wait *w = arg;

	list_unlink(&w->of_question);
	list_unlink(&w->of_resolve);
}

static void resolve_ready(struct resolve *res)
{
	if (!res->ready.list)
		list_append(&res->r->ready, &res->ready, res);
	turn_defer(&res->r->deliver);
}

/* The question has an outcome: keep it, tell who waits */
static void question_settle(struct question *q, int err, struct answer *answer)
{
	struct resolver *r = q->r;
	uint64_t life = err == ENOMEM ? 0 : FAILURE;

	q->settled = ++r->events;

	if (!err || err == ENOENT) {
		/* what does not exist any more is not used on */
		mem_deref(q->answer);
		q->answer = answer;
		q->known = true;
	}
	if (!err)
		life = 1000ull *
		       (answer->ttl < r->max_ttl ? answer->ttl : r->max_ttl);
	/* else the last good outcome, if any, holds for as long as the failure */
	q->expires = clock_ms() + life;

	while (!list_isempty(&q->waits)) {
		struct wait *w = list_head(&q->waits)->data;
		struct resolve *res = w->resolve;

		mem_deref(w);
		if (list_isempty(&res->waits))
			resolve_ready(res);
	}
}

static void question_answered(void *arg, int status, int timeouts,
			      unsigned char *p, int n)
{
	struct question *q = arg;
	struct channel *c = q->channel;
	struct answer *answer = NULL;
	int err;
	(void)timeouts;

	q->channel = NULL;
	c->asked--;
	gauge(COUNT_DNS_TRANS, -1);

	switch (status) {
	case ARES_SUCCESS:
		err = answer_read(&answer, q->type, p, (size_t)n);
		break;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME: /* no such name can exist */
		err = ENOENT;
		break;
	case ARES_ENOMEM:
		err = ENOMEM;
		break;
	default: /* silence, and answers that say nothing about the name */
		err = ETIMEDOUT;
		break;
	}
	if (err == EBADMSG)
		err = ETIMEDOUT;

	if (status != ARES_EDESTRUCTION && err != ENOMEM)
		set_heard(q->set, err != ETIMEDOUT);
	if (!err || err == ENOENT)
		set_timed(q->set, clock_us() - q->asked);

	question_settle(q, err, answer);
}

static int question_ask(struct question *q)
{
	struct set *set = q->set;
	int err;

	if (q->channel)
		return 0;

	/* what it asked is as if the servers were silent */
	if (set->channel && set->channel->deaf) {
		channel_retire(set->channel);
		set->channel = NULL;
	}

	if (!set->channel) {
		err = channel_alloc(&set->channel, q->r, set);
		if (err)
			return err;
	}

	q->channel = set->channel;
	q->channel->asked++;
	q->asked = clock_us();
	gauge(COUNT_DNS_TRANS, 1);
	/* may call back before it returns */
	ares_query(set->channel->ares, q->name, ns_c_in, q->type,
		   question_answered, q);
	channel_kick(set->channel);

	return 0;
}

static bool question_is_fresh(const struct question *q,
			      const struct resolve *res)
{
	/* what came since the caller asked holds for him, also with TTL 0 */
	return q->settled &&
	       (q->settled > res->began || clock_ms() < q->expires);
}

static int question_wait(struct question *q, struct resolve *res)
{
	struct wait *w = mem_zalloc(sizeof(*w), wait_destructor);

	if (!w)
		return ENOMEM;
	w->question = q;
	w->resolve = res;
	list_append(&q->waits, &w->of_question, w);
	list_append(&res->waits, &w->of_resolve, w);

	return 0;
}

/* The answer as far as it is known; NULL: none, or the walk waits for it */
static const struct answer *look_up(struct walk *w, const char *name, int type)
{
	const struct question_key key = { w->set, name, type };
	struct resolve *res = w->resolve;
	struct question *q;

	if (res->looks) {
		q = question_find(res->r, &key);
		w->silent |= !q || !q->known;
		return q ? q->answer : NULL;
	}

	q = question_get(res->r, w->set, name, type);
	if (!q) {
		w->err = ENOMEM;
		return NULL;
	}

	if (!question_is_fresh(q, res) && !res->late) {
		w->err = w->err ? w->err : question_ask(q);
		if (!w->err && q->channel &&
		    !(q->known && clock_ms() < w->set->mute_until)) {
			w->err = question_wait(q, res);
			w->waits = true;
			return NULL;
		}
	}

	/* it was waited for as long as may be */
	if (res->late && q->channel)
		w->set->mute_until = clock_ms() + FAILURE;

	/* while servers are silent this is the last good outcome */
	if (!q->known)
		w->silent = true;

	return q->answer;
}

/* --- RFC 3263 ----------------------------------------------------------- */

/* Asked for in this order when the transport is open */
static const enum transport in_turn[] = { TRANSPORT_UDP, TRANSPORT_TCP,
					  TRANSPORT_TLS };

static uint16_t default_port(enum transport t)
{
	switch (t) {
	case TRANSPORT_TLS:
		return 5061;
	case TRANSPORT_WS:
		return 80;
	case TRANSPORT_WSS:
		return 443;
	case TRANSPORT_UDP:
	case TRANSPORT_TCP:
	case TRANSPORT_NONE:
		break;
	}
	return 5060;
}

/* Has the realm a sip-port of this family (AF_UNSPEC: of any) and transport? */
static bool realm_speaks(const struct realm *realm, int af, enum transport t)
{
	if (!realm)
		return true;

	for (uint32_t i = 0; i < realm->endpoints_n; i++) {
		const struct endpoint *e = realm->endpoints[i];

		if (e->transport == t &&
		    (af == AF_UNSPEC || sa_af(&e->local) == af))
			return true;
	}
	return false;
}

/* RFC 3263 4.1: UDP where nothing is told; or the first that the realm has */
static enum transport usual_transport(const struct realm *realm)
{
	for (unsigned i = 0; i < 3; i++) {
		if (realm_speaks(realm, AF_UNSPEC, in_turn[i]))
			return in_turn[i];
	}
	return TRANSPORT_UDP;
}

static void add_target(struct walk *w, const struct sa *addr, uint16_t port,
		       enum transport t)
{
	struct resolved *f = &w->found;
	struct sa sa = *addr;

	sa_set_port(&sa, port);
	if (w->resolve->realm && !realm_endpoint(w->resolve->realm, &sa, t)) {
		w->misfit = true;
		return;
	}

	if (f->n >= RESOLVE_TARGETS)
		return;
	for (uint32_t i = 0; i < f->n; i++) {
		if (f->transport[i] == t && sa_cmp(&f->addr[i], &sa, SA_ALL))
			return;
	}
	f->addr[f->n] = sa;
	f->transport[f->n++] = (uint8_t)t;
}

/* behaviour.md 2.8: AAAA before A; no question for a family without a port */
static void find_addresses(struct walk *w, const char *name, uint16_t port,
			   enum transport t)
{
	static const struct {
		int af, type;
	} families[] = { { AF_INET6, ns_t_aaaa }, { AF_INET, ns_t_a } };

	for (unsigned i = 0; i < 2; i++) {
		const struct answer *a;

		if (!realm_speaks(w->resolve->realm, families[i].af, t))
			continue;
		a = look_up(w, name, families[i].type);
		for (uint32_t k = 0; a && k < a->n; k++)
			add_target(w, &a->records[k].sa, port, t);
	}

	if (!realm_speaks(w->resolve->realm, AF_UNSPEC, t))
		w->misfit = true;
}

static int by_priority(const void *x, const void *y)
{
	const struct record *const *a = x, *const *b = y;

	if ((*a)->priority != (*b)->priority)
		return (*a)->priority < (*b)->priority ? -1 : 1;
	/* RFC 2782: those with weight 0 are placed at the beginning; and
	 * NAPTR goes by preference */
	return ((*a)->weight > (*b)->weight) - ((*a)->weight < (*b)->weight);
}

static void sort_records(const struct record *order[RECORDS],
			 const struct answer *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		order[i] = &a->records[i];
	qsort(order, a->n, sizeof(order[0]), by_priority);
}

/* RFC 2782: among records of one priority draw by weight, one after the other */
static void draw_by_weight(const struct record *order[], uint32_t n)
{
	for (uint32_t first = 0; first < n; first++) {
		const struct record *drawn;
		uint32_t sum = 0, point, i, end = first;

		for (;
		     end < n && order[end]->priority == order[first]->priority;
		     end++)
			sum += order[end]->weight;

		point = random_below(sum + 1);
		sum = 0;
		for (i = first; i < end - 1; i++) {
			sum += order[i]->weight;
			if (sum >= point)
				break;
		}
		drawn = order[i];
		memmove(&order[first + 1], &order[first],
			(i - first) * sizeof(order[0]));
		order[first] = drawn;
	}
}

/* Targets of an SRV name; true if it has records, or may have */
static bool find_services(struct walk *w, const char *name, enum transport t)
{
	const struct record *order[RECORDS];
	const struct answer *a = look_up(w, name, ns_t_srv);

	if (!a)
		return w->waits;

	sort_records(order, a);
	draw_by_weight(order, a->n);
	for (uint32_t i = 0; i < a->n && i < RESOLVE_TARGETS; i++) {
		if (*order[i]->name)
			find_addresses(w, order[i]->name, order[i]->port, t);
	}

	return true;
}

/* RFC 3263 4.1: the first NAPTR that we can follow, and has targets */
static bool find_naptr(struct walk *w)
{
	const struct record *order[RECORDS];
	const struct answer *a = look_up(w, w->resolve->host, ns_t_naptr);
	bool any = false;

	if (!a)
		return w->waits;

	sort_records(order, a);
	for (uint32_t i = 0; i < a->n && !w->found.n && !w->waits; i++) {
		enum transport t = (enum transport)order[i]->transport;

		if (!realm_speaks(w->resolve->realm, AF_UNSPEC, t))
			continue;
		any = true;
		if (order[i]->address)
			find_addresses(w, order[i]->name, default_port(t), t);
		else
			find_services(w, order[i]->name, t);
	}

	return any;
}

static const char *srv_prefix(enum transport t)
{
	switch (t) {
	case TRANSPORT_UDP:
		return "_sip._udp.";
	case TRANSPORT_TCP:
		return "_sip._tcp.";
	case TRANSPORT_TLS:
		return "_sips._tcp.";
	case TRANSPORT_WS:
	case TRANSPORT_WSS:
	case TRANSPORT_NONE:
		break;
	}
	return NULL; /* RFC 7118 knows NAPTR only */
}

static bool find_srv(struct walk *w, enum transport t)
{
	const char *prefix = srv_prefix(t);
	char name[NAME + 16];

	if (!prefix || !realm_speaks(w->resolve->realm, AF_UNSPEC, t))
		return false;

	memcpy(name, prefix, strlen(prefix) + 1);
	strcat(name, w->resolve->host);
	return strlen(name) < NAME && find_services(w, name, t);
}

/* The walk: each step is taken when the one before it led nowhere */
static void find_targets(struct walk *w)
{
	const struct resolve *res = w->resolve;
	enum transport t = res->transport;

	if (t == TRANSPORT_NONE && !res->port) {
		if (find_naptr(w))
			return;
		for (unsigned i = 0; i < 3; i++) {
			if (find_srv(w, in_turn[i]))
				return;
		}
	} else if (!res->port && find_srv(w, t))
		return;

	if (t == TRANSPORT_NONE)
		t = usual_transport(res->realm);
	find_addresses(w, res->host, res->port ? res->port : default_port(t),
		       t);
}

/* behaviour.md 2.8: a failed target is avoided when others exist */
static void avoided_last(const struct resolver *r, struct resolved *f)
{
	struct resolved out;
	uint32_t n = 0;

	for (unsigned avoided = 0; avoided < 2; avoided++) {
		for (uint32_t i = 0; i < f->n; i++) {
			if (target_is_avoided(r, &f->addr[i],
					      f->transport[i]) != !!avoided)
				continue;
			out.addr[n] = f->addr[i];
			out.transport[n++] = f->transport[i];
		}
	}

	out.n = n;
	*f = out;
}

/* 0, EINPROGRESS, or why there is no target */
static int resolve_walk(struct resolve *res, struct resolved *found)
{
	struct walk w = { .resolve = res };

	w.set = set_of(res->r, res->realm);
	if (!w.set)
		return ENOMEM;

	find_targets(&w);

	if (w.waits && !w.err)
		return EINPROGRESS;
	list_flush(&res->waits);
	if (w.found.n) {
		avoided_last(res->r, &w.found);
		*found = w.found;
		return 0;
	}
	if (w.err)
		return w.err;
	if (w.misfit)
		return EAFNOSUPPORT;
	return w.silent ? ETIMEDOUT : ENOENT;
}

/* --- Callers ------------------------------------------------------------ */

static void resolve_destructor(void *arg)
{
	struct resolve *res = arg;

	list_unlink(&res->le);
	list_unlink(&res->ready);
	timer_cancel(&res->timer);
	list_flush(&res->waits);
}

static void resolve_late(void *arg)
{
	struct resolve *res = arg;

	res->late = true;
	list_flush(&res->waits);
	resolve_ready(res);
}

static void resolve_go_on(struct resolve *res)
{
	struct resolved found = { .n = 0 };
	resolve_h *h = res->h;
	void *arg = res->arg;
	int err;

	err = resolve_walk(res, &found);
	if (err == EINPROGRESS)
		return;

	mem_deref(res);
	h(err, err ? NULL : &found, arg);
}

/* At the end of a turn: c-ares is not on the stack */
static void deliver(struct deferred *d)
{
	struct resolver *r =
		(struct resolver *)((char *)d -
				    offsetof(struct resolver, deliver));

	mem_ref(r); /* a handler may close it */
	while (!list_isempty(&r->ready)) {
		struct resolve *res = list_head(&r->ready)->data;

		list_unlink(&res->ready);
		resolve_go_on(res);
	}
	if (!r->closed)
		retired_free(r);
	mem_deref(r);
}

/* Lower case, absolute, dns-domain where it has no dot. 0; ENOENT no name */
static int host_copy(char to[NAME], const struct resolver *r,
		     const struct pl *host)
{
	size_t n = host->l;
	bool dot = false;

	if (n && host->p[n - 1] == '.') {
		--n;
		dot = true;
	}
	if (!n || n >= NAME)
		return ENOENT;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)host->p[i];

		if (!isalnum(c) && c != '-' && c != '_' && c != '.')
			return ENOENT;
		dot = dot || c == '.';
		to[i] = (char)tolower(c);
	}
	to[n] = '\0';

	if (dot || !*r->domain)
		return 0;
	if (n + 1 + strlen(r->domain) >= NAME)
		return ENOENT;
	to[n] = '.';
	memcpy(to + n + 1, r->domain, strlen(r->domain) + 1);

	return 0;
}

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]" */
static bool host_is_address(struct sa *sa, const struct pl *host)
{
	struct pl bare = *host;

	if (bare.l >= 2 && bare.p[0] == '[' && bare.p[bare.l - 1] == ']') {
		bare.p++;
		bare.l -= 2;
	}
	return !address_parse_text(sa, &bare) && !sa_port(sa);
}

static int resolve_address(const struct resolve_query *q, const struct sa *sa,
			   struct resolved *found)
{
	struct resolve res = { .realm = q->realm };
	struct walk w = { .resolve = &res };
	enum transport t = q->transport;

	if (t == TRANSPORT_NONE)
		t = usual_transport(q->realm);
	add_target(&w, sa, q->port ? q->port : default_port(t), t);
	if (!w.found.n)
		return EAFNOSUPPORT;

	*found = w.found;
	return 0;
}

int resolve(struct resolve **pendingp, struct resolver *r,
	    const struct resolve_query *q, struct resolved *found, resolve_h *h,
	    void *arg)
{
	struct resolve *res;
	struct sa sa;
	int err;

	*pendingp = NULL;
	if (host_is_address(&sa, &q->host))
		return resolve_address(q, &sa, found);

	res = mem_zalloc(sizeof(*res), resolve_destructor);
	if (!res)
		return ENOMEM;

	err = host_copy(res->host, r, &q->host);
	if (err)
		goto out;

	res->r = r;
	res->realm = q->realm;
	res->port = q->port;
	res->transport = q->transport;
	res->began = r->events;
	res->h = h;
	res->arg = arg;

	turn_enter();
	err = resolve_walk(res, found);
	if (err == EINPROGRESS) {
		list_append(&r->resolves, &res->le, res);
		timer_start(&res->timer, r->timeout, resolve_late, res);
		*pendingp = res;
		res = NULL;
	}
	res = mem_deref(res); /* within the turn: it may be among the ready */
	turn_leave();

out:
	mem_deref(res);
	return err;
}

int resolve_look(struct resolver *r, const struct resolve_query *q,
		 struct resolved *found)
{
	struct resolve res = {
		.r = r,
		.realm = q->realm,
		.port = q->port,
		.transport = q->transport,
		.looks = true,
	};
	struct sa sa;
	int err;

	if (host_is_address(&sa, &q->host))
		return resolve_address(q, &sa, found);

	err = host_copy(res.host, r, &q->host);

	return err ? err : resolve_walk(&res, found);
}

void resolve_cancel(struct resolve *pending)
{
	mem_deref(pending);
}

/* --- Targets that failed ------------------------------------------------ */

struct avoided_key {
	const struct sa *addr;
	uint8_t transport;
};

static bool avoided_matches(const struct entry *e, const void *arg)
{
	const struct avoided *a = (const struct avoided *)e;
	const struct avoided_key *key = arg;

	return a->transport == key->transport &&
	       sa_cmp(&a->addr, key->addr, SA_ALL);
}

static uint64_t avoided_hash(const struct sa *addr, uint8_t transport)
{
	uint8_t key[sizeof(struct in6_addr) + 3] = { 0 };
	uint16_t port = sa_port(addr);

	if (sa_af(addr) == AF_INET6)
		sa_in6(addr, key);
	else
		memcpy(key, &addr->u.in.sin_addr, sizeof(struct in_addr));
	memcpy(key + sizeof(struct in6_addr), &port, sizeof(port));
	key[sizeof(key) - 1] = transport;

	return hash_bytes(key, sizeof(key));
}

static struct avoided *avoided_find(const struct resolver *r,
				    const struct sa *addr, uint8_t transport)
{
	struct avoided_key key = { addr, transport };

	return (struct avoided *)table_find(&r->avoided,
					    avoided_hash(addr, transport),
					    avoided_matches, &key);
}

static void avoided_free(struct resolver *r, struct avoided *a)
{
	table_remove(&r->avoided, &a->entry);
	list_unlink(&a->le);
	mem_deref(a);
}

static struct avoided *avoided_make(struct resolver *r, const struct sa *addr,
				    uint8_t transport)
{
	struct avoided *a;

	if (r->avoided.count >= AVOIDED)
		avoided_free(r, list_head(&r->avoids)->data);

	a = mem_zalloc(sizeof(*a), NULL);
	if (!a)
		return NULL;
	a->addr = *addr;
	a->transport = transport;
	if (table_add(&r->avoided, &a->entry, avoided_hash(addr, transport)))
		return mem_deref(a);
	list_append(&r->avoids, &a->le, a);

	return a;
}

void target_failed(struct resolver *r, const struct sa *addr, uint8_t transport,
		   uint32_t seconds)
{
	struct avoided *a = avoided_find(r, addr, transport);
	uint64_t now = clock_ms(), until;

	if (!a)
		a = avoided_make(r, addr, transport);
	if (!a)
		return; /* it is tried once more than needed */

	if (!seconds) {
		/* those that were under way together fail together */
		if (now < a->until && a->length)
			return;
		/* long enough ago to be another failure */
		if (now >= a->until + AVOID_MOST * 1000ull)
			a->length = 0;
		a->length = a->length ? 2 * a->length : AVOID_FIRST;
		if (a->length > AVOID_MOST)
			a->length = AVOID_MOST;
		seconds = a->length;
	}

	until = now + seconds * 1000ull;
	if (until > a->until)
		a->until = until;
}

void target_worked(struct resolver *r, const struct sa *addr, uint8_t transport)
{
	struct avoided *a = avoided_find(r, addr, transport);

	if (a)
		avoided_free(r, a);
}

bool target_is_avoided(const struct resolver *r, const struct sa *addr,
		       uint8_t transport)
{
	const struct avoided *a = avoided_find(r, addr, transport);

	return a && clock_ms() < a->until;
}

/* --- show dns ------------------------------------------------------------ */

struct rows {
	resolver_h *h;
	void *arg;
};

static int record_print(struct re_printf *pf, int type,
			const struct record *rec)
{
	switch (type) {
	case ns_t_srv:
		return re_hprintf(pf, "%u %u %u %s", rec->priority, rec->weight,
				  rec->port, rec->name);
	case ns_t_naptr:
		return re_hprintf(
			pf, "%u %u %s %s", rec->priority, rec->weight,
			transport_name((enum transport)rec->transport),
			rec->name);
	default:
		return re_hprintf(pf, "%j", &rec->sa);
	}
}

/* Ends where the row is full: the head of a long list tells enough */
static int records_print(struct re_printf *pf, const struct question *q)
{
	int err = 0;

	for (uint32_t i = 0; !err && q->answer && i < q->answer->n; i++) {
		if (i)
			err = re_hprintf(pf, ", ");
		if (!err)
			err = record_print(pf, q->type, &q->answer->records[i]);
	}
	return err;
}

static const char *record_type(int type)
{
	switch (type) {
	case ns_t_a:
		return "A";
	case ns_t_aaaa:
		return "AAAA";
	case ns_t_srv:
		return "SRV";
	default:
		return "NAPTR";
	}
}

static void row_make(struct entry *e, void *arg)
{
	const struct question *q = (const struct question *)e;
	const struct rows *rows = arg;
	uint64_t now = clock_ms();
	struct resolver_row row = {
		.servers = q->set->servers,
		.name = q->name,
		.type = record_type(q->type),
		.ttl = q->expires > now ? (uint32_t)((q->expires - now) / 1000)
					: 0,
	};

	if (!q->settled)
		return; /* the first answer is still awaited */
	/* zero-ended also when it did not fit */
	(void)re_snprintf(row.answers, sizeof(row.answers) - 1, "%H",
			  records_print, q);
	rows->h(&row, rows->arg);
}

const char *resolver_library(void)
{
	return ares_version(NULL);
}

struct clearing {
	const char *name; /* NULL: all */
	uint32_t n;
};

/* Of the name itself, or of a service of it: _sip._udp.NAME */
static bool is_name_of(const char *asked, const char *name)
{
	while (*asked == '_' && strchr(asked, '.'))
		asked = strchr(asked, '.') + 1;

	return !strcasecmp(asked, name);
}

/* Whoever waits for an answer under way gets that one */
static void question_clear(struct entry *e, void *arg)
{
	struct question *q = (struct question *)e;
	struct clearing *c = arg;

	if (c->name && !is_name_of(q->name, c->name))
		return;
	c->n += q->known;
	q->answer = mem_deref(q->answer);
	q->known = false;
	q->expires = 0;
}

uint32_t resolver_clear(struct resolver *r, const char *name)
{
	struct clearing c = { .name = name };

	(void)table_walk(&r->cache, 0, SIZE_MAX, question_clear, &c);
	return c.n;
}

void resolver_servers_walk(const struct resolver *r, resolver_servers_h *h,
			   void *arg)
{
	for (struct le *le = list_head(&r->sets); le; le = le->next) {
		const struct set *set = le->data;
		const struct resolver_servers s = {
			.servers = set->servers,
			.down = set->down,
			.silent = set->silent,
			.trip = set->trip,
			.answered = set->answered,
			.lost = set->lost,
		};

		h(&s, arg);
	}
}

size_t resolver_walk(const struct resolver *r, size_t from, size_t limit,
		     resolver_h *h, void *arg)
{
	struct rows rows = { h, arg };

	return table_walk(&r->cache, from, limit, row_make, &rows);
}

/* --- Life --------------------------------------------------------------- */

static void resolver_destructor(void *arg)
{
	struct resolver *r = arg;
	struct le *le;

	turn_forget(&r->deliver);
	list_flush(&r->resolves);

	/* the channels first: their questions are settled by that */
	for (le = list_head(&r->sets); le; le = le->next) {
		struct set *set = le->data;

		set->channel = mem_deref(set->channel);
	}
	list_flush(&r->retired);
	list_flush(&r->questions);
	table_finish(&r->cache);
	list_flush(&r->sets);

	while ((le = list_head(&r->avoids)))
		avoided_free(r, le->data);
	table_finish(&r->avoided);

	mem_deref(r->servers);
	mem_deref(r->domain);
}

static int resolver_set(struct resolver *r, const struct resolver_setup *setup)
{
	const struct system_config *sys = setup->system;
	char text[SERVERS_TEXT], *servers = NULL, *domain = NULL;
	const char *d = sys->dns_domain ? sys->dns_domain : "";
	int err;

	/* First, since the realms of before may go even when the rest fails */
	r->realms = setup->realms;
	r->timeout = 1000 * sys->dns_timeout;
	r->max_ttl = sys->dns_max_ttl;

	servers_print(text, &sys->dns_servers);
	err = str_dup(&servers, text);
	if (!err)
		err = str_dup(&domain, *d == '.' ? d + 1 : d);
	if (err)
		goto out;

	for (char *p = domain; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	mem_deref(r->servers);
	mem_deref(r->domain);
	r->servers = servers;
	r->domain = domain;
	servers = domain = NULL;

out:
	mem_deref(servers);
	mem_deref(domain);
	return err;
}

int resolver_open(struct resolver **rp, const struct resolver_setup *setup)
{
	struct resolver *r;
	int err;

	r = mem_zalloc(sizeof(*r), resolver_destructor);
	if (!r)
		return ENOMEM;

	table_init(&r->cache);
	table_init(&r->avoided);
	r->deliver.run = deliver;

	err = resolver_set(r, setup);
	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}

void resolver_close(struct resolver *r)
{
	if (!r)
		return;

	r->closed = true;
	list_flush(&r->resolves);
	mem_deref(r);
}

int resolver_change(struct resolver *r, const struct resolver_setup *setup)
{
	int err;

	err = resolver_set(r, setup);
	if (err)
		return err;

	/* timeouts and resolv.conf are read when a channel is made; questions
	 * under way end on the old ones */
	for (struct le *le = list_head(&r->sets); le; le = le->next) {
		struct set *set = le->data;

		channel_retire(set->channel);
		set->channel = NULL;
	}
	turn_defer(&r->deliver);

	return 0;
}
