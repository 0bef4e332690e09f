/*
 * What a call record costs: the thread that puts it, and the writer
 *
 * usage: records [SECONDS [RATE [csv|json|both|none [FOLDER]]]]
 *
 * Puts RATE records a second (4000: the two of 2000 calls) in turns of 2 ms, as
 * a signalling thread does, with fields like those of a call. CPU of both threads
 * per 1000 records; the writer's with its transactions, files and what the kernel
 * does for it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "store/number.h"
#include "store/records.h"
#include "tests/bench/measure.h"

enum {
	TURN = 2 /* [ms] */
};

static const char *const texts[RECORD_FIELDS] = { "stop",
						  "1",
						  NULL,
						  NULL,
						  "8741878108293176148",
						  "198-30419@192.0.2.12",
						  "00q704db25mgvg3l2fgrhufjbul",
						  "SIP",
						  "INVITE",
						  "2026-11-22T09:30:38.090Z",
						  "2026-11-22T09:30:38.094Z",
						  "2026-11-22T09:30:38.118Z",
						  "2026-11-22T09:30:38.224Z",
						  "106",
						  "4",
						  "4930100",
						  "030198",
						  "sip:4930100@pbx-a.local",
						  "sip:030198@192.0.2.2:5060",
						  "sip:4930100@pbx-a.local",
						  "sip:030198@trunk.example",
						  NULL,
						  NULL,
						  "pbx-a",
						  "pbx-a.example",
						  "192.0.2.12:5060",
						  "192.0.2.2:5060",
						  "UDP",
						  "trunk",
						  "trunk.example",
						  "198.51.100.11:5060",
						  "198.51.100.1:5060",
						  "UDP",
						  "* * pbx-a",
						  "trunk.example",
						  "1",
						  "none",
						  NULL,
						  NULL,
						  NULL,
						  "0",
						  NULL,
						  "200",
						  "16",
						  "ingress",
						  "normal",
						  NULL,
						  NULL,
						  NULL,
						  "none",
						  "none",
						  NULL,
						  NULL,
						  NULL,
						  NULL,
						  "0",
						  "0",
						  "0",
						  "0",
						  "0",
						  "0",
						  "0",
						  "0",
						  "none",
						  "1" };

static void report(const char *what, double value)
{
	printf("%-44s %10.3f ms CPU for 1000 records\n", what, value);
}

/* Every second one is that of a beginning: no end yet */
static void fill(struct slip *s, unsigned n)
{
	static const char *const starts[RECORD_FIELDS] = {
		[0] = "start", [12] = "", [43] = "", [44] = "", [45] = "",
	};
	char number[SLIP_NUMBER];

	for (size_t i = 0; i < RECORD_FIELDS; i++) {
		if (i == 4)
			slip_put(s, i, number, uint_write(number, n * 977ull));
		else
			slip_put_str(s, i,
				     n & 1 && starts[i] ? starts[i] : texts[i]);
	}
}

static double put(struct database *db, unsigned rate, unsigned turns,
		  unsigned *putp)
{
	struct timespec next;
	char room[SLIP_ROOM];
	struct slip slip;
	double used = 0;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned t = 1; t <= turns; t++) {
		unsigned until = (unsigned)((uint64_t)rate * t * TURN / 1000);
		double before = seconds(CLOCK_THREAD_CPUTIME_ID);

		for (; *putp < until; ++*putp) {
			slip_init(&slip, room);
			fill(&slip, *putp);
			must(records_put(db, &slip), "put");
		}
		used += seconds(CLOCK_THREAD_CPUTIME_ID) - before;
		next.tv_nsec += TURN * 1000000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next,
				      NULL);
	}
	return used;
}

int main(int argc, char **argv)
{
	unsigned length = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	unsigned rate = argc > 2 ? (unsigned)atoi(argv[2]) : 4000, n = 0;
	const char *form = argc > 3 ? argv[3] : "csv";
	char folder[] = "/tmp/bench-records-XXXXXX", path[64], files[64];
	char why[DATABASE_WHY], command[128];
	struct ledger_setup setup = {
		.folder = files,
		.csv = !strcmp(form, "csv") || !strcmp(form, "both"),
		.json = !strcmp(form, "json") || !strcmp(form, "both"),
		.size_max = 1000000,
		.files_max = 5,
	};
	struct database *db;
	double all, here, mine;

	if (!mkdtemp(folder))
		must(errno, "folder");
	(void)snprintf(path, sizeof(path), "%s/sbc.db", folder);
	(void)snprintf(files, sizeof(files), "%s/cdr", folder);
	must(database_open(&db, path, false, why), why);
	must(records_open(db), "records");
	must(database_start(db, NULL, NULL), "start");
	must(records_follow(db, &setup, 1), "follow");
	(void)pthread_setname_np(pthread_self(), "put"); /* for perf */
	(void)put(db, rate, 1000 / TURN, &n); /* the first second: warm */
	must(database_flush(db, 10000), "flush");

	all = seconds(CLOCK_PROCESS_CPUTIME_ID);
	here = seconds(CLOCK_THREAD_CPUTIME_ID);
	n = 0;
	mine = put(db, rate, length * 1000 / TURN, &n);
	must(database_flush(db, 10000), "flush");
	here = seconds(CLOCK_THREAD_CPUTIME_ID) - here;
	all = seconds(CLOCK_PROCESS_CPUTIME_ID) - all;

	report("put", mine * 1e6 / n);
	report("written", (all - here) * 1e6 / n);
	database_close(db);
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);

	return system(command) ? 1 : 0;
}
