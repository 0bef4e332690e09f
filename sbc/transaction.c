/*
 * The four machines of RFC 3261 17 with RFC 6026, and what is left of them
 *
 * Four rule tables, one engine. References: the table that a transaction stands
 * in has one, each internal use (a send under way, an event being worked on)
 * has one that is counted in `guards`, all others are its user's. So it is
 * known without a word from him whether he is still there, and a handler may
 * let go of the transaction that called it.
 *
 * Keys are 64-bit keyed hashes and stand alone: at two million entries a look-up
 * goes wrong by chance once in 10^13, and nobody can choose it. Servers have
 * the CSeq number in their key, which RFC 3261 17.2.3 does not ask for: ACK,
 * CANCEL and repetitions have the same, and a client that uses a branch twice is
 * served.
 *
 * With its final answer a transaction gives up its messages and becomes its own
 * remainder: this struct, and the bytes that it may have to send again.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "store/base.h"
#include "store/hash.h"
#include "policy/header.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/large.h"
#include "sbc/machine.h"
#include "sbc/names.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"
#include "sbc/turn.h"
#include "sbc/wire.h"

enum {
	T4 = 5000,           /* I, K: RFC 3261 17, table 4 [ms] */
	TRYING_AFTER = 200,  /* 100 by itself, RFC 3261 17.2.1 [ms] */
	TOTAL_MAX = 1 << 21, /* transactions and remainders of a worker */
	REMAINDER_MAX = 512, /* [bytes] */
	COOKIE = 7,          /* "z9hG4bK" */
	TAG_MAX = 64,
	GLANCE_LINES = 48, /* looked at for CSeq */
	ENDING_MAX = 16    /* remainders that end together */
};

enum kind {
	INVITE_CLIENT,
	CLIENT,
	INVITE_SERVER,
	SERVER,
	KINDS
};

enum state {
	CALLING,
	TRYING,
	PROCEEDING,
	COMPLETED,
	ACCEPTED, /* RFC 6026 */
	LATE,     /* cancelled, and no final answer came in time */
	CONFIRMED,
	DONE,
	STATES
};

enum event {
	GOT_1XX = 1,
	GOT_2XX,
	GOT_FAILURE,
	GOT_AGAIN, /* the request came again */
	GOT_ACK,
	GOT_CANCEL,
	SAY_1XX,
	SAY_2XX,
	SAY_FAILURE,
	AGAIN,   /* A, E, G; server INVITE: 200 ms */
	EXPIRE,  /* B, D, F, H, I, J, K, L, M */
	UNHEARD, /* no final answer after CANCEL */
	FAULT,   /* transport error */
	GONE,    /* nobody needs it any more */
	EVENTS
};

struct transaction {
	struct entry key;
	struct timer timer;
	struct transactions *all; /* NULL: in no table */
	transaction_h *h;
	void *arg;
	struct port *port;
	struct mbuf *mb; /* client: request, then ACK; server: last answer */
	union {
		struct { /* client */
			struct target to;
			struct detour
				*detour; /* by TCP for its length: or NULL */
			char *reason;    /* of a CANCEL that waits for a 1xx */
			uint64_t branch; /* its hash */
		};
		struct { /* server */
			struct arrival from;
			struct message
				*msg; /* request, until the final answer */
			struct entry merge; /* of those without To tag */
		};
	};
	uint64_t end;           /* EXPIRE comes at [ms, monotonic] */
	uint32_t began;         /* client: until the first answer beyond 100 */
	uint32_t wait;          /* AGAIN comes after [ms], 0: never */
	struct parties parties; /* beside the sip-interface */
	uint16_t guards;
	int16_t err; /* of the last send, when it came at once */
	uint8_t kind, state, method;
	uint16_t plain; /* code of an answer that its request makes; or 0 */
	bool in_merge : 1;
	bool cancels : 1;   /* its user wants it cancelled */
	bool remainder : 1; /* the final answer is there */
	bool direct : 1;    /* a send is on the stack: errors are its result */
};

_Static_assert(sizeof(struct transaction) <= REMAINDER_MAX,
	       "architecture.md 5.3: a remainder has at most 512 bytes");

struct transactions {
	struct transactions_setup setup;
	struct table clients, servers, merges;
	uint32_t alive, remainders;
	uint64_t repeating; /* until then requests are expected again [ms] */
	struct transaction *ending[ENDING_MAX]; /* references */
	uint32_t ending_n;
	struct deferred ends;
};

/* ---- Keys ---- */

static bool any(const struct entry *e, const void *key)
{
	(void)e;
	(void)key;

	return true;
}

static struct transaction *find(const struct table *table, uint64_t key)
{
	struct entry *e = table_find(table, key, any, NULL);

	return e ? (struct transaction *)((char *)e -
					  offsetof(struct transaction, key))
		 : NULL;
}

static uint64_t hash_pl(const struct pl *pl)
{
	return hash_bytes(pl->p, pl->l);
}

static uint64_t client_key(uint64_t branch, enum method_id method)
{
	return hash_mix(branch, (uint64_t)method);
}

static bool has_cookie(const struct pl *branch)
{
	return branch->l > COOKIE && !strncasecmp(branch->p, "z9hG4bK", COOKIE);
}

/* What names a request: CSeq, and ACK and CANCEL go with their INVITE */
static uint64_t request_name(const struct pl *method, uint32_t cseq)
{
	const enum method_id id = method_find(method);
	const bool invite = id == INVITE || id == ACK || id == CANCEL;
	uint64_t name = (uint64_t)cseq << 8 | (uint64_t)(invite ? INVITE : id);

	return id == METHOD_OTHER ? hash_mix(hash_pl(method), name) : name;
}

/* RFC 3261 17.2.3: branch, sent-by, method */
static uint64_t server_key(const struct via *via, uint64_t name)
{
	uint64_t host = hash_nocase(via->host.p, via->host.l);

	return hash_mix(hash_mix(hash_pl(&via->branch), host + via->port),
			name);
}

/* RFC 3261 17.2.3, of a client of RFC 2543: all that names a request. The To
 * tag is left out: that of an ACK is ours, which the INVITE had not */
