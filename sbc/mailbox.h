/*
 * Messages between threads
 *
 * A queue with an eventfd, taken in one go by its owner under his loop.
 */
#pragma once

struct mailbox;

/** A letter is made by the sender and is the receiver's from then on */
struct letter {
	struct letter *next;
	void (*open)(struct letter *letter, void *arg); /* on the owner's thread */
};

/** Make the mailbox of the calling thread; arg is given to each open. 0; errno */
int mailbox_open(struct mailbox **mp, void *arg);
/** Opens what is left, then closes */
void mailbox_close(struct mailbox *m);

/** Post from any thread; never fails, never blocks */
void mailbox_post(struct mailbox *m, struct letter *letter);

/** Run fn(arg of the mailbox, x) on the owner's thread and wait until it is
 *  done; not from the owner's own thread */
void mailbox_ask(struct mailbox *m, void (*fn)(void *arg, void *x), void *x);

/** Take what is there now: for an owner without a loop, and tests */
void mailbox_take(struct mailbox *m);
