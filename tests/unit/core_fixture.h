/*
 * The whole core on one thread, in virtual time, with peers that say what a
 * test tells them to
 *
 * Ports, DNS, credentials, records and media threads are fakes; all between
 * them is real: what a peer says goes through the ingress.
 */
#pragma once

#include "tests/unit/config_fixture.h"
#include "policy/message.h"
#include "sbc/call.h"
#include "sbc/calls.h"
#include "sbc/worker.h"

/** Realms pbx-a (127.0.0.2) and trunk (127.0.0.1), session-agents
 *  127.0.0.12 and 127.0.0.11, policies both ways. Change `cfg` before
 *  core_start */
struct core {
	struct config *cfg;
	struct realm_config *pbx, *trunk, *pbx_b;
	struct session_agent *agent_pbx, *agent_trunk, *agent_pbx_b;
	struct sip_config *sip;
	struct worker worker;
	const struct plan *plan;
	size_t read; /* messages sent that the peers have */
};
extern struct core core;

int core_setup(void **state);
int core_teardown(void **state);
void core_start(void);
/** An equal configuration of other objects comes into force; what nobody holds of
 *  the one before is freed. The pointers into the configuration above are void */
void core_change(void);
/** An equal configuration of other objects; config_give */
struct config *core_twin(const struct config *cfg);
/** Let time pass, timer by timer */
void core_run(uint64_t ms);

/** One end of a dialog */
struct peer {
	const char *ip;
	struct port *port; /* of the SBC, towards it */
	char callid[128], local[256], remote[256], target[256];
	char contact[128];
	const char *tag; /* of its answers outside a dialog; NULL: "u" */
	uint32_t cseq, branch, forwards;
	struct message *in[256]; /* what it heard, in order */
	size_t n, taken;
};
extern struct peer pbx, trunk, pbx_b, third;

/** Deliver what was sent: into peer.in by destination */
void core_deliver(void);

#define SDP_AT(ip, port)                                                       \
	"v=0\r\no=- 1 1 IN IP4 " ip "\r\ns=-\r\nc=IN IP4 " ip                  \
	"\r\nt=0 0\r\nm=audio " port " RTP/AVP 8\r\na=sendrecv\r\n"
#define SDP_PBX   SDP_AT("127.0.0.12", "40000")
#define SDP_TRUNK SDP_AT("127.0.0.11", "40100")
#define SDP_B     SDP_AT("127.0.0.13", "40200")

/** Send a request inside the dialog with the next CSeq, or with p->cseq as it is
 *  (_same); headers are lines with CRLF; a body that begins with v=0 is SDP, else text */
void peer_says(struct peer *p, const char *method, const char *headers,
	       const char *body);
void peer_says_same(struct peer *p, const char *method, const char *headers,
		    const char *body);
/** INVITE outside of a dialog */
void peer_calls(struct peer *p, const char *uri, const char *headers,
		const char *body);
/** CANCEL of the last INVITE; ACK of a 2xx */
void peer_cancels(struct peer *p);
void peer_acks(struct peer *p, const char *body);
/** Answer a request that came */
void peer_answers(struct peer *p, const struct message *request, uint16_t code,
		  const char *headers, const char *body);

/** Next message that this peer has not looked at; NULL: there is none */
struct message *peer_next(struct peer *p);
/** Next one that is a request of the method, or an answer with the code; others
 *  before it are passed over. Fails the test when none comes */
struct message *peer_request(struct peer *p, const char *method);
struct message *peer_answer(struct peer *p, uint16_t code);
/** Is there none of it among those not looked at? Looks at none */
bool peer_hears_no(struct peer *p, const char *method);
bool peer_hears_no_answer(struct peer *p, uint16_t code);
/** Nothing that was not looked at */
bool peer_hears_nothing(const struct peer *p);
/** Forget what was not looked at */
void peer_forgets(struct peer *p);

/** A call of the PBX to the trunk, answered and acknowledged; what was heard for
 *  it is forgotten */
void core_call(void);
/** The same with header lines in the INVITE and in its 200 */
void core_call_with(const char *asks, const char *answers);
/** The same, nothing forgotten; the Contact of the trunk is sw.example, and DNS takes
 *  its time: until fake_resolver_answer */
void core_call_to_a_name(void);
size_t core_calls(void);
struct call *core_the_call(void);
/** Does the text of a header hold this? */
bool header_has(const struct message *msg, enum header_id id, const char *text);
bool body_has(const struct message *msg, const char *text);