static uint64_t old_key(const struct message *msg, const struct pl *via,
			uint64_t name)
{
	uint64_t key = hash_mix(hash_pl(&msg->ruri), hash_pl(&msg->callid));

	key = hash_mix(key, hash_pl(&msg->from_tag));
	key = hash_mix(key, hash_pl(via));

	return hash_mix(key, name);
}

static uint64_t message_key(const struct message *msg)
{
	const uint64_t name = request_name(&msg->method, msg->cseq);
	struct pl top = message_value(msg, HDR_VIA);
	const struct via *via = message_via(msg, &top);

	if (via && has_cookie(&via->branch))
		return server_key(via, name);

	return old_key(msg, &top, name);
}

/* A request is one of a sip-port: two tenants may send from the same address with
 * the same branch, and none may name what another one began (behaviour.md 5.4) */
static uint64_t key_at(const struct port *port, uint64_t key)
{
	return hash_mix(key, (uint64_t)(uintptr_t)port);
}

static uint64_t merge_key(const struct message *msg)
{
	uint64_t key = hash_mix(hash_pl(&msg->callid), hash_pl(&msg->from_tag));

	return hash_mix(key, request_name(&msg->method, msg->cseq));
}

/* ---- References, time ---- */

static void hold(struct transaction *t)
{
	mem_ref(t);
	++t->guards;
}

static void drop(struct transaction *t)
{
	--t->guards;
	mem_deref(t);
}

static bool has_user(const struct transaction *t)
{
	return mem_nrefs(t) > t->guards + (t->all ? 1u : 0u);
}

static void tell(struct transaction *t, enum transaction_event ev,
		 const struct message *msg)
{
	if (t->h && has_user(t))
		t->h(t, ev, msg, t->arg);
}

static bool is_client(const struct transaction *t)
{
	return t->kind == INVITE_CLIENT || t->kind == CLIENT;
}

static bool is_reliable(const struct transaction *t)
{
	return port_transport(t->port) != TRANSPORT_UDP;
}

static const struct transactions_setup *setup_of(const struct transaction *t)
{
	return &t->all->setup;
}

static void on_timer(void *arg);

/* AGAIN after `wait`, unless the end comes before it */
static void timer_set(struct transaction *t)
{
	const uint64_t now = clock_ms();
	uint64_t delay = t->end > now ? t->end - now : 0;

	if (t->wait && t->wait < delay)
		delay = t->wait;

	timer_start(&t->timer, delay, on_timer, t);
}

/* Nothing more is sent by itself; EXPIRE comes after ms */
static void end_after(struct transaction *t, uint32_t ms)
{
	t->wait = 0;
	t->end = clock_ms() + ms;
	timer_set(t);
}

static void wait_double(struct transaction *t, uint32_t max)
{
	t->wait = t->wait < max / 2 ? 2 * t->wait : max;
	timer_set(t);
}

/* ---- In the tables and out ---- */

static enum counter kind_counter(const struct transaction *t)
{
	static const enum counter counters[KINDS] = {
		[INVITE_CLIENT] = COUNT_CLIENT_INVITE,
		[CLIENT] = COUNT_CLIENT_OTHER,
		[INVITE_SERVER] = COUNT_SERVER_INVITE,
		[SERVER] = COUNT_SERVER_OTHER,
	};

	return counters[t->kind];
}

static void alive_count(struct transaction *t, int by)
{
	t->all->alive += (uint32_t)by;
	gauge(is_client(t) ? COUNT_CLIENT_TRANS : COUNT_SERVER_TRANS, by);
	gauge(kind_counter(t), by);
}

/* Rows of its sip-interface, which count for all; NULL: nobody counts */
static struct methods *methods(const struct transaction *t)
{
	struct methods *m = port_methods(t->port);

	return m ? m : t->all->setup.methods;
}

static enum method_side side_of(const struct transaction *t)
{
	return is_client(t) ? AS_CLIENT : AS_SERVER;
}

static void event_count(const struct transaction *t, enum method_event ev)
{
	struct methods *m = methods(t);

	if (m)
		methods_count(m, &t->parties, t->method, side_of(t), ev);
}

static void status_count(const struct transaction *t, uint16_t code)
{
	struct methods *m = methods(t);

	if (m)
		methods_status(m, &t->parties, t->method, side_of(t), code);
}

/* An answer came */
static void answer_count(struct transaction *t, uint16_t code)
{
	struct methods *m = methods(t);

	if (t->remainder)
		count(COUNT_RETRANS_RECEIVED, 1);
	if (!m)
		return;
	if (t->remainder) {
		methods_count(m, &t->parties, t->method, AS_CLIENT,
			      METHOD_RESPONSE_RETRANS);
		return;
	}
	methods_status(m, &t->parties, t->method, AS_CLIENT, code);
	if (!t->began || code == 100)
		return;
	methods_latency(m, &t->parties, t->method,
			(uint32_t)clock_ms() - t->began);
	t->began = 0;
}

/* The final answer is there */
static void become_remainder(struct transaction *t)
{
	if (t->remainder)
		return;

	t->remainder = true;
	alive_count(t, -1);
	++t->all->remainders;
	if (is_client(t))
		t->reason = mem_deref(t->reason);
	else
		t->msg = mem_deref(t->msg);
}

static int enlist(struct transaction *t, struct transactions *all, uint64_t key)
{
	int err;

	if (all->alive + all->remainders >= TOTAL_MAX)
		return ENOMEM;

	err = table_add(is_client(t) ? &all->clients : &all->servers, &t->key,
			key);
	if (err)
		return err;

	mem_ref(t);
	t->all = all;
	alive_count(t, 1);

	return 0;
}

/* Out of the tables; its user may keep what is left */
static void delist(struct transaction *t)
{
	struct transactions *all = t->all;

	if (!all)
		return;

	timer_cancel(&t->timer);
	table_remove(is_client(t) ? &all->clients : &all->servers, &t->key);
	if (t->in_merge)
		table_remove(&all->merges, &t->merge);
	become_remainder(t);
	--all->remainders;
	t->mb = mem_deref(t->mb);
	t->state = DONE;
	t->all = NULL;
	mem_deref(t);
}

static void transaction_destructor(void *data)
{
	struct transaction *t = data;

	assert(!t->all);
	timer_cancel(&t->timer);
	mem_deref(t->mb);
	if (is_client(t)) {
		mem_deref(t->reason);
		mem_deref(t->detour);
	} else {
		mem_deref(t->msg);
	}
	mem_deref(t->port);
}

