/*
 * One background thread for what takes long: verify, import, compile
 *
 * Nothing of libre's counts is shared: a task goes from thread to thread as a
 * whole, through the lock of the queue there and through the mailbox back.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "store/base.h"
#include "sbc/job.h"

enum {
	NICE = 5, /* of this thread */
};

struct task {
	struct letter letter; /* on the way home */
	struct task *next;
	job_h *work, *done;
	void *arg;
};

struct job {
	pthread_t thread;
	struct mailbox *home;
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct task *first, **end; /* under the lock, as is: */
	bool closing;
};

static void task_open(struct letter *letter, void *arg)
{
	struct task *task = (struct task *)letter;
	job_h *done = task->done;
	void *x = task->arg;

	(void)arg;
	free(task);
	done(x);
}

/* Next task; NULL: there is none and none comes any more */
static struct task *task_wait(struct job *job)
{
	struct task *task;

	pthread_mutex_lock(&job->lock);
	while (!job->first && !job->closing)
		pthread_cond_wait(&job->news, &job->lock);
	task = job->first;
	if (task) {
		job->first = task->next;
		if (!job->first)
			job->end = &job->first;
	}
	pthread_mutex_unlock(&job->lock);

	return task;
}

static void *job_main(void *arg)
{
	struct job *job = arg;
	struct task *task;

	/* Of this thread alone, on Linux: calls come before what takes long */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while ((task = task_wait(job))) {
		task->work(task->arg);
		mailbox_post(job->home, &task->letter);
	}

	return NULL;
}

/* A thread inherits the mask, so no signal finds it without one */
static int thread_start(struct job *job)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&job->thread, NULL, job_main, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		(void)pthread_setname_np(job->thread, "job"); /* for top */

	return err;
}

int job_open(struct job **jobp, struct mailbox *home)
{
	struct job *job = mem_zalloc(sizeof(*job), NULL);
	int err;

	if (!job)
		return ENOMEM;

	job->home = home;
	job->end = &job->first;
	pthread_mutex_init(&job->lock, NULL);
	pthread_cond_init(&job->news, NULL);
	err = thread_start(job);
	if (err) {
		pthread_cond_destroy(&job->news);
		pthread_mutex_destroy(&job->lock);
		mem_deref(job);
		return err;
	}
	*jobp = job;

	return 0;
}

int job_run(struct job *job, job_h *work, job_h *done, void *arg)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task)
		return ENOMEM;

	task->letter.open = task_open;
	task->work = work;
	task->done = done;
	task->arg = arg;

	pthread_mutex_lock(&job->lock);
	*job->end = task;
	job->end = &task->next;
	pthread_cond_signal(&job->news);
	pthread_mutex_unlock(&job->lock);

	return 0;
}

void job_close(struct job *job)
{
	if (!job)
		return;

	pthread_mutex_lock(&job->lock);
	job->closing = true;
	pthread_cond_signal(&job->news);
	pthread_mutex_unlock(&job->lock);
	pthread_join(job->thread, NULL);

	pthread_cond_destroy(&job->news);
	pthread_mutex_destroy(&job->lock);
	mem_deref(job);
}
