/*
 * Media of one call: port pairs, SDP, orders to forward, news from it
 *
 * A stream is an m= line; each of its two ends has a pair of ports and, once an
 * answer is here, a flow. RFC 3264:
 *
 *   offer            pairs are taken and bound on both sides
 *   early answer     flows are opened; another one may take its place
 *   final answer     flows are opened and changed; what is off now is released
 *   offer refused    what the offer alone had taken is released
 *
 * A later offer touches no flow before its final answer (RFC 6141).
 *
 * While hops of several realms are tried together side B has a face in each: the
 * streams have the ends of the one that speaks.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <sys/socket.h>
#include "store/hash.h"
#include "store/log.h"
#include "store/number.h"
#include "sbc/alarm.h"
#include "sbc/clock.h"
#include "sbc/counters.h"
#include "sbc/forward.h"
#include "sbc/random.h"
#include "sbc/timer.h"
#include "sbc/media.h"

enum {
	TRIES = 8,    /* pairs looked at for one that is fit */
	CODEC = 24,   /* as in struct sdp_stream */
	LOW = 90,     /* alarm steering-pool-low at this use ... */
	RELIEVED = 80 /* ... until it falls below [%] */
};

enum {
	RTP,
	RTCP
};

/* What one side's SDP says about a stream */
struct line {
	struct sa remote[2];
	uint8_t direction; /* enum sdp_direction */
	bool on;
};

struct end {
	struct port_pair pair; /* pool NULL: none */
	int fd[2];             /* bound; -1: none, or the flow has them */
	uint32_t flow;         /* 0: none */
	struct line line;      /* of the last answer that counts */
};

struct stream {
	struct end end[2];
	uint32_t clock_rate; /* [Hz] */
	bool audio, raw;
	bool agreed;  /* of the running session, not only of an offer */
	bool two_way; /* has been: whatever is less is hold */
};

/* An offer that waits for its final answer */
struct proposal {
	enum side from;
	uint32_t n;
	bool answered; /* by a provisional answer */
	struct {
		struct line offer, answer;
		uint32_t clock_rate;
		bool audio, raw;
	} of[SDP_STREAMS];
	char codec[2][CODEC]; /* of the offer, of the answer */
	struct mbuf *said[2]; /* by side, where that is kept */
};

/* What one early dialog agreed on, while another one has the media */
struct media_view {
	struct proposal *proposal;
	struct {
		struct line line[2];
		bool agreed, two_way;
	} of[SDP_STREAMS];
	bool agreed;
};

/* The SBC as the SDP peer of a side: RFC 3264 5, 8 */
struct origin {
	uint64_t id, hash;
	uint32_t version;
};

/* What a call counts as at max-bandwidth of one side's realm [kbit/s] */
struct share {
	struct capacity *at;  /* NULL: nowhere */
	uint32_t now, before; /* the open offer */
};

/* Side B in a realm that does not speak now */
struct face {
	struct le le;
	const struct realm *realm;
	struct sa peer;
	struct origin origin;
	struct share share;
	bool direct;
	struct end end[SDP_STREAMS];
};

struct media {
	struct worker *worker;
	struct forward *forward; /* media thread of the call */
	const struct media_manager *manager;
	const struct realm *realm[2];
	struct sa peer[2];
	uint8_t early; /* enum early_media_allow */
	media_h *h;
	void *arg;

	struct stream *stream[SDP_STREAMS];
	struct proposal *proposal;
	struct proposal *first;  /* of the INVITE, for its other dialogs */
	struct origin origin[2]; /* towards that side */
	struct timer limit;      /* flow-time-limit */
	struct mbuf *said[2];    /* SDP of the session, by side */
	bool keeps;              /* media_keep */
	bool direct;             /* media does not pass the SBC */
	bool agreed, started, told, counted;
	bool emergency;
	struct share share[2]; /* by side */
	struct list faces;     /* struct face */

	struct media_report *report; /* NULL: nothing is known yet */
	media_report_h *report_h;    /* of media_close */
	void *report_arg;
	uint32_t closing; /* flows whose last news is to come */
};

/* architecture.md 12: with libre's 16 bytes and what malloc rounds up to */
_Static_assert(sizeof(struct media) <= 448 - 16, "media takes 448 bytes");

/* --- alarms of the pools ------------------------------------------------- */

static const char *pools_name(const struct realm *realm)
{
	return (realm->pools_realm ? realm->pools_realm : realm)
		->config->identifier;
}

/* One pair more is used: crossed the threshold? */
static void watch_taken(const struct media *m, const struct realm *realm)
{
	struct ports *ports = m->worker->media_ports;
	uint32_t used, left, all;

	ports_count(ports, realm, &used, &left);
	all = used + left;
	if (used * 100 < all * LOW || (used - 1) * 100 >= all * LOW)
		return;

	/* without memory the operator clears it */
	(void)ports_alert(ports, pools_name(realm));
	alarm_raise("steering-pool-low", ALARM_MINOR, pools_name(realm),
		    "%u of %u port pairs used", used, all);
}

/* One pair less. A call that found none may have met pairs at rest, and another
 * configuration has other pools: what ends an alarm is the use of today */
static void watch_given(const struct media *m, const struct realm *realm)
{
	struct ports *ports = m->worker->media_ports;
	uint32_t used, left;

	ports_count(ports, realm, &used, &left);
	if (used * 100 >= (used + left) * RELIEVED ||
	    !ports_relieve(ports, pools_name(realm)))
		return;

	alarm_clear("steering-pool-low", pools_name(realm));
	alarm_clear("steering-pool-empty", pools_name(realm));
}

/* --- ports --------------------------------------------------------------- */

static int family(const struct media *m, enum side side)
{
	const struct realm *realm = m->realm[side];
	int af = sa_af(&m->peer[side]);

	if (af != AF_INET && af != AF_INET6 && realm->pools_n)
		af = sa_af(&realm->pools[0]->ip_address);

	return af;
}

static void fds_close(int fd[2])
{
	int i;

	for (i = RTP; i <= RTCP; i++) {
		if (fd[i] >= 0)
			(void)close(fd[i]);
		fd[i] = -1;
	}
}

static void pair_give(const struct media *m, enum side side,
		      struct port_pair *pair)
{
	if (!pair->pool)
		return;

	ports_give(m->worker->media_ports, pair, clock_ms());
	memset(pair, 0, sizeof(*pair));
	gauge(COUNT_MEDIA_USED_PORTS, -2);
	watch_given(m, m->realm[side]);
}

static int pair_take(const struct media *m, enum side side,
		     struct port_pair *pair)
{
	const struct realm *realm = m->realm[side];