/* ---- Sending ---- */

static const struct machine machines[KINDS];

static bool feed(struct transaction *t, enum event ev,
		 const struct message *msg)
{
	bool found;

	if (!t->all)
		return false;

	hold(t);
	found = machine_feed(&machines[t->kind], &t->state, t, (uint8_t)ev, msg,
			     NULL);
	if (t->state == DONE)
		delist(t);
	drop(t);

	return found;
}

static bool detour_ends(struct transaction *t);

static void sent(int err, uint64_t conn, void *arg)
{
	struct transaction *t = arg;

	if (!err && conn && is_client(t)) {
		t->to.conn = conn; /* CANCEL and ACK follow on it */
		if (t->detour)
			t->detour->mb = mem_deref(t->detour->mb);
	} else if (err && t->direct) {
		t->err = (int16_t)err;
	} else if (err && !detour_ends(t)) {
		(void)feed(t, FAULT, NULL); /* absorbed where none matters */
	}

	drop(t);
}

/* Send t->mb. Errors that come at once are the result */
static int send_bytes(struct transaction *t)
{
	struct target to;
	int err;

	if (is_client(t))
		to = t->to;
	else
		wire_reply_target(&to, &t->from);

	t->err = 0;
	t->direct = true;
	hold(t);
	err = port_send(t->port, &to, t->mb, sent, t);
	if (err) {
		t->err = (int16_t)err;
		drop(t);
	}
	t->direct = false;

	return t->err;
}

/* RFC 3261 18.1.1: what TCP did not take leaves by UDP, as it would have if it
 * were short. The time that is left is what it was */
static bool detour_ends(struct transaction *t)
{
	struct detour *d = is_client(t) ? t->detour : NULL;

	if (!t->all || !d || !d->mb ||
	    (t->state != CALLING && t->state != TRYING))
		return false;

	count(COUNT_LARGE_BY_UDP, 1);
	t->detour = NULL;
	mem_deref(t->port);
	mem_deref(t->mb);
	t->port = mem_ref(d->port);
	t->mb = mem_ref(d->mb);
	t->to = d->to;
	mem_deref(d);

	t->wait = setup_of(t)->t1;
	timer_set(t);

	return !send_bytes(t);
}

/* Send again. A full queue is a lost datagram */
static int send_again(struct transaction *t)
{
	int err;

	if (!t->mb)
		return 0;

	count(COUNT_RETRANS_SENT, 1);
	if (!is_client(t))
		event_count(t, METHOD_RESPONSE_RETRANS);
	else if (!t->remainder) /* else it is an ACK */
		event_count(t, METHOD_RETRANS);
	err = send_bytes(t);

	return err && err != ENOBUFS ? FAULT : 0;
}

static void end_all(struct transactions *all)
{
	for (uint32_t i = 0; i < all->ending_n; ++i) {
		struct transaction *t = all->ending[i];

		/* An ACK in between gives it another end */
		if (clock_ms() >= t->end)
			(void)feed(t, EXPIRE, NULL);
		drop(t);
	}
	all->ending_n = 0;
}

static void ends_run(struct deferred *d)
{
	end_all((struct transactions *)((char *)d -
					offsetof(struct transactions, ends)));
}

/* Nobody has touched it, and its slots, for 64*T1. So some wait for each other,
 * and for what is fetched together, not one behind the other */
static void end_soon(struct transaction *t)
{
	struct transactions *all = t->all;

	table_expect(is_client(t) ? &all->clients : &all->servers, t->key.hash);
	if (t->in_merge)
		table_expect(&all->merges, t->merge.hash);
	hold(t);
	all->ending[all->ending_n++] = t;
	if (all->ending_n == ENDING_MAX)
		end_all(all);
	else
		turn_defer(&all->ends);
}

static void on_timer(void *arg)
{
	struct transaction *t = arg;

	if (clock_ms() < t->end)
		(void)feed(t, AGAIN, NULL);
	else if (t->remainder)
		end_soon(t);
	else
		(void)feed(t, EXPIRE, NULL);
}

/* ---- Actions of all machines ---- */

static int tell_timeout(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	count(COUNT_TIMEOUTS, 1);
	event_count(t, METHOD_TIMEOUT);
	become_remainder(t);
	tell(t, TIMEOUT, NULL);

	return 0;
}

static int tell_broken(void *obj, const struct message *msg)
{
	(void)msg;
	tell(obj, BROKEN, NULL);

	return 0;
}

static int tell_provisional(void *obj, const struct message *msg)
{
	tell(obj, PROVISIONAL, msg);

	return 0;
}

static int repeat_last(void *obj, const struct message *msg)
{
	(void)msg;

	return send_again(obj);
}

/* A wait without end belongs to a user; if there is none, so be it */
static int ask_user(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	if (!has_user(t))
		return GONE;

	end_after(t, setup_of(t)->expire);

	return 0;
}

/* ---- INVITE client, RFC 3261 17.1.1, RFC 6026 8.4 ---- */

/* Timer A */
static int invite_again(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	wait_double(t, UINT32_MAX);

	return send_again(t);
}

static void cancel_send(struct transaction *t);

static int invite_progress(void *obj, const struct message *msg)
{
	struct transaction *t = obj;

	end_after(t, setup_of(t)->expire);
	if (t->cancels)
		cancel_send(t);
	tell(t, PROVISIONAL, msg);

	return 0;
}

/* Timer M; the ACK is the dialog's (13.2.2.4) */
static int invite_accepted(void *obj, const struct message *msg)
{
	struct transaction *t = obj;

	t->mb = mem_deref(t->mb);
	become_remainder(t);
	end_after(t, setup_of(t)->expire);
	tell(t, FINAL, msg);

	return 0;
}

static int tell_final(void *obj, const struct message *msg)
{
	tell(obj, FINAL, msg);

	return 0;
}

