/*
 * One background thread for what takes long: verify, import, compile
 *
 * Work is done in the order in which it was given. What it works on belongs to
 * the thread until it is told that it is done.
 */
#pragma once

#include "sbc/mailbox.h"

struct job;

typedef void(job_h)(void *arg);

/**
 * Start the thread
 *
 * @param jobp  Set to it
 * @param home  Mailbox of whoever gives work, and hears of its end there
 *
 * @return 0; ENOMEM; EAGAIN no thread
 */
int job_open(struct job **jobp, struct mailbox *home);

/**
 * Run work on the thread, and then `done` on the one of the mailbox
 *
 * @return 0; ENOMEM, and then neither is called
 */
int job_run(struct job *job, job_h *work, job_h *done, void *arg);

/** Wait until all work is done and end the thread; NULL is fine. What is done
 *  lies in the mailbox */
void job_close(struct job *job);
