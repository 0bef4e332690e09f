/*
 * The groups of rules, each a function that appends what it finds
 *
 * In the order of acli.md 3.5. A group reads the survey and never the findings
 * of another; what it cannot tell without DNS or database it leaves open.
 */
#pragma once

#include "store/checks/survey.h"

/** What holds for any element: references, names, options (VC-01xx) */
void check_values(struct survey *s);

/** Realms, interfaces, ports and the system (VC-02xx, 0613) */
void check_realms(struct survey *s);

/** Session-agents and what they can reach (VC-0301 to 0307, 0718) */
void check_agents(struct survey *s);

/** Policies and their attributes (VC-0313 to 0331) */
void check_routes(struct survey *s);

/** Surrogate-agents and their AoRs (VC-04xx) */
void check_surrogates(struct survey *s);

/** auth-attributes and what chooses them (VC-05xx) */
void check_credentials(struct survey *s);

/** What the credential table holds (VC-0418, 0501, 0510, 0515) */
void check_rows(struct survey *s);

/** Who answers challenges (VC-0915 to 0917) */
void check_profiles(struct survey *s);

/** Flow tokens (VC-0901 to 0907) */
void check_flows(struct survey *s);

/** Call records (VC-1001, 1004) */
void check_account(struct survey *s);

/** What the machine has to have (VC-0112, 0209, 0609, 0720, 1002) */
void check_host(struct survey *s);

/** What DNS has to know (VC-0118, 0302, 0316, 0410, 0412, 0413, 0415) */
void check_dns(struct survey *s);

/** Steering-pools (VC-06xx) */
void check_media(struct survey *s);

/** Who may call through whom (VC-0712 to 0715) */
void check_access(struct survey *s);