/* 17.1.1.3. Timer D is 0 on a reliable transport */
static int invite_refused(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	const bool reliable = is_reliable(t);
	struct mbuf *ack = NULL;

	/* Without memory for it no ACK leaves: the answer comes again */
	(void)wire_ack_failure(&ack, t->mb, msg);
	mem_deref(t->mb);
	t->mb = ack;
	if (ack)
		(void)send_bytes(t); /* the answer is there all the same */

	become_remainder(t);
	end_after(t, setup_of(t)->expire);
	tell(t, FINAL, msg);

	return reliable ? GONE : 0;
}

/* Without CANCEL the user limits how long it rings (timer C is his) */
static int invite_waits(void *obj, const struct message *msg)
{
	struct transaction *t = obj;

	return t->cancels ? UNHEARD : ask_user(t, msg);
}

/* RFC 3261 9.1: treated as over. A final answer may come all the same, and is
 * ACKed; a 2xx goes to the user, if he stays for it (behaviour.md 3.3) */
static int invite_unheard(void *obj, const struct message *msg)
{
	struct transaction *t = obj;

	end_after(t, setup_of(t)->expire);

	return tell_timeout(t, msg);
}

/* clang-format off */
static const struct rule invite_client[] = {
	{ CALLING,    AGAIN,       invite_again,     CALLING    }, /* A */
	{ CALLING,    EXPIRE,      tell_timeout,     DONE       }, /* B */
	{ CALLING,    FAULT,       tell_broken,      DONE       },
	{ CALLING,    GOT_1XX,     invite_progress,  PROCEEDING },
	{ CALLING,    GOT_2XX,     invite_accepted,  ACCEPTED   },
	{ CALLING,    GOT_FAILURE, invite_refused,   COMPLETED  },
	{ PROCEEDING, GOT_1XX,     tell_provisional, PROCEEDING },
	{ PROCEEDING, GOT_2XX,     invite_accepted,  ACCEPTED   },
	{ PROCEEDING, GOT_FAILURE, invite_refused,   COMPLETED  },
	{ PROCEEDING, EXPIRE,      invite_waits,     PROCEEDING },
	{ PROCEEDING, UNHEARD,     invite_unheard,   LATE       },
	{ PROCEEDING, GONE,        NULL,             DONE       },
	{ PROCEEDING, FAULT,       NULL,             PROCEEDING }, /* of an old send */
	{ LATE,       GOT_2XX,     invite_accepted,  ACCEPTED   },
	{ LATE,       GOT_FAILURE, invite_refused,   COMPLETED  },
	{ LATE,       EXPIRE,      NULL,             DONE       },
	{ COMPLETED,  GOT_FAILURE, repeat_last,      COMPLETED  }, /* ACK */
	{ COMPLETED,  EXPIRE,      NULL,             DONE       }, /* D */
	{ COMPLETED,  FAULT,       NULL,             COMPLETED  },
	{ COMPLETED,  GONE,        NULL,             DONE       },
	{ ACCEPTED,   GOT_2XX,     tell_final,       ACCEPTED   },
	{ ACCEPTED,   EXPIRE,      NULL,             DONE       }, /* M */
	{ 0 }
};
/* clang-format on */

/* ---- Other clients, RFC 3261 17.1.2 ---- */

/* Timer E */
static int request_again(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	wait_double(t, setup_of(t)->t2);

	return send_again(t);
}

static int request_progress(void *obj, const struct message *msg)
{
	struct transaction *t = obj;

	if (!is_reliable(t)) {
		t->wait = setup_of(t)->t2;
		timer_set(t);
	}
	tell(t, PROVISIONAL, msg);

	return 0;
}

/* Timer K is 0 on a reliable transport */
static int request_answered(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	const bool reliable = is_reliable(t);

	t->mb = mem_deref(t->mb);
	become_remainder(t);
	end_after(t, T4);
	tell(t, FINAL, msg);

	return reliable ? GONE : 0;
}

/* clang-format off */
static const struct rule client[] = {
	{ TRYING,     AGAIN,       request_again,    TRYING     }, /* E */
	{ TRYING,     EXPIRE,      tell_timeout,     DONE       }, /* F */
	{ TRYING,     FAULT,       tell_broken,      DONE       },
	{ TRYING,     GOT_1XX,     request_progress, PROCEEDING },
	{ TRYING,     GOT_2XX,     request_answered, COMPLETED  },
	{ TRYING,     GOT_FAILURE, request_answered, COMPLETED  },
	{ PROCEEDING, AGAIN,       request_again,    PROCEEDING }, /* E */
	{ PROCEEDING, EXPIRE,      tell_timeout,     DONE       }, /* F */
	{ PROCEEDING, FAULT,       tell_broken,      DONE       },
	{ PROCEEDING, GOT_1XX,     tell_provisional, PROCEEDING },
	{ PROCEEDING, GOT_2XX,     request_answered, COMPLETED  },
	{ PROCEEDING, GOT_FAILURE, request_answered, COMPLETED  },
	{ COMPLETED,  EXPIRE,      NULL,             DONE       }, /* K */
	{ COMPLETED,  GONE,        NULL,             DONE       },
	{ 0 }
};
/* clang-format on */

/* ---- INVITE server, RFC 3261 17.2.1, RFC 6026 8.7 ---- */

static int reply_send(struct transaction *t)
{
	/* transaction_reply gives the error to its caller; the machine goes on
	 * like after a lost datagram */
	(void)send_bytes(t);

	return 0;
}

static int invite_say_progress(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	end_after(t, setup_of(t)->expire);

	return reply_send(t);
}

/* 200 ms without an answer */
static int invite_say_trying(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	struct wire_response r = { .request = t->msg,
				   .from = &t->from,
				   .code = 100 };
	(void)msg;

	if (!has_user(t))
		return GONE;

	end_after(t, setup_of(t)->expire);
	if (wire_response(&t->mb, &r))
		return 0; /* the request comes again, and maybe memory */
	status_count(t, 100);

	return reply_send(t);
}

/* Timer L: INVITE is absorbed, the 2xx is repeated by the user */
static int invite_say_accepted(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	(void)send_bytes(t);
	t->mb = mem_deref(t->mb);
	become_remainder(t);
	end_after(t, setup_of(t)->expire);

	return 0;
}

/* Timers G and H */
static int invite_say_refused(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	become_remainder(t);
	t->wait = is_reliable(t) ? 0 : setup_of(t)->t1;
	t->end = clock_ms() + setup_of(t)->expire;
	timer_set(t);

	return reply_send(t);
}