	if (ports_take(m->worker->media_ports, realm, family(m, side),
		       clock_ms(), pair)) {
		count(COUNT_MEDIA_NO_PORTS, 1);
		(void)ports_alert(m->worker->media_ports, pools_name(realm));
		alarm_raise("steering-pool-empty", ALARM_MAJOR,
			    pools_name(realm), "no port pair is free");
		return ENOSPC;
	}

	gauge(COUNT_MEDIA_USED_PORTS, 2);
	watch_taken(m, realm);
	return 0;
}

static int socket_bind(int *fdp, const struct sa *sa)
{
	int one = 1;
	int fd =
		socket(sa_af(sa), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return errno;

	if (sa_af(sa) == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
				 sizeof(one));
	if (bind(fd, &sa->u.sa, sa->len)) {
		err = errno;
		(void)close(fd);
		return err;
	}

	*fdp = fd;
	return 0;
}

static int pair_bind(int fd[2], const struct port_pair *pair)
{
	int err;

	fd[RTP] = fd[RTCP] = -1;
	err = socket_bind(&fd[RTP], &pair->rtp);
	if (!err)
		err = socket_bind(&fd[RTCP], &pair->rtcp);
	if (err)
		fds_close(fd);

	return err;
}

static const struct sa *local_address(const struct media *m, enum side side)
{
	const struct realm *realm = m->realm[side];
	uint32_t i;

	for (i = 0; i < SDP_STREAMS; i++)
		if (m->stream[i] && m->stream[i]->end[side].pair.pool)
			return &m->stream[i]->end[side].pair.rtp;

	return realm->pools_n ? &realm->pools[0]->ip_address : NULL;
}

static bool has_pair(const struct media *m, enum side side)
{
	uint32_t i;

	for (i = 0; i < SDP_STREAMS; i++)
		if (m->stream[i] && m->stream[i]->end[side].pair.pool)
			return true;

	return false;
}

/*
 * A pair that can be bound, on the address of the streams before it: the SDP
 * has one c= line. What was looked at in vain is kept until the end, or the
 * pool would hand out the same again.
 */
static int end_reserve(const struct media *m, struct end *end, enum side side)
{
	const struct sa *addr =
		has_pair(m, side) ? local_address(m, side) : NULL;
	struct port_pair tried[TRIES];
	uint32_t n;
	int err = 0;

	if (end->pair.pool)
		return 0;

	for (n = 0; n < TRIES; n++) {
		err = pair_take(m, side, &tried[n]);
		if (err)
			break;
		if (addr && !sa_cmp(addr, &tried[n].rtp, SA_ADDR)) {
			err = ENOSPC;
			continue;
		}

		err = pair_bind(end->fd, &tried[n]);
		if (!err) {
			end->pair = tried[n];
			break;
		}
		if (log_admit("port-bind"))
			log_warning(MEDIA, "port-bind",
				    "realm=%s port=%u text=\"%s\"",
				    pools_name(m->realm[side]),
				    sa_port(&tried[n].rtp), strerror(err));
	}

	while (n--)
		pair_give(m, side, &tried[n]);

	return err ? ENOSPC : 0;
}

/* --- streams ------------------------------------------------------------- */

static void end_release(struct media *m, struct end *end, enum side side)
{
	if (end->flow) {
		flow_forget(m->forward, end->flow);
		flow_close(m->forward, end->flow);
	}
	end->flow = 0;
	fds_close(end->fd);
	pair_give(m, side, &end->pair);
	memset(&end->line, 0, sizeof(end->line));
}

static void stream_release(struct media *m, uint32_t i)
{
	struct stream *s = m->stream[i];

	if (!s)
		return;

	end_release(m, &s->end[SIDE_A], SIDE_A);
	end_release(m, &s->end[SIDE_B], SIDE_B);
	m->stream[i] = mem_deref(s);
}

static int stream_reserve(struct media *m, uint32_t i)
{
	struct stream *s = m->stream[i];
	int err;

	if (!s) {
		s = mem_zalloc(sizeof(*s), NULL);
		if (!s)
			return ENOMEM;
		memset(s->end[SIDE_A].fd, -1, sizeof(s->end[SIDE_A].fd));
		memset(s->end[SIDE_B].fd, -1, sizeof(s->end[SIDE_B].fd));
		m->stream[i] = s;
	}

	err = end_reserve(m, &s->end[SIDE_A], SIDE_A);
	if (!err)
		err = end_reserve(m, &s->end[SIDE_B], SIDE_B);

	return err;
}

static void release_all(struct media *m)
{
	uint32_t i;

	for (i = 0; i < SDP_STREAMS; i++)
		stream_release(m, i);
}

/* What an offer alone had taken. Another early dialog may have agreed */
static void release_unagreed(struct media *m)
{
	uint32_t i;

	if (!list_isempty(&m->faces))
		return;

	for (i = 0; i < SDP_STREAMS; i++)
		if (m->stream[i] && !m->stream[i]->agreed)
			stream_release(m, i);
}

/* --- max-bandwidth (behaviour.md 1.5) ------------------------------------- */

static int share_set(struct share *s, uint32_t kbit, bool forced)
{
	int err = 0;

	if (s->at)
		err = capacity_media(s->at, (int64_t)kbit - s->now, forced);
	if (!err)
		s->now = s->at ? kbit : 0;

	return err;
}

static void share_leave(struct share *s)
{
	(void)share_set(s, 0, true);
	s->at = NULL;
}

/* Media that does not pass counts where bw-cac-non-mm says so */
static uint32_t needed(const struct media *m, enum side side,
		       const struct sdp *sdp)
{
	return m->direct && !m->realm[side]->config->bw_cac_non_mm
		       ? 0
		       : sdp_bandwidth(sdp);
}

/* The offer is off: what counted before it counts again */
static void shares_restore(struct media *m)
{
	for (int side = SIDE_A; side <= SIDE_B; side++)
		(void)share_set(&m->share[side], m->share[side].before, true);
}

/* 0; EDQUOT a realm has no room for the offer: nothing has changed */
static int shares_take(struct media *m, const struct sdp *sdp)
{
	int err = 0;

	for (int side = SIDE_A; side <= SIDE_B; side++) {
		struct share *s = &m->share[side];
		struct capacity *at = capacity_of_realm(m->worker->capacities,
							m->realm[side]->config);

		if (s->at != at)
			share_leave(s);
		s->at = at;
		s->before = s->now;
	}
	for (int side = SIDE_A; side <= SIDE_B && !err; side++)
		err = share_set(&m->share[side],
				needed(m, (enum side)side, sdp), m->emergency);
	if (err)
		shares_restore(m);

	if (err)
		count(COUNT_MEDIA_NO_BANDWIDTH, 1);
	return err ? EDQUOT : 0;
}

/* --- orders -------------------------------------------------------------- */

static enum flow_latch latch_mode(const struct media *m, enum side side)
{
	const struct realm_config *rc = m->realm[side]->config;

	if (!m->manager->latching || !rc->symmetric_latching)
		return LATCH_NONE;

	switch ((enum restricted_latching)rc->restricted_latching) {
	case RESTRICTED_LATCHING_NONE:
		return LATCH_ANY;
	case RESTRICTED_LATCHING_SDP:
		return LATCH_SDP;
	case RESTRICTED_LATCHING_PEER_IP:
		return LATCH_PEER_IP;
	}

	return LATCH_NONE;
}

/* early-media-allow (behaviour.md 3.2): what does not pass before the answer */
static bool is_mute(const struct media *m, enum side side)
{
	if (m->started || m->early == EARLY_MEDIA_ALLOW_BOTH)
		return false;

	return side == SIDE_A || m->early == EARLY_MEDIA_ALLOW_NONE;
}

/*
 * What a guard timer may wait for (behaviour.md 3.11). A stream that went both
 * ways once and does not now is held: music may come or not. One that never did
 * is an announcement, and its one direction counts.
 */
static enum sdp_direction expected(const struct stream *s, enum side side)
{
	uint8_t here = s->end[side].line.direction;
	uint8_t there = s->end[!side].line.direction;

	if (s->two_way && (here & there) != SDP_SENDRECV)
		return SDP_INACTIVE;

	return here & SDP_SENDONLY && there & SDP_RECVONLY ? SDP_SENDONLY
							   : SDP_INACTIVE;
}

static uint32_t milliseconds(uint32_t s)
{
	return s > UINT32_MAX / 1000 ? UINT32_MAX : s * 1000;
}

static void flow_describe(const struct media *m, const struct stream *s,
			  enum side side, struct flow_setup *out)
{
	const struct end *end = &s->end[side];
	bool on = end->line.on;

	memset(out, 0, sizeof(*out));
	memcpy(out->fd, end->fd, sizeof(out->fd));
	memcpy(out->remote, end->line.remote, sizeof(out->remote));
	out->peer = m->peer[side];
	out->mask = (uint8_t)m->realm[side]->config->restriction_mask;
	out->latch = latch_mode(m, side);
	out->direction = on ? expected(s, side) : SDP_INACTIVE;
	if (m->started) {
		out->first_wait = milliseconds(m->manager->initial_guard_timer);
		out->later_wait = milliseconds(m->manager->subsq_guard_timer);
	}
	out->rtcp_counts = m->manager->hnt_rtcp;
	out->rtcp_blocked = m->realm[SIDE_A]->config->block_rtcp ||
			    m->realm[SIDE_B]->config->block_rtcp;
	out->raw = s->raw;
	out->mute = is_mute(m, side);
	out->clock_rate = s->clock_rate;
	out->partner = on ? s->end[!side].flow : 0;
}

static void end_change(struct media *m, const struct stream *s, enum side side)
{
	struct flow_setup setup;

	if (!s->end[side].flow)
		return;

	flow_describe(m, s, side, &setup);
	flow_change(m->forward, s->end[side].flow, &setup);
}

static struct stream *first_audio(const struct media *m)
{
	uint32_t i;

	for (i = 0; i < SDP_STREAMS; i++)
		if (m->stream[i] && m->stream[i]->audio &&
		    m->stream[i]->end[SIDE_A].line.on)
			return m->stream[i];

	return NULL;
}

/* NULL: without memory for it the record says nothing */
static struct media_report *report_of(struct media *m)
{
	if (!m->report)
		m->report = mem_zalloc(sizeof(*m->report), NULL);

	return m->report;
}

static void report_take(struct media *m, enum side side,
			const struct flow_report *r)
{
	struct media_report *mine = report_of(m);

	if (!mine)
		return;
	mine->remote[side] = r->remote;
	mine->packets[side] = r->packets;
	mine->octets[side] = r->octets;
	mine->lost[side] = r->lost;
	mine->jitter[side] = r->jitter;
	mine->latched[side] = r->latched;
}

static void tell_silent(struct media *m)
{
	if (m->told)
		return;

	m->told = true;
	count(COUNT_MEDIA_EXP_EVENTS, 1);
	m->h(MEDIA_SILENT, m->arg);
}

static void on_limit(void *arg)
{
	tell_silent(arg);
}

static void tell_closed(struct media *m)
{
	media_report_h *h = m->report_h;
	struct media_report r;

	m->report_h = NULL;
	if (!h)
		return;

	media_report(m, &r);
	h(&r, m->report_arg);
}

/* Whose flow is it? NULL if it is none of ours */
static struct end *end_find(const struct media *m, uint32_t flow,
			    struct stream **sp, enum side *side)
{
	uint32_t i;

	for (i = 0; i < 2 * SDP_STREAMS; i++) {
		struct stream *s = m->stream[i / 2];

		if (!s || s->end[i % 2].flow != flow)
			continue;
		*sp = s;
		*side = i % 2;
		return &s->end[i % 2];
	}

	return NULL;
}

static void on_flow(uint32_t flow, enum flow_news news,
		    const struct flow_report *r, void *arg)
{
	struct media *m = arg;
	struct stream *s;
	enum side side;
	struct end *end = end_find(m, flow, &s, &side);

	if (!end)
		return;
	if (s == first_audio(m))
		report_take(m, side, r);

	switch (news) {
	case FLOW_LATCHED:
	case FLOW_COUNTERS:
		break;
	case FLOW_SILENT:
		if (!m->report_h)
			tell_silent(m);
		break;
	case FLOW_CLOSED:
		end->flow = 0;
		if (m->closing && !--m->closing)
			tell_closed(m);
		break;
	}
}

static int end_open(struct media *m, struct stream *s, enum side side)
{
	struct end *end = &s->end[side];
	struct flow_setup setup;
	int err;

	if (end->flow)
		return 0;

	flow_describe(m, s, side, &setup);
	end->fd[RTP] = end->fd[RTCP] = -1;
	err = flow_open(&end->flow, m->forward, &setup, on_flow, m);
	if (err) {
		log_error(MEDIA, "flow-open", "text=\"%s\"", strerror(err));
		end->flow = 0;
		pair_give(m, side, &end->pair);
		return err;
	}

	if (!m->counted)
		gauge(COUNT_MEDIA_SESSIONS, 1);
	m->counted = true;
	if (m->manager->flow_time_limit && !timer_is_running(&m->limit))
		timer_start(&m->limit,
			    (uint64_t)m->manager->flow_time_limit * 1000,
			    on_limit, m);

	return 0;
}

/* Both flows must know each other's number, so the first is told afterwards */
static int stream_apply(struct media *m, struct stream *s)
{
	const bool fresh = !s->end[SIDE_B].flow;
	int err;

	if (s->end[SIDE_A].line.on) {
		err = end_open(m, s, SIDE_A);
		if (err)
			return err;
		err = end_open(m, s, SIDE_B);
		if (err)
			return err;
	}

	end_change(m, s, SIDE_A);
	if (!fresh)
		end_change(m, s, SIDE_B);

	return 0;
}

/* --- offer and answer ---------------------------------------------------- */

static uint32_t clock_rate(const struct sdp_stream *s)
{
	if (is_word(&s->media, "video"))
		return 90000;
	if (!strncasecmp(s->codec, "opus", 4))
		return 48000;

	return 8000; /* also G722: RFC 3551 4.5.2 */
}

static void line_set(struct line *line, const struct sdp_stream *s)
{
	line->on = s->relayed && sa_port(&s->rtp);
	line->remote[RTP] = s->rtp;
	line->remote[RTCP] = s->rtcp;
	line->direction = s->direction;
}

static void proposal_destructor(void *arg)
{
	struct proposal *p = arg;

	mem_deref(p->said[SIDE_A]);
	mem_deref(p->said[SIDE_B]);
}

static int proposal_make(struct proposal **pp, enum side from,
			 const struct sdp *sdp)
{
	struct proposal *p = mem_zalloc(sizeof(*p), proposal_destructor);
	bool named = false;
	uint32_t i;

	if (!p)
		return ENOMEM;

	p->from = from;
	p->n = sdp->n;
	for (i = 0; i < sdp->n; i++) {
		const struct sdp_stream *s = &sdp->streams[i];

		line_set(&p->of[i].offer, s);
		p->of[i].clock_rate = clock_rate(s);
		p->of[i].audio = is_word(&s->media, "audio");
		p->of[i].raw =
			s->proto.l < 4 || strncasecmp(s->proto.p, "RTP/", 4);
		if (p->of[i].audio && !named) {
			memcpy(p->codec[0], s->codec, CODEC);
			named = true;
		}
	}

	*pp = p;
	return 0;
}

static void proposal_answer(struct proposal *p, const struct sdp *sdp)
{
	bool named = false;
	uint32_t i;

	p->answered = true;
	for (i = 0; i < p->n; i++) {
		line_set(&p->of[i].answer, &sdp->streams[i]);
		if (p->of[i].audio && !named) {
			memcpy(p->codec[1], sdp->streams[i].codec, CODEC);
			named = true;
		}
	}
}

static bool is_on(const struct proposal *p, uint32_t i)
{
	return i < p->n && p->of[i].offer.on && p->of[i].answer.on;
}

/* The last answer becomes what the flows do */
static int apply(struct media *m)
{
	const struct proposal *p = m->proposal;
	struct media_report *report = report_of(m);
	enum side from = p->from;
	uint32_t i;
	int err = 0;

	for (i = 0; i < p->n && !err; i++) {
		struct stream *s = m->stream[i];
		uint8_t both;

		if (!s)
			continue;

		s->end[from].line = p->of[i].offer;
		s->end[!from].line = p->of[i].answer;
		s->end[SIDE_A].line.on = s->end[SIDE_B].line.on = is_on(p, i);
		s->audio = p->of[i].audio;
		s->raw = p->of[i].raw;
		s->clock_rate = p->of[i].clock_rate;
		both = p->of[i].offer.direction & p->of[i].answer.direction;
		s->two_way = s->two_way || both == SDP_SENDRECV;
		err = stream_apply(m, s);
	}

	if (report) {
		memcpy(report->codec[from], p->codec[0], CODEC);
		memcpy(report->codec[!from], p->codec[1], CODEC);
	}

	return err;
}

/* Answered for good: streams that are off now go */
static void agree(struct media *m)
{
	uint32_t i;

	for (i = 0; i < SDP_STREAMS; i++) {
		if (!m->stream[i])
			continue;
		if (is_on(m->proposal, i))
			m->stream[i]->agreed = true;
		else if (m->started) /* or it may be on in another dialog */
			stream_release(m, i);
	}

	for (i = SIDE_A; i <= SIDE_B; i++) {
		if (!m->proposal->said[i])
			continue;
		mem_deref(m->said[i]);
		m->said[i] = mem_ref(m->proposal->said[i]);
	}

	/* The caller's offer is answered once in each early dialog */
	if (!m->agreed && !m->started && !m->first &&
	    m->proposal->from == SIDE_A) {
		m->first = m->proposal;
		m->proposal = NULL;
	}
	m->agreed = true;
	m->proposal = mem_deref(m->proposal);
}

/* The call is answered: one dialog is left */
static void agree_at_last(struct media *m)
{
	uint32_t i;

	m->started = true;
	m->first = mem_deref(m->first);
	if (m->proposal && m->proposal->answered)
		agree(m);
	if (!m->agreed)
		return;
	for (i = 0; i < SDP_STREAMS; i++)
		if (m->stream[i] && !m->stream[i]->end[SIDE_A].line.on)
			stream_release(m, i);
}

static int copy(struct mbuf **out, const struct pl *text)
{
	struct mbuf *mb = mbuf_alloc(text->l + 1);
	int err;

	if (!mb)
		return ENOMEM;

	err = mbuf_write_mem(mb, (const uint8_t *)text->p, text->l);
	mb->pos = 0;
	if (err)
		mem_deref(mb);
	else
		*out = mb;

	return err;
}

static int keep(struct media *m, enum side side, const struct pl *sdp)
{
	struct proposal *p = m->proposal;

	if (!m->keeps)
		return 0;
	p->said[side] = mem_deref(p->said[side]);
	return copy(&p->said[side], sdp);
}

/* RFC 3264 8: the version rises by one when anything but o= has changed; all
 * that goes into the text is its source and our addresses and ports */
static void origin_move(struct origin *o, uint64_t hash)
{
	if (!o->id) /* fits a signed 64 bit number, as some peers read it */
		o->id = random_u64() >> 2 | 1;
	if (o->version && o->hash == hash)
		return;

	o->version++;
	o->hash = hash;
}

static uint64_t rewrite_hash(const struct sdp *sdp,
			     const struct sdp_rewrite *rw)
{
	uint64_t hash = sdp->hash;

	hash = hash_mix(hash, hash_bytes(rw->rtp, sizeof(rw->rtp)));
	hash = hash_mix(hash, hash_bytes(rw->rtcp, sizeof(rw->rtcp)));
	if (sa_af(&rw->addr) == AF_INET6)
		return hash_mix(hash,
				hash_bytes(&rw->addr.u.in6.sin6_addr, 16));

	return hash_mix(hash, hash_bytes(&rw->addr.u.in.sin_addr, 4));
}

/* The SDP that came from one side, for the other; on[] per m= line */
static int rewrite(struct media *m, enum side to, const struct pl *text,
		   const struct sdp *sdp, const bool on[SDP_STREAMS],
		   struct mbuf **out)
{
	const struct sa *addr = local_address(m, to);
	struct origin origin = m->origin[to];
	struct sdp_rewrite rw;
	struct mbuf *mb;
	uint32_t i;
	int err;

	memset(&rw, 0, sizeof(rw));
	if (addr)
		rw.addr = *addr;
	else
		sa_init(&rw.addr, AF_INET);
	sa_set_port(&rw.addr, 0);

	for (i = 0; i < sdp->n; i++) {
		/* rtcp-mux is agreed with nobody: each side has its own pair */
		rw.strip_mux[i] = true;
		if (!on[i])
			continue;
		rw.rtp[i] = sa_port(&m->stream[i]->end[to].pair.rtp);
		rw.rtcp[i] = sa_port(&m->stream[i]->end[to].pair.rtcp);
	}

	rw.anonymous = m->manager->anonymous_sdp;
	origin_move(&origin, rewrite_hash(sdp, &rw));
	rw.session_id = origin.id;
	rw.version = origin.version;

	mb = mbuf_alloc(text->l + 128);
	if (!mb)
		return ENOMEM;
	err = sdp_write(mb, text, sdp, &rw);
	if (err) {
		mem_deref(mb);
		return err;
	}

	mb->pos = 0;
	m->origin[to] = origin;
	*out = mb;
	return 0;
}

/* Behind the three words that name a session in its o= line */
static const char *origin_rest(const struct pl *text, const char **linep)
{
	const char *end = text->p + text->l, *p = text->p;
	int words = 0;

	while (p && p + 2 < end && (p[0] != 'o' || p[1] != '=')) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	if (!p || p + 2 >= end)
		return NULL;
	*linep = p;
	for (; p < end && words < 3; p++)
		words += *p == ' ';
	return words == 3 ? p - 1 : NULL;
}

/* What goes directly leaves as it came, but for o= where the peer knows the SBC
 * by another session already (media_continue, RFC 3264 8) */
static int pass(struct media *m, enum side to, const struct pl *text,
		const struct sdp *sdp, struct mbuf **out)
{
	struct origin origin = m->origin[to];
	const char *line = NULL, *rest = origin_rest(text, &line);
	char words[48] = "o=- ";
	size_t n = 4;
	struct mbuf *mb;
	int err;

	if (!origin.id || !rest)
		return copy(out, text);

	origin_move(&origin, sdp->hash);
	n += uint_write(words + n, origin.id);
	words[n++] = ' ';
	n += uint_write(words + n, origin.version);
	mb = mbuf_alloc(text->l + sizeof(words));
	if (!mb)
		return ENOMEM;
	err = mbuf_write_mem(mb, (const uint8_t *)text->p,
			     (size_t)(line - text->p));
	err |= mbuf_write_mem(mb, (const uint8_t *)words, n);
	err |= mbuf_write_mem(mb, (const uint8_t *)rest,
			      (size_t)(text->p + text->l - rest));
	if (err) {
		mem_deref(mb);
		return ENOMEM;
	}

	mb->pos = 0;
	m->origin[to] = origin;
	*out = mb;
	return 0;
}

/* --- release: media without the SBC (behaviour.md 3.10) ------------------ */

static bool pools_share_address(const struct realm *a, const struct realm *b)
{
	uint32_t i, k;

	for (i = 0; i < a->pools_n; i++)
		for (k = 0; k < b->pools_n; k++)
			if (sa_cmp(&a->pools[i]->ip_address,
				   &b->pools[k]->ip_address, SA_ADDR))
				return true;

	return false;
}

/* Can the other end use these addresses as they are? */
static bool is_usable_there(const struct media *m, enum side there,
			    const struct sdp *sdp)
{
	for (uint32_t i = 0; i < sdp->n; i++) {
		const struct sdp_stream *s = &sdp->streams[i];

		if (s->relayed && sa_isset(&s->rtp, SA_ADDR) &&
		    sa_af(&s->rtp) != family(m, there))
			return false;
	}

	return true;
}

static bool is_direct(const struct media *m)
{
	const struct realm *a = m->realm[SIDE_A], *b = m->realm[SIDE_B];

	if (!m->manager->state)
		return true;

	if (family(m, SIDE_A) != family(m, SIDE_B) ||
	    latch_mode(m, SIDE_A) != LATCH_NONE ||
	    latch_mode(m, SIDE_B) != LATCH_NONE)
		return false;

	if (a != b)
		return !a->config->mm_in_network && !b->config->mm_in_network &&
		       pools_share_address(a, b);
	if (!a->config->mm_in_realm)
		return true;

	return !a->config->mm_same_ip &&
	       sa_cmp(&m->peer[SIDE_A], &m->peer[SIDE_B], SA_ADDR);
}

/* --- side B in several realms --------------------------------------------- */

static void face_destructor(void *arg)
{
	struct face *f = arg;

	list_unlink(&f->le);
}

/* One for each family of addresses: c= names one */
static struct face *face_find(const struct media *m, const struct realm *realm,
			      int af)
{
	for (struct le *le = m->faces.head; le; le = le->next) {
		struct face *f = le->data;

		if (f->realm == realm && sa_af(&f->peer) == af)
			return f;
	}
	return NULL;
}

static bool is_here(const struct media *m, const struct realm *realm, int af)
{
	return m->realm[SIDE_B] == realm && sa_af(&m->peer[SIDE_B]) == af;
}

static struct face *face_add(struct media *m, const struct realm *realm,
			     const struct sa *peer)
{
	struct face *f = mem_zalloc(sizeof(*f), face_destructor);

	if (!f)
		return NULL;
	f->realm = realm;
	f->peer = *peer;
	for (uint32_t i = 0; i < SDP_STREAMS; i++)
		memset(f->end[i].fd, -1, sizeof(f->end[i].fd));
	list_append(&m->faces, &f->le, f);

	return f;
}

/* Side B turns to this realm; what it was before is the face then */
static void face_swap(struct media *m, struct face *f)
{
	const struct face was = {
		.realm = m->realm[SIDE_B],
		.peer = m->peer[SIDE_B],
		.origin = m->origin[SIDE_B],
		.share = m->share[SIDE_B],
		.direct = m->direct,
	};

	m->realm[SIDE_B] = f->realm;
	m->peer[SIDE_B] = f->peer;
	m->origin[SIDE_B] = f->origin;
	m->share[SIDE_B] = f->share;
	m->direct = f->direct;
	f->realm = was.realm;
	f->peer = was.peer;
	f->origin = was.origin;
	f->share = was.share;
	f->direct = was.direct;

	for (uint32_t i = 0; i < SDP_STREAMS; i++) {
		struct stream *s = m->stream[i];
		struct end end;

		if (!s)
			continue;
		end = s->end[SIDE_B];
		s->end[SIDE_B] = f->end[i];
		f->end[i] = end;
	}
}

/* Nobody hears what arrives at a face that does not speak */
static void face_rest(const struct media *m, const struct face *f)
{
	for (uint32_t i = 0; i < SDP_STREAMS; i++) {
		const struct stream *s = m->stream[i];
		struct flow_setup setup;

		if (!s || !f->end[i].flow)
			continue;
		flow_describe(m, s, SIDE_B, &setup);
		memcpy(setup.remote, f->end[i].line.remote,
		       sizeof(setup.remote));
		setup.direction = SDP_INACTIVE;
		setup.mute = true;
		setup.partner = 0;
		flow_change(m->forward, f->end[i].flow, &setup);
	}
}

static void face_release(struct media *m, struct face *f)
{
	const struct realm *realm = m->realm[SIDE_B];

	m->realm[SIDE_B] = f->realm;
	for (uint32_t i = 0; i < SDP_STREAMS; i++)
		end_release(m, &f->end[i], SIDE_B);
	m->realm[SIDE_B] = realm;
	share_leave(&f->share);
	mem_deref(f);
}

/* Only the one that speaks goes on */
static void faces_release(struct media *m)
{
	if (list_isempty(&m->faces))
		return;
	while (m->faces.head)
		face_release(m, m->faces.head->data);
	if (m->direct)
		release_all(m);
}

void media_face(struct media *m, const struct realm *realm_b,
		const struct sa *peer_b)
{
	struct face *f = is_here(m, realm_b, sa_af(peer_b))
				 ? NULL
				 : face_find(m, realm_b, sa_af(peer_b));

	if (f) {
		face_swap(m, f);
		face_rest(m, f);
		for (uint32_t i = 0; i < SDP_STREAMS; i++)
			if (m->stream[i])
				end_change(m, m->stream[i], SIDE_A);
	}
	if (is_here(m, realm_b, sa_af(peer_b)))
		m->peer[SIDE_B] = *peer_b;
}

void media_leave(struct media *m, const struct realm *realm_b, int af)
{
	struct face *f = face_find(m, realm_b, af);

	if (!f && is_here(m, realm_b, af) && m->faces.head) {
		f = m->faces.head->data;
		face_swap(m, f);
	}
	if (f)
		face_release(m, f);
}

/* Room in the realm, ports, and what is to be said there: side B faces it now */
static int face_offer(struct media *m, const struct pl *text, struct mbuf **out)
{
	struct share *share = &m->share[SIDE_B];
	bool on[SDP_STREAMS] = { false };
	struct line line;
	struct sdp sdp;
	int err;

	err = sdp_read(&sdp, text);
	if (err)
		return err == E2BIG ? EPROTO : err;
	m->direct = is_direct(m) && is_usable_there(m, SIDE_B, &sdp);
	share->at = capacity_of_realm(m->worker->capacities,
				      m->realm[SIDE_B]->config);
	if (share_set(share, needed(m, SIDE_B, &sdp), m->emergency)) {
		count(COUNT_MEDIA_NO_BANDWIDTH, 1);
		return EDQUOT;
	}
	share->before = 0;
	if (m->direct)
		return pass(m, SIDE_B, text, &sdp, out);

	for (uint32_t i = 0; i < sdp.n; i++) {
		line_set(&line, &sdp.streams[i]);
		on[i] = line.on;
		err = on[i] ? stream_reserve(m, i) : 0;
		if (err)
			return err;
	}
	return rewrite(m, SIDE_B, text, &sdp, on, out);
}

int media_beside(struct media *m, const struct realm *realm_b,
		 const struct sa *peer_b, const struct pl *sdp,
		 struct mbuf **out)
{
	bool here = is_here(m, realm_b, sa_af(peer_b));
	struct face *f = here ? NULL : face_find(m, realm_b, sa_af(peer_b));
	bool fresh = !here && !f;
	int err = 0;

	if (fresh)
		f = face_add(m, realm_b, peer_b);
	if (!here && !f)
		return ENOMEM;
	if (f)
		face_swap(m, f);
	if (sdp)
		err = face_offer(m, sdp, out);
	if (f)
		face_swap(m, f);
	if (err && fresh)
		face_release(m, f);

	return err;
}

/* --- public -------------------------------------------------------------- */

static void media_destructor(void *arg)
{
	struct media *m = arg;

	timer_cancel(&m->limit);
	faces_release(m);
	release_all(m);
	share_leave(&m->share[SIDE_A]);
	share_leave(&m->share[SIDE_B]);
	if (m->counted)
		gauge(COUNT_MEDIA_SESSIONS, -1);
	mem_deref(m->proposal);
	mem_deref(m->first);
	mem_deref(m->said[SIDE_A]);
	mem_deref(m->said[SIDE_B]);
	mem_deref(m->report);
}

static uint8_t early_media(const struct media_setup *setup)
{
	switch ((enum agent_early_media_allow)setup->early_media_allow) {
	case AGENT_EARLY_MEDIA_ALLOW_NONE:
		return EARLY_MEDIA_ALLOW_NONE;
	case AGENT_EARLY_MEDIA_ALLOW_REVERSE:
		return EARLY_MEDIA_ALLOW_REVERSE;
	case AGENT_EARLY_MEDIA_ALLOW_BOTH:
		return EARLY_MEDIA_ALLOW_BOTH;
	case AGENT_EARLY_MEDIA_ALLOW_EMPTY:
		break;
	}

	return setup->realm[SIDE_A]->config->early_media_allow;
}

/* Calls are spread in turn */
static struct forward *thread_of(struct worker *w)
{
	return w->forwards_n ? w->forward[w->forward_turn++ % w->forwards_n]
			     : NULL;
}

int media_alloc(struct media **mp, const struct media_setup *setup, media_h *h,
		void *arg)
{
	struct media *m = mem_zalloc(sizeof(*m), media_destructor);

	if (!m)
		return ENOMEM;

	m->worker = setup->worker;
	m->forward = thread_of(setup->worker);
	m->manager = setup->plan->media;
	memcpy(m->realm, setup->realm, sizeof(m->realm));
	memcpy(m->peer, setup->peer, sizeof(m->peer));
	m->early = early_media(setup);
	m->emergency = setup->emergency;
	m->h = h;
	m->arg = arg;
	*mp = m;

	return 0;
}

int media_move(struct media *m, const struct realm *realm_b,
	       const struct sa *peer_b)
{
	bool elsewhere = !is_here(m, realm_b, sa_af(peer_b));
	uint32_t i;

	faces_release(m);
	m->proposal = mem_deref(m->proposal);
	m->first = mem_deref(m->first);
	m->agreed = false; /* that was with the hop before */
	share_leave(&m->share[SIDE_B]);

	for (i = 0; i < SDP_STREAMS; i++) {
		struct stream *s = m->stream[i];

		/* unused ports serve the next hop of the same realm and
		 * family: a pool of few pairs has no others, for they rest
		 * after use */
		if (s && (s->end[SIDE_B].flow || elsewhere))
			end_release(m, &s->end[SIDE_B], SIDE_B);
		if (!s)
			continue;
		s->two_way = s->agreed = false;
		end_change(m, s, SIDE_A);
	}

	m->realm[SIDE_B] = realm_b;
	m->peer[SIDE_B] = *peer_b;
	memset(&m->origin[SIDE_B], 0, sizeof(m->origin[SIDE_B]));

	return 0;
}

static int offer_relayed(struct media *m, const struct pl *text,
			 const struct sdp *sdp, struct mbuf **out)
{
	const struct proposal *p = m->proposal;
	bool on[SDP_STREAMS] = { false };
	bool usable = false;
	uint32_t i;
	int err;

	for (i = 0; i < p->n; i++) {
		on[i] = p->of[i].offer.on;
		usable = usable || on[i];
	}

	/* a session may turn all its streams off, but not begin like that */
	if (!usable && !m->agreed && p->n)
		return EPROTO;

	for (i = 0; i < p->n; i++) {
		err = on[i] ? stream_reserve(m, i) : 0;
		if (err)
			return err;
	}

	return rewrite(m, !p->from, text, sdp, on, out);
}

static int offer(struct media *m, enum side from, const struct pl *sdp,
		 struct mbuf **out)
{
	struct sdp read;
	int err;

	if (m->proposal && !m->proposal->answered)
		return EALREADY;
	if (!m->realm[SIDE_B]) /* no hop yet, so nobody to offer it to */
		return EINVAL;

	err = sdp_read(&read, sdp);
	if (err)
		return err == E2BIG ? EPROTO : err;

	if (m->proposal)
		agree(m);
	if (!m->agreed || m->direct)
		m->direct = is_direct(m) && is_usable_there(m, !from, &read);
	err = shares_take(m, &read);
	if (err)
		return err;
	if (m->direct && list_isempty(&m->faces))
		release_all(m);

	err = proposal_make(&m->proposal, from, &read);
	if (err) {
		shares_restore(m);
		return err;
	}

	if (m->direct)
		err = pass(m, !from, sdp, &read, out);
	else
		err = offer_relayed(m, sdp, &read, out);
	if (!err) {
		err = keep(m, from, sdp);
		if (err)
			*out = mem_deref(*out);
	}
	if (err) {
		m->proposal = mem_deref(m->proposal);
		shares_restore(m);
		release_unagreed(m);
	}

	return err;
}

/* Each side may send from a new address before the answer tells of it */
static void flows_expect(const struct media *m)
{
	for (uint32_t i = 0; i < SDP_STREAMS; i++) {
		const struct stream *s = m->stream[i];

		for (int side = SIDE_A; s && side <= SIDE_B; side++)
			if (s->end[side].flow)
				flow_expect(m->forward, s->end[side].flow);
	}
}

/* ... and that is over without an answer */
static void flows_return(struct media *m)
{
	for (uint32_t i = 0; i < SDP_STREAMS; i++) {
		struct stream *s = m->stream[i];

		for (int side = SIDE_A; s && side <= SIDE_B; side++)
			end_change(m, s, (enum side)side);
	}
}

int media_offer(struct media *m, enum side from, const struct pl *sdp,
		struct mbuf **out)
{
	/* It may be what this side said, which a new agreement replaces */
	struct mbuf *said = mem_ref(m->said[from]);
	int err = offer(m, from, sdp, out);

	mem_deref(said);
	if (!err)
		flows_expect(m);
	return err;
}

int media_answer(struct media *m, enum side from, const struct pl *sdp,
		 enum media_answer what, struct mbuf **out)
{
	bool final = what != MEDIA_EARLY;
	struct proposal *p = m->proposal;
	bool on[SDP_STREAMS] = { false };
	struct mbuf *mb = NULL;
	struct sdp read;
	uint32_t i;
	int err;

	if (!p || p->from == from)
		return ENOENT;

	err = sdp_read(&read, sdp);
	if (err)
		return err == ENOMEM ? ENOMEM : EBADMSG;
	if (read.n != p->n)
		return EBADMSG;

	proposal_answer(p, &read);
	for (i = 0; i < p->n; i++)
		on[i] = is_on(p, i) && (m->direct || m->stream[i]);

	err = m->direct ? pass(m, p->from, sdp, &read, &mb)
			: rewrite(m, p->from, sdp, &read, on, &mb);
	if (err)
		return err;

	m->started = m->started || what == MEDIA_FINAL;
	err = keep(m, from, sdp);
	if (!err && !m->direct && (final || !m->agreed))
		err = apply(m);
	if (err) {
		mem_deref(mb);
		return err;
	}

	if (what == MEDIA_FINAL)
		faces_release(m);
	if (final)
		agree(m);
	if (what == MEDIA_FINAL)
		m->first = mem_deref(m->first);
	*out = mb;

	return 0;
}

bool media_is_agreed(const struct media *m)
{
	return m->agreed;
}

int media_copy(struct media *m, enum side from, const struct pl *sdp,
	       struct mbuf **out)
{
	struct origin origin = m->origin[!from];
	bool on[SDP_STREAMS] = { false };
	struct sdp read;
	uint32_t i;
	int err;

	err = sdp_read(&read, sdp);
	if (err)
		return err == ENOMEM ? ENOMEM : EBADMSG;
	if (m->direct)
		return copy(out, sdp);

	for (i = 0; i < read.n; i++) {
		struct line line;

		line_set(&line, &read.streams[i]);
		on[i] = line.on && m->stream[i] &&
			m->stream[i]->end[!from].pair.pool;
	}
	err = rewrite(m, !from, sdp, &read, on, out);
	m->origin[!from] = origin;
	return err;
}

static void view_destructor(void *arg)
{
	struct media_view *v = arg;

	mem_deref(v->proposal);
}

/* The caller's offer as it was before anybody answered it */
static int proposal_again(struct proposal **pp, const struct proposal *first)
{
	struct proposal *p;

	if (!first || first->from != SIDE_A)
		return 0;
	p = mem_zalloc(sizeof(*p), proposal_destructor);
	if (!p)
		return ENOMEM;

	*p = *first;
	p->answered = false;
	p->said[SIDE_A] = mem_ref(first->said[SIDE_A]);
	p->said[SIDE_B] = NULL;
	*pp = p;
	return 0;
}

static int view_save(struct media_view **vp, const struct media *m)
{
	struct media_view *v = mem_zalloc(sizeof(*v), view_destructor);

	if (!v)
		return ENOMEM;
	v->proposal = mem_ref(m->proposal);
	v->agreed = m->agreed;
	for (uint32_t i = 0; i < SDP_STREAMS; i++) {
		const struct stream *s = m->stream[i];

		if (!s)
			continue;
		v->of[i].line[SIDE_A] = s->end[SIDE_A].line;
		v->of[i].line[SIDE_B] = s->end[SIDE_B].line;
		v->of[i].agreed = s->agreed;
		v->of[i].two_way = s->two_way;
	}
	*vp = v;
	return 0;
}

/* What fails here fails in the answer that comes next, too */
static void view_load(struct media *m, const struct media_view *v)
{
	m->agreed = v->agreed;
	for (uint32_t i = 0; i < SDP_STREAMS; i++) {
		struct stream *s = m->stream[i];

		if (!s)
			continue;
		s->end[SIDE_A].line = v->of[i].line[SIDE_A];
		s->end[SIDE_B].line = v->of[i].line[SIDE_B];
		s->agreed = v->of[i].agreed;
		s->two_way = v->of[i].two_way;
		if (!m->direct)
			(void)stream_apply(m, s);
	}
}

int media_turn(struct media *m, const struct realm *realm_b,
	       const struct sa *peer_b, struct media_view **before,
	       struct media_view **next)
{
	struct proposal *p = NULL;
	struct media_view *v = NULL;
	int err;

	err = view_save(&v, m);
	if (!err && !*next)
		err = proposal_again(&p, m->agreed ? m->first : m->proposal);
	if (err) {
		mem_deref(v);
		return err;
	}

	mem_deref(*before);
	*before = v;
	media_face(m, realm_b, peer_b);
	mem_deref(m->proposal);
	if (*next) {
		m->proposal = mem_ref((*next)->proposal);
		view_load(m, *next);
		*next = mem_deref(*next);
	} else {
		/* The flows stay until it answers */
		m->proposal = p;
		m->agreed = false;
	}
	return 0;
}

void media_hush(struct media *m)
{
	struct proposal *p = NULL;

	/* Without memory the next answer finds that of the dead one */
	if (m->started ||
	    proposal_again(&p, m->agreed ? m->first : m->proposal))
		return;
	mem_deref(m->proposal);
	m->proposal = p;
	m->agreed = false;
	for (uint32_t i = 0; i < SDP_STREAMS; i++)
		if (m->stream[i])
			m->stream[i]->two_way = m->stream[i]->agreed = false;
}

int media_agree(struct media *m)
{
	int err = 0;

	if (!m->proposal || !m->proposal->answered)
		return 0;
	if (!m->direct)
		err = apply(m);
	agree(m);

	return err;
}

void media_offer_failed(struct media *m)
{
	if (m->proposal) {
		shares_restore(m);
		flows_return(m);
	}
	m->proposal = mem_deref(m->proposal);

	/* before the first answer the ports serve the next hop */
	if (m->agreed)
		release_unagreed(m);
}

bool media_offer_open(const struct media *m, enum side *from)
{
	if (!m->proposal)
		return false;

	*from = m->proposal->from;
	return true;
}

void media_continue(struct media *m, enum side side, const struct media *other,
		    enum side other_side)
{
	m->origin[side] = other->origin[other_side];
}

void media_keep(struct media *m)
{
	m->keeps = true;
}

bool media_said(const struct media *m, enum side side, struct pl *sdp)
{
	const struct mbuf *mb = m->said[side];

	if (!mb)
		return false;
	sdp->p = (const char *)mb->buf;
	sdp->l = mb->end;
	return sdp->l > 0;
}

bool media_hides_early(const struct media *m)
{
	return m->early == EARLY_MEDIA_ALLOW_NONE;
}

void media_started(struct media *m)
{
	uint32_t i;

	if (m->started)
		return;

	faces_release(m);
	/* A reliable 1xx had the answer: it is the final one */
	agree_at_last(m);
	for (i = 0; i < SDP_STREAMS; i++) {
		if (!m->stream[i])
			continue;
		end_change(m, m->stream[i], SIDE_A);
		end_change(m, m->stream[i], SIDE_B);
	}
}

void media_report(const struct media *m, struct media_report *out)
{
	const struct stream *s = first_audio(m);
	int side;

	if (m->report)
		*out = *m->report;
	else
		memset(out, 0, sizeof(*out));
	for (side = SIDE_A; side <= SIDE_B; side++) {
		if (s && s->end[side].pair.pool)
			out->local[side] = s->end[side].pair.rtp;
		if (s && !out->remote[side].len)
			out->remote[side] = s->end[side].line.remote[RTP];
		if (m->realm[side] && !m->realm[side]->config->qos_enable) {
			out->packets[side] = out->octets[side] = 0;
			out->lost[side] = out->jitter[side] = 0;
		}
	}
}

void media_refresh(struct media *m)
{
	struct stream *s = first_audio(m);

	if (!s || m->report_h)
		return;

	flow_ask(m->forward, s->end[SIDE_A].flow, on_flow, m);
	flow_ask(m->forward, s->end[SIDE_B].flow, on_flow, m);
}

void media_close(struct media *m, media_report_h *h, void *arg)
{
	uint32_t i;

	m->report_h = h;
	m->report_arg = arg;
	m->told = true;
	timer_cancel(&m->limit);
	m->proposal = mem_deref(m->proposal);
	faces_release(m);

	for (i = 0; i < 2 * SDP_STREAMS; i++) {
		struct stream *s = m->stream[i / 2];

		if (!s || !s->end[i % 2].flow)
			continue;
		flow_close(m->forward, s->end[i % 2].flow);
		m->closing++;
	}

	if (!m->closing)
		tell_closed(m);
}
