/*
 * Which worker a message belongs to, and its way there
 *
 * Whoever reads a sip-port asks here first. An answer and a request inside a
 * dialog name their worker in a branch or tag of ours. A request that begins
 * something goes to the worker of the tenant from which it comes, to which its
 * Contact belongs, or to which its route leads; one between realms of no tenant
 * goes by its Call-ID.
 */
#pragma once

#include "sbc/passage.h"

/**
 * Hand a message to its worker, which gets it as if it had read it itself
 *
 * @param w     Worker that read it
 * @param from  Where it came in
 * @param mb    Its bytes; copied
 * @param msg   The same, scanned
 *
 * @return True: it was handed over, or lost for want of memory; false: it belongs
 *         here
 */
bool home_send(struct worker *w, const struct arrival *from,
	       const struct mbuf *mb, const struct message *msg);

/** Worker of a request that begins something, by what stands in it: the tenant that
 *  calls, or whose Contact is called at this address of ours (NULL: any); CREW_ANY
 *  (sbc/crew): neither. source without realm is nobody */
uint32_t home_of(const struct worker *w, const struct plan *plan,
		 const struct source *source, const struct sa *local,
		 const struct message *msg);

/** A request of a dialog that this worker does not know, while tags are those of
 *  the peers (dialog-transparency): the next worker may. As home_send; false: all
 *  were asked */
bool home_pass_on(struct worker *w, const struct arrival *from,
		  const struct message *msg);

/** A keep-alive goes to the worker of its tenant. As home_send */
bool home_send_keepalive(struct worker *w, const struct arrival *from);

/** port_refused_h with the worker as arg: the branch in what ICMP brought back may
 *  be any worker's */
void home_refused(const struct sa *dst, const struct pl *quote, int err,
		  void *arg);