/* Timer G */
static int refusal_again(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	(void)msg;

	wait_double(t, setup_of(t)->t2);

	return send_again(t);
}

/* Timer I is 0 on a reliable transport */
static int refusal_acked(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	const bool reliable = is_reliable(t);

	t->mb = mem_deref(t->mb);
	end_after(t, T4);
	tell(t, ACKED, msg);

	return reliable ? GONE : 0;
}

static int tell_cancelled(void *obj, const struct message *msg)
{
	tell(obj, CANCELLED, msg);

	return 0;
}

/* clang-format off */
static const struct rule invite_server[] = {
	{ PROCEEDING, GOT_AGAIN,   repeat_last,         PROCEEDING },
	{ PROCEEDING, AGAIN,       invite_say_trying,   PROCEEDING },
	{ PROCEEDING, EXPIRE,      ask_user,            PROCEEDING },
	{ PROCEEDING, GOT_ACK,     NULL,                PROCEEDING }, /* of nothing */
	{ PROCEEDING, GOT_CANCEL,  tell_cancelled,      PROCEEDING }, /* 9.2 */
	{ PROCEEDING, FAULT,       tell_broken,         PROCEEDING },
	{ PROCEEDING, SAY_1XX,     invite_say_progress, PROCEEDING },
	{ PROCEEDING, SAY_2XX,     invite_say_accepted, ACCEPTED   },
	{ PROCEEDING, SAY_FAILURE, invite_say_refused,  COMPLETED  },
	{ PROCEEDING, GONE,        NULL,                DONE       },
	{ COMPLETED,  GOT_AGAIN,   repeat_last,         COMPLETED  },
	{ COMPLETED,  AGAIN,       refusal_again,       COMPLETED  }, /* G */
	{ COMPLETED,  EXPIRE,      tell_timeout,        DONE       }, /* H */
	{ COMPLETED,  GOT_ACK,     refusal_acked,       CONFIRMED  },
	{ COMPLETED,  GOT_CANCEL,  NULL,                COMPLETED  },
	{ COMPLETED,  FAULT,       tell_broken,         COMPLETED  },
	{ CONFIRMED,  GOT_AGAIN,   NULL,                CONFIRMED  },
	{ CONFIRMED,  GOT_ACK,     NULL,                CONFIRMED  },
	{ CONFIRMED,  GOT_CANCEL,  NULL,                CONFIRMED  },
	{ CONFIRMED,  EXPIRE,      NULL,                DONE       }, /* I */
	{ CONFIRMED,  GONE,        NULL,                DONE       },
	{ ACCEPTED,   GOT_AGAIN,   NULL,                ACCEPTED   },
	{ ACCEPTED,   GOT_CANCEL,  NULL,                ACCEPTED   },
	{ ACCEPTED,   FAULT,       tell_broken,         ACCEPTED   },
	{ ACCEPTED,   EXPIRE,      NULL,                DONE       }, /* L */
	{ 0 }
};
/* clang-format on */

/* ---- Other servers, RFC 3261 17.2.2 ---- */

static int say_progress(void *obj, const struct message *msg)
{
	(void)msg;

	return reply_send(obj);
}

/* Timer J is 0 on a reliable transport */
static int say_final(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	const bool reliable = is_reliable(t);
	(void)msg;

	become_remainder(t);
	end_after(t, setup_of(t)->expire);
	(void)reply_send(t);
	if (t->plain)
		t->mb = mem_deref(t->mb);

	return reliable ? GONE : 0;
}

/* Where the answer is not kept, the request that came again makes it again */
static int repeat_final(void *obj, const struct message *msg)
{
	struct transaction *t = obj;
	struct wire_response r = { .request = msg,
				   .from = &t->from,
				   .code = t->plain };
	int err;

	if (!t->plain || !msg)
		return repeat_last(t, msg);
	if (wire_response(&t->mb, &r))
		return 0;
	err = send_again(t);
	t->mb = mem_deref(t->mb);

	return err;
}

/* clang-format off */
static const struct rule server[] = {
	{ TRYING,     GOT_AGAIN,   NULL,         TRYING     },
	{ TRYING,     EXPIRE,      ask_user,     TRYING     },
	{ TRYING,     SAY_1XX,     say_progress, PROCEEDING },
	{ TRYING,     SAY_2XX,     say_final,    COMPLETED  },
	{ TRYING,     SAY_FAILURE, say_final,    COMPLETED  },
	{ TRYING,     GONE,        NULL,         DONE       },
	{ PROCEEDING, GOT_AGAIN,   repeat_last,  PROCEEDING },
	{ PROCEEDING, EXPIRE,      ask_user,     PROCEEDING },
	{ PROCEEDING, FAULT,       tell_broken,  PROCEEDING },
	{ PROCEEDING, SAY_1XX,     say_progress, PROCEEDING },
	{ PROCEEDING, SAY_2XX,     say_final,    COMPLETED  },
	{ PROCEEDING, SAY_FAILURE, say_final,    COMPLETED  },
	{ PROCEEDING, GONE,        NULL,         DONE       },
	{ COMPLETED,  GOT_AGAIN,   repeat_final, COMPLETED  },
	{ COMPLETED,  FAULT,       tell_broken,  COMPLETED  },
	{ COMPLETED,  EXPIRE,      NULL,         DONE       }, /* J */
	{ COMPLETED,  GONE,        NULL,         DONE       },
	{ 0 }
};

static const char *const states[STATES] = {
	[CALLING]    = "CALLING",
	[TRYING]     = "TRYING",
	[PROCEEDING] = "PROCEEDING",
	[COMPLETED]  = "COMPLETED",
	[ACCEPTED]   = "ACCEPTED",
	[LATE]       = "LATE",
	[CONFIRMED]  = "CONFIRMED",
	[DONE]       = "DONE",
};

