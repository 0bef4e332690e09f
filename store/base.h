/*
 * The values of libre that everybody uses, included once
 *
 * libre's single headers have no include guards and need each other in this
 * order, so no other file includes them by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <re_types.h>
#include <re_fmt.h>
#include <re_mem.h>
#include <re_mbuf.h>
#include <re_list.h>
#include <re_sa.h>
