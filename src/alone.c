/* SPDX-License-Identifier: Apache-2.0 */
#include "alone.h"

/* Minibatches. Of a trial the first are not counted: threads may have to wake up, and what they need is in the caches
 * of others. A trial ends at the latest when these, or those that count, have taken as long as TRIAL the usual way; so
 * it costs the time of 48 at most, however slow the other way is. */
enum { WINDOW = 256, TRIAL_FIRST = 4, TRIAL = 24, INTERVAL_MOST = 8192, SOONER = 4 };

#define GAIN    0.95  /* of the time, at most: to be worth a change */
#define WORSE   1.25  /* of the time: a window that takes so much calls for a trial SOONER */
#define LONGEST 10e-3 /* seconds: shared minibatches that take longer have work enough for all */

int rpu_alone_next(const struct rpu_alone *a) {
    return a->chosen != a->trial;
}

static double of_image(const struct rpu_alone *a) {
    return a->seconds / a->images;
}

static void begin_counting(struct rpu_alone *a) {
    a->images = 0;
    a->seconds = 0.0;
}

/* A window, or a trial. */
static void begin(struct rpu_alone *a, int trial) {
    a->trial = trial;
    a->steps = 0;
    begin_counting(a);
}

/* A window that says how long the way in use takes. */
static void settle(struct rpu_alone *a) {
    a->since = 0;
    a->base = 0.0;
    begin(a, 0);
}

static void ask_less(struct rpu_alone *a) {
    a->interval = 4 * a->interval < INTERVAL_MOST ? 4 * a->interval : INTERVAL_MOST;
}

static void try_on(struct rpu_alone *a) {
    if (a->seconds > TRIAL * a->minibatch) {
        ask_less(a);
        settle(a);
    } else if (a->steps == TRIAL_FIRST) {
        begin_counting(a);
    } else if (a->steps == TRIAL_FIRST + TRIAL) {
        if (of_image(a) < GAIN * a->last) {
            a->chosen = !a->chosen;
            a->probation = 1;
        } else {
            ask_less(a);
        }
        settle(a);
    }
}

/* The first window of a way that was chosen: back where it is no faster than the last one of the other way. */
static void prove(struct rpu_alone *a) {
    a->probation = 0;
    if (of_image(a) < a->last) {
        a->interval = WINDOW;
        return;
    }
    a->chosen = !a->chosen;
    ask_less(a);
    settle(a);
}

static void end_window(struct rpu_alone *a) {
    if (a->probation)
        prove(a);
    if (a->steps == 0)
        return;
    const uint32_t interval = a->interval ? a->interval : WINDOW;
    const int longer = a->base > 0.0 && of_image(a) > WORSE * a->base;
    a->interval = interval;
    a->last = of_image(a);
    a->minibatch = a->seconds / WINDOW;
    if (a->base == 0.0)
        a->base = a->last;
    begin(a, (a->chosen || a->minibatch < LONGEST) && a->since >= (longer ? interval / SOONER : interval));
}

void rpu_alone_took(struct rpu_alone *a, size_t images, double seconds) {
    a->steps++;
    a->since++;
    a->images += (uint32_t)images;
    a->seconds += seconds;
    if (a->trial)
        try_on(a);
    else if (a->steps == WINDOW)
        end_window(a);
}