static const char *const events[EVENTS] = {
	[GOT_1XX]     = "GOT_1XX",
	[GOT_2XX]     = "GOT_2XX",
	[GOT_FAILURE] = "GOT_FAILURE",
	[GOT_AGAIN]   = "GOT_AGAIN",
	[GOT_ACK]     = "GOT_ACK",
	[GOT_CANCEL]  = "GOT_CANCEL",
	[SAY_1XX]     = "SAY_1XX",
	[SAY_2XX]     = "SAY_2XX",
	[SAY_FAILURE] = "SAY_FAILURE",
	[AGAIN]       = "AGAIN",
	[EXPIRE]      = "EXPIRE",
	[UNHEARD]     = "UNHEARD",
	[FAULT]       = "FAULT",
	[GONE]        = "GONE",
};

static const struct machine machines[KINDS] = {
	[INVITE_CLIENT] = { "invite-client", invite_client, states, events },
	[CLIENT]        = { "client", client, states, events },
	[INVITE_SERVER] = { "invite-server", invite_server, states, events },
	[SERVER]        = { "server", server, states, events },
};
/* clang-format on */

/* ---- Clients ---- */

static int client_open(struct transaction **tp, struct transactions *all,
		       const struct request_setup *setup, uint64_t branch,
		       struct detour *detour, transaction_h *h, void *arg)
{
	struct transaction *t;
	int err;

	t = mem_zalloc(sizeof(*t), transaction_destructor);
	if (!t)
		return ENOMEM;

	t->kind = setup->method == INVITE ? INVITE_CLIENT : CLIENT;
	t->state = setup->method == INVITE ? CALLING : TRYING;
	t->method = (uint8_t)setup->method;
	t->h = h;
	t->arg = arg;
	t->port = mem_ref(setup->port);
	t->mb = mem_ref(setup->mb);
	t->to = setup->to;
	t->branch = branch;
	t->parties = setup->parties;
	t->detour = mem_ref(detour);

	err = enlist(t, all, client_key(branch, setup->method));
	if (err)
		goto out;

	t->wait = is_reliable(t) ? 0 : all->setup.t1;
	t->end = clock_ms();
	t->began = (uint32_t)t->end;
	event_count(t, METHOD_REQUEST);
	t->end += setup->expire ? setup->expire : all->setup.expire;
	timer_set(t);

	err = send_bytes(t);
	if (err && detour_ends(t))
		err = 0;
	/* Names were for opening a connection; retransmission has none */
	t->to.tls_name = NULL;

out:
	if (err) {
		delist(t);
		mem_deref(t);
	} else {
		*tp = t;
	}

	return err;
}

int transaction_send(struct transaction **tp, struct transactions *all,
		     const struct request_setup *setup, transaction_h *h,
		     void *arg)
{
	uint64_t branch = hash_bytes(setup->branch, strlen(setup->branch));

	struct request_setup by = *setup;
	struct detour *detour;
	int err;

	/* Without memory for the way by TCP it is tried by UDP */
	if (large_turn(&detour, &by.port, &by.to, &by.mb) || !detour)
		return client_open(tp, all, setup, branch, NULL, h, arg);

	err = client_open(tp, all, &by, branch, detour, h, arg);
	mem_deref(by.mb);
	mem_deref(detour);
	return err;
}

/* CANCEL with a transaction of its own, which nobody listens to. The INVITE
 * waits for its final answer for 64*T1 (RFC 3261 9.1) */
static void cancel_send(struct transaction *t)
{
	struct request_setup setup = { .port = t->port,
				       .to = t->to,
				       .method = CANCEL,
				       .parties = t->parties };
	struct transaction *cancel;
	struct pl reason;

	end_after(t, setup_of(t)->expire);

	pl_set_str(&reason, t->reason ? t->reason : "");
	if (wire_cancel(&setup.mb, t->mb, &reason))
		return; /* without memory for it the wait alone ends this */

	if (!client_open(&cancel, t->all, &setup, t->branch, NULL, NULL, NULL))
		mem_deref(cancel);
	mem_deref(setup.mb);
	t->reason = mem_deref(t->reason);
}

int transaction_cancel(struct transaction *t, const struct pl *reason)
{
	if (t->kind != INVITE_CLIENT || t->remainder || !t->all)
		return EALREADY;
	if (t->cancels)
		return 0;

	t->cancels = true;
	if (reason && reason->l)
		(void)pl_strdup(&t->reason, reason); /* or none */
	if (t->state == PROCEEDING)
		cancel_send(t);

	return 0;
}

/* ---- Servers ---- */

static int merge_enlist(struct transaction *t, const struct message *request)
{
	uint64_t key;
	int err;

	if (request->to_tag.l)
		return 0;

	key = key_at(t->port, merge_key(request));
	if (table_find(&t->all->merges, key, any, NULL)) {
		count(COUNT_MERGED, 1);
		return EEXIST;
	}

	err = table_add(&t->all->merges, &t->merge, key);
	t->in_merge = !err;

	return err;
}

int transaction_open(struct transaction **tp, struct transactions *all,
		     const struct arrival *from, const struct message *request,
		     transaction_h *h, void *arg)
{
	const bool invite = request->method_id == INVITE;
	struct transaction *t;
	int err;

	t = mem_zalloc(sizeof(*t), transaction_destructor);
	if (!t)
		return ENOMEM;

	t->kind = invite ? INVITE_SERVER : SERVER;
	t->state = invite ? PROCEEDING : TRYING;
	t->method = request->method_id;
	t->h = h;
	t->arg = arg;
	t->port = mem_ref(from->port);
	t->from = *from;
	t->msg = mem_ref((void *)(uintptr_t)request);

	err = enlist(t, all, key_at(from->port, message_key(request)));
	if (err)
		goto out;
	err = merge_enlist(t, request);
	if (err && err != EEXIST)
		goto out;

	event_count(t, METHOD_REQUEST);
	t->wait = invite ? TRYING_AFTER : 0;
	t->end = clock_ms() + all->setup.expire;
	timer_set(t);

out:
	if (err && err != EEXIST) {
		delist(t);
		mem_deref(t);
	} else {
		*tp = t;
	}

	return err;
}

void transaction_parties(struct transaction *t, const struct parties *parties)
{
	struct methods *m = methods(t);

	t->parties = *parties;
	if (m)
		methods_count_parties(m, parties, t->method, AS_SERVER,
				      METHOD_REQUEST);
}

void transaction_handler(struct transaction *t, transaction_h *h, void *arg)
{
	t->h = h;
	t->arg = arg;
}

