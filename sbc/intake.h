/*
 * Sockets of a thread, read together in a coarse turn under load
 *
 * A wake-up costs more than a message. So while datagrams keep coming, a thread
 * looks for them once per INTAKE_TURN and serves all sockets then; what they
 * cause to be sent leaves together, too. A thread that was idle has some turns
 * in hand and answers at once: a single call is never held up.
 */
#pragma once

#include <stdint.h>
#include "store/base.h"
#include <re_main.h>

enum {
	INTAKE_TURN = 4000, /* a turn per this time, on average [us] */
	INTAKE_BURST = 16   /* turns in hand after a pause */
};

/**
 * Watch a socket, or change what it is watched for. All handlers of one look
 * run inside one turn (sbc/turn.h); a handler may end any watch, its own too.
 *
 * @param fd    Descriptor; stays the caller's
 * @param flags FD_READ, FD_WRITE; an error gives FD_EXCEPT unasked
 *
 * @return 0; ENOMEM; else what epoll says
 */
int intake_listen(int fd, int flags, fd_h *h, void *arg);

/** Said by a handler that did not read all: the next look comes at once */
void intake_again(void);

/** Is this a look behind which the next one comes at once? */
bool intake_has_more(void);

/** Watch it no longer; before the descriptor is closed. Unknown: no effect */
void intake_close(int fd);
