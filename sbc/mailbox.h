/*
 * Messages between threads
 *
 * A queue with an eventfd, taken in one go by its owner under his loop.
 */
#pragma once

struct mailbox;

/** A letter is made by the sender and is the receiver's from then on; opening it
 *  frees it. Letters of one sender are opened in the order of posting */
struct letter {
	struct letter *next;
	void (*open)(struct letter *letter,
		     void *arg); /* on the owner's thread */
};

/**
 * Make the mailbox of the calling thread
 *
 * Letters are opened under the thread's loop, each batch in a turn (sbc/turn).
 * Without a loop the owner calls mailbox_take.
 *
 * @param mp   Set to the mailbox
 * @param arg  Given to each open
 *
 * @return 0; ENOMEM; errno of eventfd
 */
int mailbox_open(struct mailbox **mp, void *arg);
/** Open what is left, and what comes of it, then close. Nobody may post any
 *  more: the owner of the threads sees to that */
void mailbox_close(struct mailbox *m);

/** Post from any thread; never fails, waits for no loop */
void mailbox_post(struct mailbox *m, struct letter *letter);

/** Run fn(arg of the mailbox, x) on the owner's thread and wait until it is
 *  done; not from the owner's own thread */
void mailbox_ask(struct mailbox *m, void (*fn)(void *arg, void *x), void *x);

/** Take what is there now: for an owner without a loop, and tests */
void mailbox_take(struct mailbox *m);