int transaction_reply(struct transaction *t, uint16_t code, struct mbuf *bytes)
{
	int err;

	if (is_client(t) || t->remainder || !t->all)
		return EALREADY;

	status_count(t, code);
	mem_ref(bytes);
	mem_deref(t->mb);
	t->mb = bytes;

	hold(t);
	t->err = 0;
	(void)feed(t,
		   code < 200   ? SAY_1XX
		   : code < 300 ? SAY_2XX
				: SAY_FAILURE,
		   NULL);
	err = t->err;
	drop(t);

	return err;
}

int transaction_reply_plain(struct transaction *t, uint16_t code,
			    struct mbuf *bytes)
{
	/* Without a To tag in the request each answer would have its own */
	if (t->kind == SERVER && code >= 200 && !t->remainder && t->msg &&
	    t->msg->to_tag.l)
		t->plain = code;

	return transaction_reply(t, code, bytes);
}

const struct message *transaction_request(const struct transaction *t)
{
	return is_client(t) ? NULL : t->msg;
}

const struct arrival *transaction_arrival(const struct transaction *t)
{
	return &t->from;
}

bool transaction_is_silent(const struct transaction *t)
{
	return !t->mb;
}

const struct target *transaction_target(const struct transaction *t)
{
	return t->detour ? &t->detour->to : &t->to;
}

void *transaction_forget(struct transaction *t)
{
	if (!t)
		return NULL;

	t->h = NULL;

	return mem_deref(t);
}

/* ---- Messages that come ---- */

static enum transactions_verdict response(struct transactions *all,
					  const struct message *msg)
{
	struct transaction *t;
	enum event ev;

	t = find(&all->clients, client_key(hash_pl(&msg->branch),
					   (enum method_id)msg->method_id));
	if (!t)
		return STRAY;

	ev = msg->code < 200   ? GOT_1XX
	     : msg->code < 300 ? GOT_2XX
			       : GOT_FAILURE;
	answer_count(t, msg->code);
	(void)feed(t, ev, msg); /* without a rule it is absorbed */

	return MATCHED;
}

/* A tag that is the same for each repetition, without a memory of it */
static void stable_tag(char tag[STABLE_TAG], uint64_t key)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t h = hash_mix(key, 0x746167);
	size_t i;

	for (i = 0; i < STABLE_TAG - 1; ++i, h >>= 4)
		tag[i] = digits[h & 15];
	tag[i] = '\0';
}

void transactions_tag(char tag[STABLE_TAG], const struct message *request)
{
	stable_tag(tag, message_key(request));
}

/* Tag that the last answer to the INVITE bears, if it bears one */
static bool last_tag(char tag[TAG_MAX], const struct transaction *t)
{
	struct pl line;
	const char *p, *end;

	if (!t->mb)
		return false;

	p = memmem(mbuf_buf(t->mb), mbuf_get_left(t->mb), "\r\nTo: ", 6);
	if (!p)
		return false;
	p += 6;
	end = (const char *)mbuf_buf(t->mb) + mbuf_get_left(t->mb);
	end = memmem(p, (size_t)(end - p), "\r\n", 2);
	p = end ? memmem(p, (size_t)(end - p), ";tag=", 5) : NULL;
	if (!p)
		return false;

	line.p = p + 5;
	line.l = (size_t)(end - line.p);

	return !pl_strcpy(&line, tag, TAG_MAX);
}

/* Answer without state: a repetition gets the same again */
static void stateless_answer(const struct arrival *from,
			     const struct message *request, uint16_t code,
			     const char *tag)
{
	const struct wire_response r = {
		.request = request, .from = from, .code = code, .to_tag = tag
	};
	struct target to;
	struct mbuf *mb;

	if (wire_response(&mb, &r))
		return; /* it comes again */

	wire_reply_target(&to, from);
	(void)port_send(from->port, &to, mb, NULL, NULL);
	mem_deref(mb);
}

void transactions_answered(struct transactions *all, const struct port *port,
			   const struct parties *parties, uint8_t method,
			   uint16_t code)
{
	struct methods *m = port_methods(port);

	m = m ? m : all->setup.methods;
	if (!m)
		return;
	methods_count(m, parties, method, AS_SERVER, METHOD_REQUEST);
	methods_status(m, parties, method, AS_SERVER, code);
}

void transactions_throttled(struct transactions *all, const struct port *port,
			    const struct parties *parties, uint8_t method,
			    enum method_side side)
{
	struct methods *m = port ? port_methods(port) : NULL;

	m = m ? m : all->setup.methods;
	if (m)
		methods_count(m, parties, method, side, METHOD_THROTTLED);
}

/* Only the header section is there: the request must not be served, an answer
 * not be believed (behaviour.md 1.2) */
static enum transactions_verdict refuse(const struct arrival *from,
					const struct message *msg)
{
	char tag[STABLE_TAG];

	if (msg->code)
		return STRAY;

	if (msg->method_id != ACK) {
		transactions_tag(tag, msg);
		stateless_answer(from, msg, from->refuse, tag);
	}

	return MATCHED;
}

/* Its repetition gets the same answer, while the INVITE or its remainder is
 * there (RFC 3261 9.2) */
static enum transactions_verdict cancel_came(struct transactions *all,
					     struct transaction *t,
					     const struct arrival *from,
					     const struct message *cancel,
					     uint64_t key)
{
	char tag[TAG_MAX];

	if (!t || !last_tag(tag, t))
		stable_tag(tag, key);

	stateless_answer(from, cancel, t ? 200 : 481, tag);
	transactions_answered(all, from->port, t ? &t->parties : NULL, CANCEL,
			      t ? 200 : 481);
	if (!t)
		return NEW_CANCEL;

	(void)feed(t, GOT_CANCEL, cancel);

	return MATCHED;
}

/* A request came that was here before */
static void came_again(struct transaction *t)
{
	t->all->repeating = clock_ms() + setup_of(t)->expire;
	count(COUNT_RETRANS_RECEIVED, 1);
	event_count(t, METHOD_RETRANS);
}

