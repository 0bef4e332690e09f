/*
 * The reference of all elements, printed from schema and rules
 */
#pragma once

#include "store/schema.h"

/** Print the reference of one element, or of all and the rules with NULL */
int manual_print(struct re_printf *pf, const struct element *only);