enum transactions_verdict transactions_take(struct transactions *all,
					    const struct arrival *from,
					    const struct message *msg)
{
	struct transaction *t;
	uint64_t key;

	if (from->refuse)
		return refuse(from, msg);
	if (msg->code)
		return response(all, msg);

	key = message_key(msg);
	t = find(&all->servers, key_at(from->port, key));

	switch (msg->method_id) {
	case ACK:
		/* In Accepted there is no rule: it belongs to the dialog */
		return t && feed(t, GOT_ACK, msg) ? MATCHED : NEW_ACK;

	case CANCEL:
		return cancel_came(all, t, from, msg, key);

	default:
		if (!t)
			return NEW_REQUEST;
		came_again(t);
		(void)feed(t, GOT_AGAIN, msg);
		return MATCHED;
	}
}

/* What start line, top Via and CSeq say */
struct glance {
	struct pl method;
	struct via via;
	uint32_t cseq;
};

/* Cut a line off that ends with CRLF and is not folded */
static bool glance_line(struct pl *rest, struct pl *line)
{
	const char *lf = memchr(rest->p, '\n', rest->l);

	if (!lf || lf == rest->p || lf[-1] != '\r')
		return false;

	line->p = rest->p;
	line->l = (size_t)(lf - 1 - rest->p);
	rest->l -= line->l + 2;
	rest->p = lf + 1;

	return rest->l && *rest->p != ' ' && *rest->p != '\t';
}

/* Value of a line, if it has this name, or this letter */
static bool glance_value(const struct pl *line, const char *name, char letter,
			 struct pl *value)
{
	const size_t n = strlen(name);
	size_t at;

	if (line->l > n && line->p[n] == ':' && !strncasecmp(line->p, name, n))
		at = n + 1;
	else if (letter && line->l > 1 && line->p[1] == ':' &&
		 (line->p[0] | 0x20) == letter)
		at = 2;
	else
		return false;

	while (at < line->l && line->p[at] == ' ')
		++at;
	value->p = line->p + at;
	value->l = line->l - at;

	return true;
}

/* "METHOD URI SP SIP/2.0" and a Via with our kind of branch right behind it:
 * what nearly everybody sends. Anything else is not for a glance */
static bool glance_begin(struct glance *g, struct pl *rest)
{
	static const char version[] = " SIP/2.0";
	const size_t n = sizeof(version) - 1;
	struct pl line, value, top;
	const char *blank;

	if (!glance_line(rest, &line) || line.l < n ||
	    memcmp(line.p + line.l - n, version, n))
		return false;

	blank = memchr(line.p, ' ', line.l);
	g->method.p = line.p;
	g->method.l = (size_t)(blank - line.p);

	return glance_line(rest, &line) &&
	       glance_value(&line, "Via", 'v', &value) &&
	       !via_read_top(&g->via, &top, &value) &&
	       has_cookie(&g->via.branch);
}

static bool glance_cseq(struct glance *g, struct pl *rest)
{
	struct pl line, value, method;
	int i;

	for (i = 0; i < GLANCE_LINES && glance_line(rest, &line); ++i) {
		if (!line.l)
			return false;
		if (glance_value(&line, "CSeq", '\0', &value))
			return !cseq_read(&g->cseq, &method, &value) &&
			       !pl_cmp(&method, &g->method);
	}

	return false;
}

bool transactions_repeat(const struct transactions *all)
{
	return clock_ms() < all->repeating;
}

bool transactions_match(struct transactions *all, const struct arrival *from,
			struct mbuf *mb)
{
	struct pl rest = { .p = (const char *)mbuf_buf(mb),
			   .l = mbuf_get_left(mb) };
	struct glance g;
	struct transaction *t;
	enum method_id method;

	if (from->refuse || !glance_begin(&g, &rest) || !glance_cseq(&g, &rest))
		return false;

	method = method_find(&g.method);
	if (method == CANCEL)
		return false;

	t = find(&all->servers,
		 key_at(from->port,
			server_key(&g.via, request_name(&g.method, g.cseq))));
	if (!t)
		return false;

	if (method == ACK)
		/* A user wants to see the first; the dialog, that of a 2xx */
		return (t->state == CONFIRMED ||
			(t->state == COMPLETED && !(t->h && has_user(t)))) &&
		       feed(t, GOT_ACK, NULL);

	if (t->plain) /* the scan is for making the answer again */
		return false;

	came_again(t);

	return feed(t, GOT_AGAIN, NULL);
}

void transactions_refused(const struct sa *dst, const struct pl *quote, int err,
			  void *arg)
{
	struct transactions *all = arg;
	struct pl rest = *quote;
	struct transaction *t;
	struct glance g;
	(void)dst;
	(void)err;

	if (!glance_begin(&g, &rest))
		return;

	t = find(&all->clients,
		 client_key(hash_pl(&g.via.branch), method_find(&g.method)));

	/* Whoever answered once is there: this is about something else */
	if (t && (t->state == CALLING || t->state == TRYING))
		(void)feed(t, FAULT, NULL);
}

/* ---- All of them ---- */

static void entry_delist(struct entry *e, void *arg)
{
	(void)arg;
	delist((struct transaction *)((char *)e -
				      offsetof(struct transaction, key)));
}

static void transactions_destructor(void *data)
{
	struct transactions *all = data;

	turn_forget(&all->ends);
	while (all->ending_n)
		drop(all->ending[--all->ending_n]);
	(void)table_walk(&all->clients, 0, SIZE_MAX, entry_delist, NULL);
	(void)table_walk(&all->servers, 0, SIZE_MAX, entry_delist, NULL);
	table_finish(&all->clients);
	table_finish(&all->servers);
	table_finish(&all->merges);
}

int transactions_open(struct transactions **allp,
		      const struct transactions_setup *setup)
{
	struct transactions *all;

	all = mem_zalloc(sizeof(*all), transactions_destructor);
	if (!all)
		return ENOMEM;

	all->setup = *setup;
	all->ends.run = ends_run;
	table_init(&all->clients);
	table_init(&all->servers);
	table_init(&all->merges);
	*allp = all;

	return 0;
}

void transactions_close(struct transactions *all)
{
	mem_deref(all);
}

void transactions_change(struct transactions *all,
			 const struct transactions_setup *setup)
{
	all->setup = *setup;
}

void transactions_count(const struct transactions *all, uint32_t *alive,
			uint32_t *remainders)
{
	*alive = all->alive;
	*remainders = all->remainders;
}
